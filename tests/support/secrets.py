"""Looking for secrets in whatever a program has let out, in all the ways in which they could be written there."""

import base64
import html
import json
import ssl
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

import httpx

PIECE: Final = 16
"""So many characters of a secret are a leak too: what was cut off somewhere may begin or end with a part of it."""

_OPEN_METRICS: Final = {"Accept": "application/openmetrics-text;version=1.0.0"}
_PAGES: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("/", {}),
    ("/metrics", {}),
    ("/metrics", _OPEN_METRICS),
    ("/-/healthy", {}),
    ("/-/ready", {}),
    ("/config", {}),
    ("/board", {}),
    ("/timeline", {}),
    ("/timeline?tz=nowhere", {}),
    ("/api/v1/agents", {}),
    ("/api/v1/coverage", {}),
    ("/api/v1/summary?by=nothing", {}),
    ("/board", {}),
    ("/timeline", {}),
    ("/api/v1/agents", {}),
    ("/api/v1/timeline", {}),
    ("/api/v1/summary", {}),
    ("/api/v1/intervals?format=csv", {}),
    ("/api/v1/coverage?nothing=so", {}),
    ("/no/such/page", {}),
)


def written(secret: str) -> frozenset[bytes]:
    """Every way in which `secret`, or a piece of it, is looked for."""
    pieces = {secret[start : start + PIECE] for start in range(0, max(1, len(secret) - PIECE + 1), PIECE)}
    forms = {form for text in {secret, *pieces, secret[-PIECE:]} for form in _texts(text)}
    return frozenset({form.encode() for form in forms} | set(_in_base64(secret)))


def _texts(text: str) -> Iterator[str]:
    yield text
    yield quote(text, safe="")
    yield quote(text)
    yield quote_plus(text)
    yield json.dumps(text)[1:-1]
    yield json.dumps(json.dumps(text)[1:-1])[1:-1]
    yield repr(text)[1:-1]
    yield html.escape(text)
    yield text.encode().hex()
    yield text.encode().hex().upper()


def _in_base64(secret: str) -> Iterator[bytes]:
    """What stands in the base64 of any text that holds `secret`, wherever in it: there are three ways to fall in."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # The characters at both ends depend on the neighbours.
            yield encode(b"\0" * before + secret.encode())[4 if before else 0 :].rstrip(b"=")[:-1]


@dataclass
class Evidence:
    """All that was let out, by where it was found."""

    secrets: dict[str, str]
    """What must not be in it, by the name of its slot."""
    found: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, where: str, data: bytes | str) -> None:
        self.found.append((where, data.encode() if isinstance(data, str) else data))

    async def add_pages(
        self, url: str, *, verify: ssl.SSLContext | None = None, auth: tuple[str, str] | None = None
    ) -> None:
        """Bodies and headers of every page, the metrics in both formats; asked with `auth`, where `verify` trusts."""
        trusted = verify or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=trusted, auth=auth, timeout=30) as http:
            for path, headers in _PAGES:
                answer = await http.get(path, headers=headers)
                head = b"".join(name + b": " + value + b"\n" for name, value in answer.headers.raw)
                self.add(f"{path} {headers.get('Accept', '')}", head + answer.content)

    def add_files(self, directory: Path, *, holding_secrets: Mapping[str, str]) -> None:
        """Every file under `directory`; those named in `holding_secrets` must be private, and may hold that one."""
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            data = path.read_bytes()
            if path.name in holding_secrets:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, f"{path} is for its owner only"
                own = holding_secrets[path.name]
                data = data.replace(own.encode(), b"").replace(json.dumps(own)[1:-1].encode(), b"")
            self.add(f"{path.name}:", path.name)
            self.add(path.name, data)

    def add_process(self, pid: int) -> None:
        """What other users of the machine can see of a process."""
        self.add("cmdline", Path(f"/proc/{pid}/cmdline").read_bytes())

    def leaks(self) -> list[str]:
        """Which secret is where; the text around it with `***` in its place. None is wanted."""
        forms = [(name, form) for name, secret in self.secrets.items() for form in written(secret)]
        return sorted(
            {
                f"{name} in {where}: …{_around(data, form)}…"
                for where, data in self.found
                for name, form in forms
                if form in data
            }
        )

    def text_of(self, where: str) -> str:
        """All that was found there."""
        return b"".join(data for place, data in self.found if place == where).decode("utf-8", "replace")


def _around(data: bytes, form: bytes) -> str:
    at = data.index(form)
    return (data[max(0, at - 60) : at] + b"***" + data[at + len(form) :][:40]).decode("utf-8", "replace")
