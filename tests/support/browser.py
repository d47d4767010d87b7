"""A headless Chromium that tests talk to in its own DevTools protocol, over two pipes and so without a port."""

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.programs import program

Answer = dict[str, Any]

_PATIENCE_S = 60.0
# Chromium reads commands from descriptor 3 and writes to 4.
_LAUNCH = 'exec "$0" "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)


class Page:
    """One page, as a person and a screen reader have it."""

    def __init__(self, commands: int, answers: int) -> None:
        """`commands` and `answers` are the ends of the pipes that are ours."""
        self._commands, self._answers = commands, answers
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[Answer] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Answer:
        """What DevTools answers to one command; AssertionError if it refuses."""
        self._number += 1
        message: Answer = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Answer = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Go to `url` and wait until it is loaded; what was heard before is forgotten."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def complaints(self) -> list[Answer]:
        """What the console and the log of the browser say: errors and warnings of scripts, policies and the network."""
        told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed")
        return [event for event in self.events if event.get("method") in told]

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        sent = (event for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def evaluate(self, expression: str) -> Any:
        """The value of a script."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def press_tab(self) -> None:
        """Press and release the key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader gets to know, in its order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def media(self, kind: str = "", **features: str) -> None:
        """Show the page as on `kind` (`screen`, `print`) and with media features such as `prefers_color_scheme`."""
        asked = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=kind, features=asked)

    def screenshot(self) -> bytes:
        """What is in view, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def _next(self) -> Answer:
        deadline = time.monotonic() + _PATIENCE_S
        read = [self._buffer]
        while b"\0" not in read[-1]:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "Chromium says nothing"
            read.append(os.read(self._answers, 1 << 16))
            assert read[-1], "Chromium has ended"
        first, _, self._buffer = b"".join(read).partition(b"\0")
        answer: Answer = json.loads(first)
        return answer


@contextmanager
def browser_page(folder: Path, *, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A page of a Chromium whose profile lives in `folder`; skips the test where there is no Chromium."""
    chromium = program("chromium", "chromium")
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    arguments = (*_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={folder / 'chromium'}", "about:blank")
    process = subprocess.Popen(
        ["bash", "-c", _LAUNCH, chromium, *arguments],
        pass_fds=(to_browser, from_browser),
        env={**os.environ, "COMMANDS": str(to_browser), "ANSWERS": str(from_browser)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(commands, answers)
    finally:
        os.close(commands)  # Chromium ends with its pipe
        os.close(answers)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
