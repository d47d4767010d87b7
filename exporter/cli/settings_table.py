"""Every setting once: its flag, variable and key are made from its name, and its help says unit and default."""

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final


class Shape(Enum):
    """How often a setting takes a value."""

    ONE = "one value"
    SWITCH = "a switch with --no-… beside it"
    COMMA_LIST = "one text with commas; a list in YAML"
    REPEATED = "a flag that may be repeated; a list in YAML, commas in the variable"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the program, as it is named on all three ways in."""

    name: str
    """Dotted: the key in the YAML file, either as it is or as nested maps."""
    help: str
    metavar: str = ""
    default: str | None = None
    """As it would be written; None: no value, or one that depends on others, which `help` then tells."""
    shape: Shape = Shape.ONE

    @property
    def flag(self) -> str:
        """What stands on the command line."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "ZOHOVOICE_" + self.parameter.upper()

    @property
    def parameter(self) -> str:
        """The name as Python and click want it."""
        return self.name.replace(".", "_").replace("-", "_")


_TABLE: Final = (
    Setting("api.url", "Origin of the Zoho Voice API.", "URL", "https://voice.zoho.com"),
    Setting("api.accounts-url", "Origin of Zoho Accounts, which issues tokens.", "URL", "https://accounts.zoho.com"),
    Setting("api.timeout", "Longest wait in each phase of a request.", "DURATION", "10s"),
    Setting(
        "api.max-requests-per-minute",
        "Most requests a minute to each URL of the API; Zoho is known to lock a URL for ten minutes beyond 30.",
        "NUMBER",
        "30",
    ),
    Setting("api.agents-per-request", "Most agents whose status is asked for in one request.", "NUMBER", "50"),
    Setting("api.concurrency", "Most requests under way at once.", "NUMBER", "4"),
    Setting("api.proxy", "HTTP proxy for all requests to Zoho. Prefer the variable if it holds a password.", "URL"),
    Setting("api.ca-file", "PEM file with certificates to be trusted beside the system's.", "FILE"),
    Setting("auth.client-id", "Client id of the self client in Zoho's API console.", "TEXT"),
    Setting(
        "auth.client-secret-file",
        "File that holds the client secret; ZOHOVOICE_AUTH_CLIENT_SECRET may hold the secret itself.",
        "FILE",
    ),
    Setting(
        "auth.refresh-token-file",
        "File that holds the refresh token; ZOHOVOICE_AUTH_REFRESH_TOKEN may hold the token itself.",
        "FILE",
    ),
    Setting(
        "auth.access-token-file",
        "File that holds a ready access token, for tests and short runs; read anew when Zoho refuses the token. "
        "ZOHOVOICE_AUTH_ACCESS_TOKEN may hold the token itself.",
        "FILE",
    ),
    Setting(
        "auth.token-cache",
        "File (mode 0600) where the access token and locks are remembered across restarts. "
        "Default: zohovoice-token.json beside the database.",
        "FILE",
    ),
    Setting("agents.ids", "Comma list of the agent ids to track.", "IDS", shape=Shape.COMMA_LIST),
    Setting("agents.zuids", "Comma list of the Zoho account ids (zuid) to track.", "IDS", shape=Shape.COMMA_LIST),
    Setting("agents.file", "CSV or YAML file of the agents to track: id, and if wanted name and team.", "FILE"),
    Setting(
        "agents.discover",
        "Track everyone on Zoho's roster, beside those named. Default: on when no agents are named.",
        shape=Shape.SWITCH,
    ),
    Setting("agents.refresh-interval", "Time between two readings of the roster.", "DURATION", "15m"),
    Setting("poll.interval", "Time between the beginnings of two polls.", "DURATION", "30s"),
    Setting(
        "poll.max-age",
        "How long the last good poll is shown while polls fail. Default: three poll intervals.",
        "DURATION",
    ),
    Setting("db", "SQLite file that holds the history.", "FILE", "zohovoice.db"),
    Setting("db.mode", "Permissions of the database in octal; 0640 lets a group read.", "MODE", "0600"),
    Setting(
        "history.retention",
        "Remove what was recorded longer ago than this, at the latest a day later. Default: keep everything.",
        "DURATION",
    ),
    Setting(
        "classes.handling",
        "Statuses that count as handling a call.",
        "STATUSES",
        "On Call",
        Shape.COMMA_LIST,
    ),
    Setting(
        "classes.available", "Statuses that count as waiting for a call.", "STATUSES", "Available", Shape.COMMA_LIST
    ),
    Setting(
        "classes.not-ready",
        "Statuses that count as logged in but not ready; so does every status that is in no other class.",
        "STATUSES",
        "Busy,On Break",
        Shape.COMMA_LIST,
    ),
    Setting("classes.offline", "Statuses that count as logged out.", "STATUSES", "Offline", Shape.COMMA_LIST),
    Setting("metrics.per-agent", "Expose series for each agent.", default="true", shape=Shape.SWITCH),
    Setting(
        "metrics.agent-seconds",
        "Expose the seconds that each agent spent in each status.",
        default="true",
        shape=Shape.SWITCH,
    ),
    Setting("metrics.agent-limit", "Most agents that get series of their own. Default: no limit.", "NUMBER"),
    Setting(
        "metrics.names",
        "Expose names and teams (zohovoice_agent_info). They are personal data and stay in Prometheus.",
        default="false",
        shape=Shape.SWITCH,
    ),
    Setting(
        "metrics.last-seen",
        "Expose when each agent was last active, as Zoho's roster tells it; it is personal data, too.",
        default="false",
        shape=Shape.SWITCH,
    ),
    Setting(
        "web.listen-address",
        "Address to serve at: host:port, :port or [v6]:port. May be repeated.",
        "ADDRESS",
        ":10042",
        Shape.REPEATED,
    ),
    Setting(
        "web.systemd-socket",
        "Serve on the sockets that systemd hands over, instead of --web.listen-address.",
        default="false",
        shape=Shape.SWITCH,
    ),
    Setting(
        "web.config.file",
        "YAML file with TLS, logins, headers and a rate limit, in the format of Prometheus' own exporters.",
        "FILE",
    ),
    Setting("web.telemetry-path", "Path where the metrics are served.", "PATH", "/metrics"),
    Setting(
        "web.max-requests",
        "Most requests answered at once; those beyond it get 503. 0: no limit.",
        "NUMBER",
        "40",
    ),
    Setting(
        "web.disable-exporter-metrics",
        "Leave out the metrics about the exporter's own process and its HTTP requests.",
        default="false",
        shape=Shape.SWITCH,
    ),
    Setting(
        "web.enable-lifecycle",
        "Let POST /-/reload read agents, poll settings and web configuration anew, as SIGHUP always does.",
        default="false",
        shape=Shape.SWITCH,
    ),
    Setting(
        "web.pages",
        "Serve pages and JSON with names and times of agents: auto, always or never. auto: when only this machine can "
        "ask, or who asks must log in or show a verified certificate.",
        "WHEN",
        "auto",
    ),
    Setting("log.level", "Least weight of what is logged: debug, info, warn or error.", "LEVEL", "info"),
    Setting("log.format", "How a line of log is written: logfmt or json.", "FORMAT", "logfmt"),
)

SETTINGS: Final = {setting.name: setting for setting in _TABLE}

CONFIG_FILE: Final = Setting("config.file", "YAML file with settings; see the precedence in the top help.", "FILE")

SECRETS: Final = {
    "auth.client-secret-file": "ZOHOVOICE_AUTH_CLIENT_SECRET",
    "auth.refresh-token-file": "ZOHOVOICE_AUTH_REFRESH_TOKEN",
    "auth.access-token-file": "ZOHOVOICE_AUTH_ACCESS_TOKEN",
}
"""The variable that may hold the secret itself, by the setting that names a file with it."""


def chosen(*patterns: str) -> tuple[Setting, ...]:
    """The settings whose name matches one of the globs (`api.*`, `db`), in the order of the table."""
    return tuple(s for s in _TABLE if any(fnmatchcase(s.name, pattern) for pattern in patterns))
