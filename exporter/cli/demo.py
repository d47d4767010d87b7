"""`demo`: the whole program against the built-in simulator."""

import os
from pathlib import Path

import click

from exporter import logs
from exporter.cli import parse
from exporter.cli.build import log_settings_from, pages
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.values import Values
from exporter.demo_settings import DemoSettings


@click.command(context_settings=CONTEXT)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-data"),
    show_default=True,
    help="Where the demo keeps its database; made if it is missing.",
)
@click.option("--fresh", is_flag=True, help="Begin anew: remove what an earlier demo left in the directory.")
@click.option(
    "--agents",
    type=click.IntRange(1, 10_000),
    default=40,
    show_default=True,
    metavar="NUMBER",
    help="How many agents work.",
)
@click.option(
    "--days",
    type=click.IntRange(0, 400),
    default=3,
    show_default=True,
    metavar="NUMBER",
    help="Days of history recorded beforehand.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="The same seed gives the same people and days.",
)
@click.option(
    "--web.listen-address",
    "addresses",
    multiple=True,
    default=("127.0.0.1:10042",),
    show_default=True,
    metavar="ADDRESS",
    help="Address to serve at. May be repeated.",
)
@click.option(
    "--simulator.port",
    "simulator_port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Port of the simulator on 127.0.0.1; 0 lets the system choose.",
)
@settings_options("db.mode", "web.config.file", "web.pages", "log.*")
def demo(
    values: Values,
    directory: Path,
    fresh: bool,
    agents: int,
    days: int,
    seed: int,
    addresses: tuple[str, ...],
    simulator_port: int,
) -> int:
    """Serve a simulated contact centre with a few days of history already recorded. Needs no account."""
    for address in addresses:
        parse.listen_address(address)
    settings = DemoSettings(
        directory=directory,
        db_mode=values.one("db.mode", parse.mode),
        fresh=fresh,
        agents=agents,
        days=days,
        seed=seed,
        listen_addresses=addresses,
        simulator_port=simulator_port,
        web_config_file=values.optional("web.config.file", parse.path),
        pages=pages(values),
        log=log_settings_from(values, by_hand=True),
    )
    logs.configure(settings.log)
    from exporter.demo import run
    from exporter.web.reports.client import environment_for_reports

    return run(settings, environment_for_reports(os.environ))
