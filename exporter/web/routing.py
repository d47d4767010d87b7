"""A route as a value: every path is exact, so nothing is ever looked up on a disk."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Served:
    """What answers at one path."""

    path: str
    handler: str
    """The value of the label `handler` in zohovoice_exporter_http_requests_total."""
    endpoint: Endpoint
    methods: tuple[str, ...] = ("GET",)
    """GET brings HEAD along."""
