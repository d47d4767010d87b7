"""What `serve` is told, validated and immutable; made by the command line from flags, environment and file."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from exporter.history.classes import DEFAULT_CLASSES, Classes
from exporter.secret import Secret


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How to reach Zoho Voice. URLs are origins without a trailing slash and without credentials."""

    url: str = "https://voice.zoho.com"
    accounts_url: str = "https://accounts.zoho.com"
    timeout_s: float = 10.0
    """For each phase of a request (connect, write, read, wait for a connection), and for the whole of it twice that."""
    max_requests_per_minute: int = 30
    """Per URL: Zoho locks a URL for ten minutes beyond 30 a minute (documented for call logs, assumed for all)."""
    agents_per_request: int = 50
    concurrency: int = 4
    proxy: Secret | None = None
    """A proxy URL; a secret because it may carry a password."""
    ca_file: Path | None = None
    """Certificates trusted beside the system's."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Either client id, client secret and refresh token, or a ready access token (a value, or a file read anew)."""

    client_id: str = ""
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    access_token: Secret | None = None
    access_token_file: Path | None = None
    token_cache: Path = Path("zohovoice-token.json")


@dataclass(frozen=True, slots=True)
class AgentsSettings:
    """Whom to track. With nothing named, everyone on Zoho's roster."""

    ids: tuple[str, ...] = ()
    zuids: tuple[str, ...] = ()
    file: Path | None = None
    discover: bool = True
    refresh_interval_s: float = 900.0
    """How often the roster is read."""


@dataclass(frozen=True, slots=True)
class PollSettings:
    """When to poll."""

    interval_s: float = 30.0
    max_age_s: float = 90.0
    """How long the last good poll is shown while polls fail; after it the agent families disappear."""


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Where transitions are recorded, and how reports read them."""

    db: Path = Path("zohovoice.db")
    mode: int = 0o600
    retention_ms: int | None = None
    """How long facts are kept; None: for ever."""
    classes: Classes = DEFAULT_CLASSES


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Which families are exposed."""

    per_agent: bool = True
    agent_seconds: bool = True
    agent_limit: int | None = None
    """At most so many agents get series of their own; None means no limit."""
    names: bool = False
    """Expose names and teams of agents (`zohovoice_agent_info`): personal data."""
    last_seen: bool = False
    """Expose when Zoho says that agents were last active: personal data."""


class Pages(Enum):
    """When pages and JSON with personal data are served."""

    AUTO = "auto"
    """When every listener is bound to loopback, or who asks has to log in or to show a verified certificate."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where and what to serve. A listen address is `host:port`, `:port` or `[v6]:port`."""

    listen_addresses: tuple[str, ...] = (":10042",)
    systemd_socket: bool = False
    """Take the sockets that systemd hands over; the addresses do not count then."""
    config_file: Path | None = None
    """TLS, logins, headers and a rate limit, in the format of Prometheus' exporter-toolkit."""
    telemetry_path: str = "/metrics"
    max_requests: int = 40
    """Most requests answered at once, those beyond it get 503; 0: no limit."""
    disable_exporter_metrics: bool = False
    enable_lifecycle: bool = False
    """Whether POST /-/reload is answered."""
    pages: Pages = Pages.AUTO


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged to stderr, and how: `logfmt` or `json`."""

    level: str = "info"
    format: str = "logfmt"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `serve` needs."""

    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    agents: AgentsSettings = AgentsSettings()
    poll: PollSettings = PollSettings()
    history: HistorySettings = HistorySettings()
    metrics: MetricsSettings = MetricsSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
