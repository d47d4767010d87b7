"""`serve`: the main job."""

import os

import click

from exporter.cli.build import prepare, rereading
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.values import Values


@click.command(context_settings=CONTEXT)
@settings_options("*")
def serve(values: Values) -> int:
    """Poll Zoho Voice, record every transition and serve the metrics until stopped.

    With no agents named, everyone on Zoho's roster is tracked. SIGTERM and Ctrl-C end it within five seconds and
    lose nothing that the database can take. SIGHUP reads settings, agents file and web configuration anew.
    """
    settings = prepare(values)
    from exporter.app import run
    from exporter.notify import take_notifier
    from exporter.surroundings import Surroundings
    from exporter.web.reports.client import environment_for_reports
    from exporter.web.serving.systemd import take_handed
    from exporter.zoho.session import check_credentials

    check_credentials(settings.auth)  # before the database is made
    surroundings = Surroundings(
        handed=take_handed(os.environ, os.getpid()),
        notifier=take_notifier(os.environ, os.getpid()),
        environment=environment_for_reports(os.environ),
    )
    return run(settings, rereading(values, settings), surroundings)
