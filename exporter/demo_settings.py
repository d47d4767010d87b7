"""What `demo` is told."""

from dataclasses import dataclass, field
from pathlib import Path

from exporter.settings import LogSettings, Pages


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """A simulated contact centre and where to serve it."""

    directory: Path = Path("demo-data")
    """Where the demo keeps its database and token cache; made if it is missing."""
    db_mode: int = 0o600
    """Permissions of the database. A directory that is made lets the group in if it may read the database."""
    fresh: bool = False
    """Begin anew: what an earlier demo left in the directory is removed."""
    agents: int = 40
    days: int = 3
    """How many days of history are recorded before the demo serves live."""
    seed: int = 1
    """The same seed gives the same people and the same days."""
    listen_addresses: tuple[str, ...] = ("127.0.0.1:10042",)
    simulator_port: int = 0
    """The port of the simulator on 127.0.0.1; 0 lets the system choose."""
    web_config_file: Path | None = None
    pages: Pages = Pages.AUTO
    log: LogSettings = field(default_factory=lambda: LogSettings(level="warn"))
