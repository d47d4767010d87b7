"""What the routes know: one immutable value, made by the program that serves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.metrics.instruments import Instruments
from exporter.settings import WebSettings
from exporter.web.access import Access
from exporter.web.heartbeat import Heartbeat
from exporter.web.protection.security import WebSecurity
from exporter.web.reports.request import Reports
from exporter.web.updates import Updates


@dataclass(frozen=True, slots=True)
class WebState:
    """What the routes show and call."""

    web: WebSettings
    instruments: Instruments
    clock: Clock
    heartbeat: Heartbeat
    version: str
    updates: Updates
    """Told when the outcome of a poll is published; closed when the program stops."""
    security: WebSecurity
    access: Callable[[], Access]
    """Whether personal data may be served, as of now: the web configuration can change."""
    reports: Reports
    config_text: Callable[[], str]
    """The settings in force as YAML, secrets masked."""
    reload: Callable[[], Awaitable[None]]
    """Reads files anew; raises ExporterError, and changes nothing, if one of them is wrong."""
