"""`serve`: the main job."""

import click

from exporter.cli.build import prepare
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.values import Values


@click.command(context_settings=CONTEXT)
@settings_options("*")
def serve(values: Values) -> int:
    """Poll Zoho Voice, record every transition and serve the metrics until stopped.

    With no agents named, everyone on Zoho's roster is tracked. SIGTERM and Ctrl-C end it within five seconds and
    lose nothing that the database can take.
    """
    settings = prepare(values)
    from exporter.app import run
    from exporter.zoho.session import check_credentials

    check_credentials(settings.auth)  # before the database is made
    return run(settings)
