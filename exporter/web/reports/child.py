"""The process that makes reports, for the thread that talks to it. All calls here may wait."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Final

from exporter.web.reports import frames
from exporter.web.reports.request import ReportReply

log: Final = logging.getLogger(__name__)

_LONGEST_LINE: Final = 2_000


class Child:
    """A running process. It ends when it is told to, or when its standard input does."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it, with nothing in its environment but what is given. Raises OSError if that cannot be done."""
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, and numbers
            # -P: no module is ever taken from the folder that this program happens to run in.
            [sys.executable, "-P", "-m", "exporter.web.reports", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            # Ctrl-C at a terminal is for the parent, which ends its child in its own time.
            start_new_session=True,
        )
        self._said = threading.Thread(target=self._hand_on_what_it_says, name="reports' log", daemon=True)
        self._said.start()

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def exchange(self, frame: bytes) -> ReportReply:
        """Send a request and wait for the answer. Raises Ended if the process ends before it is there."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        try:
            frames.write(requests, frame)
            return frames.reply_of(frames.read(answers), frames.read(answers))
        except (OSError, ValueError, LookupError, TypeError) as error:
            # A pipe that was closed is a ValueError. The others are of an answer that is none: what follows it in the
            # pipe would be taken for the answer to the next request.
            raise frames.Ended(str(error)) from error

    def kill(self) -> None:
        """End it at once; it only reads, so there is nothing to be done in good order. Does not wait; any thread."""
        self._process.kill()

    def end(self) -> None:
        """End it and let go of all that it holds."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not read any more
                pipe.close()
        self._said.join()

    def _hand_on_what_it_says(self) -> None:
        lines: IO[bytes] | None = self._process.stderr
        assert lines is not None
        with lines:
            while line := lines.readline(_LONGEST_LINE):
                text = line.decode("utf-8", "replace").rstrip()
                log.warning("the process that makes reports says", extra={"fields": {"text": text}})
