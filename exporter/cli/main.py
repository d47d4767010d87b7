"""The top of the command line. It imports click and nothing else, so that `--help` is there at once."""

from typing import Final

import click

from exporter import __version__
from exporter.cli.lazy import LazyGroup

PROGRAM: Final = "zohovoice-exporter"

COMMANDS: Final = {
    "serve": ("exporter.cli.serve:serve", "Poll, record and serve until stopped: the main job."),
    "demo": (
        "exporter.cli.demo:demo",
        "Serve a simulated contact centre with three days of history; needs no account.",
    ),
    "check": ("exporter.cli.check:check", "Validate configuration, credentials and reachability; say what to mend."),
    "history": ("exporter.cli.history:history", "Reports from the recorded history."),
    "status": ("exporter.cli.status:status", "Read and set agents' status by hand."),
    "agents": ("exporter.cli.agents:agents", "The roster as Zoho gives it."),
    "auth": ("exporter.cli.auth:auth", "Turn a grant code into a refresh token; show and revoke it."),
    "simulate": (
        "exporter.cli.simulate:simulate",
        "Run the Zoho Voice simulator alone, to try other tools against it.",
    ),
}

cli = LazyGroup(
    PROGRAM,
    "Prometheus exporter and history recorder for Zoho Voice agents' online status.\n\n"
    "Every command has its own --help. Each setting is a flag (--poll.interval 30s), an environment variable "
    "(ZOHOVOICE_POLL_INTERVAL=30s) or a key of the file given by --config.file, in this order of precedence.",
    COMMANDS,
)
click.version_option(__version__, "--version", prog_name=PROGRAM, message="%(prog)s %(version)s")(cli)
