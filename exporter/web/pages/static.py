"""Style and scripts of the pages, served from memory. They hold no personal data.

Their addresses carry a version that is made of their contents, so browsers may keep them for ever and still see an
upgrade at once.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from exporter.report.palette import FIXED, OTHERS
from exporter.web.fields import entity_tag, has, takes_gzip
from exporter.web.pages.style import palette_style
from exporter.web.pages.words import REASON_WORDS
from exporter.web.routing import Endpoint, Served

FOLDER: Final = "static"
"""Relative, as all links of the pages are: they work behind a proxy that puts them under a path of its own."""

_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_FOR_EVER: Final = "max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_IMPORT: Final = re.compile(r'(?m)^(import [^;]*? from "\./[a-z_]+\.js)(";)$')


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    content_type: str
    plain: bytes
    gzip: bytes


@dataclass(frozen=True, slots=True)
class Assets:
    """All files, and the version that they share."""

    version: str
    files: Mapping[str, Asset]

    def url(self, name: str) -> str:
        """The address of a file, relative to the pages."""
        assert name in self.files, name
        return f"{FOLDER}/{name}?v={self.version}"


@cache
def assets() -> Assets:
    """The files of this program; read, put together and compressed once."""
    folder = resources.files("exporter.web.pages") / "static"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(tuple(_TYPES))}
    texts["pages.css"] = palette_style() + texts["pages.css"]
    texts["tables.js"] = _tables()
    whole = "".join(f"{name}\0{text}\0" for name, text in sorted(texts.items()))
    version = hashlib.sha256(whole.encode()).hexdigest()[:12]
    # A module that was kept from before an upgrade must not be joined with one from after it.
    versioned = {name: _IMPORT.sub(rf"\1?v={version}\2", text) for name, text in texts.items()}
    return Assets(version, {name: _asset(name, text) for name, text in versioned.items()})


def static_files() -> list[Served]:
    """A route for each file."""
    served = assets()
    return [
        Served(f"/{FOLDER}/{name}", "static", _endpoint(asset, served.version)) for name, asset in served.files.items()
    ]


def _tables() -> str:
    """What scripts share with the program, as a module: looks of statuses, and failures in words."""
    tables = {
        "LOOKS": {word: look.slug for word, look in FIXED.items()},
        "OTHER_LOOKS": [look.slug for look in OTHERS],
        "REASONS": dict(REASON_WORDS),
    }
    return "".join(f"export const {name} = {json.dumps(table)};\n" for name, table in tables.items())


def _asset(name: str, text: str) -> Asset:
    plain = text.encode()
    return Asset(_TYPES[name[name.rindex(".") :]], plain, gzip.compress(plain, 9, mtime=0))


def _endpoint(asset: Asset, version: str) -> Endpoint:
    async def send(request: Request) -> Response:
        zipped = takes_gzip(request)
        headers = {
            "etag": entity_tag(version, gzip=zipped),
            "cache-control": _FOR_EVER if request.query_params.get("v") == version else _ASK_AGAIN,
            "vary": "Accept-Encoding",
        }
        if has(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["content-encoding"] = "gzip"
        headers["content-type"] = asset.content_type
        return Response(asset.gzip if zipped else asset.plain, headers=headers)

    return send
