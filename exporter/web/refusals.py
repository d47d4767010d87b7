"""Why a request is not answered, in one sentence: as JSON below /api/, else as text.

Prometheus shows what it is told, and wants a content type that it knows.
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse, PlainTextResponse, Response

API: Final = "/api/"
NO_STORE: Final[Mapping[str, str]] = {"cache-control": "no-store"}
"""The header of what holds for this moment or this client only: nobody keeps it."""


def refusal(path: str, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer at `path`; `sentence` has no line end."""
    if path.startswith(API):
        return JSONResponse({"error": sentence}, status, headers=headers)
    return PlainTextResponse(f"{sentence}\n", status, headers=headers)
