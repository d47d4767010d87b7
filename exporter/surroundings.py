"""What the process was started with, apart from its settings; taken from the environment by the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.notify import Notifier
from exporter.web.serving.systemd import Handed


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who started this, and what they gave along."""

    environment: Mapping[str, str] | None = None
    """What the process that makes reports may see; None: all that this one sees."""
    handed: Handed = field(default_factory=Handed)
    """Sockets that systemd opened."""
    notifier: Notifier = field(default_factory=Notifier)
    """Tells systemd."""


NO_SURROUNDINGS: Final = Surroundings()
