"""What a client may ask of the server: sizes and times, all in one value, so that tests can use short ones."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are in bytes, times in seconds."""

    head_bytes: int = 32 * 1024
    """A request's first line and header fields together; beyond it 431."""
    target_bytes: int = 8 * 1024
    """A request's target; beyond it 414. RFC 9110, section 4.1: at least 8,000."""
    fields: int = 100
    """Header fields; beyond it 431."""
    body_bytes: int = 64 * 1024
    """A request's body; beyond it 413."""
    ahead_bytes: int = 64 * 1024
    """What is kept of the requests that a client sends before it has its answer; beyond it they are dropped."""
    head_s: float = 10.0
    """From the first byte of a request, or from the connection to its first byte, to the end of the head."""
    body_s: float = 10.0
    """From the end of the head to the end of the body."""
    idle_s: float = 75.0
    """Between two requests. Longer than the usual scrape intervals, so that Prometheus keeps its connection."""
    taken_s: float = 20.0
    """In this time a client must take `taken_bytes` of its answer, or all that there is: 26 KB/s, with pauses."""
    taken_bytes: int = 512 * 1024
    linger_s: float = 2.0
    """How long a refused client may go on sending; cut off at once, it might not get to see why."""
    handshake_s: float = 10.0
    """The TLS handshake, and the good-bye of TLS."""
    connections: int = 512
    """At once. One more costs the one that has waited longest for its client."""
    leaving: int = 64
    """Connections beyond that number which are being closed; one more costs the one that has taken longest for it."""
    handshakes: int = 128
    """At once, for each TLS listener; with the connections well below the 1,024 descriptors that a process may have."""
    shutdown_s: float = 1.0
    """What is being answered when the server is told to stop may take so long."""

    @property
    def sweep_s(self) -> float:
        """How often the times are looked at; so much later than said a connection may end."""
        return min(1.0, min(self.head_s, self.body_s, self.idle_s, self.taken_s, self.linger_s) / 4)


LIMITS: Final = Limits()
