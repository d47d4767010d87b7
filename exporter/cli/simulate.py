"""`simulate`: the simulator alone."""

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from exporter import logs
from exporter.cli.build import log_settings_from
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.values import Values
from exporter.errors import UsageError

if TYPE_CHECKING:
    from exporter.simulator.faults import Switchboard
    from exporter.simulator.server import RunningSimulator
    from exporter.simulator.settings import SimulationSettings


@click.command(context_settings=CONTEXT)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Port on 127.0.0.1; 0 lets the system choose.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="The same seed gives the same people and days.",
)
@click.option("--agents", type=int, default=40, show_default=True, metavar="NUMBER", help="How many agents there are.")
@click.option(
    "--timezone", default="Europe/Berlin", show_default=True, metavar="ZONE", help="IANA zone of the agents' shifts."
)
@click.option(
    "--speed", type=float, default=1.0, show_default=True, help="Simulated seconds in each real one.", metavar="NUMBER"
)
@click.option(
    "--at-work-now",
    is_flag=True,
    help="Place the shifts so that people are at work now, whatever the hour. Default: 08:00 to 20:00 in --timezone.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help="A fault from the start: ENDPOINT:FAULT[,NAME=VALUE...], such as "
    "statuses:throttle-429,retry_after=20,times=3. * is every endpoint. May be repeated: faults "
    "of one endpoint take effect one after the other, as each has had its times.",
)
@settings_options("log.*")
def simulate(
    values: Values,
    port: int,
    seed: int,
    agents: int,
    timezone: str,
    speed: float,
    at_work_now: bool,
    faults: tuple[str, ...],
) -> int:
    """Run a Zoho Voice that is none, on 127.0.0.1, until Ctrl-C or SIGTERM.

    Prints its address and credentials as shell variables that the other commands understand. They are worth nothing
    anywhere else.
    """
    from exporter.clock import SystemClock
    from exporter.history.window import named_zone
    from exporter.simulator.settings import SimulationSettings

    logs.configure(log_settings_from(values, by_hand=True))
    named_zone(timezone, flag="--timezone")
    shifts_around = SystemClock().now_ms() if at_work_now else None
    settings = SimulationSettings(seed=seed, agents=agents, timezone=timezone, speed=speed, shifts_around=shifts_around)
    asyncio.run(_run(settings, _switchboard(faults), port))
    return 0


def _switchboard(specs: tuple[str, ...]) -> "Switchboard":
    from exporter.simulator.faults import Switchboard, parse_fault

    switchboard = Switchboard()
    for spec in specs:
        try:
            placed = parse_fault(spec)
            switchboard.add(placed.where, placed.fault, times=placed.times)
        except UsageError as error:
            raise UsageError(f"--fault: {error}") from error
    return switchboard


async def _run(settings: "SimulationSettings", switchboard: "Switchboard", port: int) -> None:
    from exporter.clock import SystemClock
    from exporter.simulator.server import serve
    from exporter.simulator.simulation import Simulation

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await serve(Simulation(settings, SystemClock()), switchboard, "127.0.0.1", port, stop, _announce)


def _announce(simulator: "RunningSimulator") -> None:
    credentials = simulator.credentials
    lines = [
        f"# A simulated Zoho Voice answers at {simulator.url}; Ctrl-C ends it.",
        f"export ZOHOVOICE_API_URL={simulator.url}",
        f"export ZOHOVOICE_API_ACCOUNTS_URL={simulator.url}",
        f"export ZOHOVOICE_AUTH_CLIENT_ID={credentials.client_id}",
        f"export ZOHOVOICE_AUTH_CLIENT_SECRET={credentials.client_secret.reveal()}",
        f"export ZOHOVOICE_AUTH_REFRESH_TOKEN={credentials.admin.reveal()}",
        f"# refresh token of a supervisor, who sees one team only: {credentials.supervisor.reveal()}",
        f"# grant code for 'auth exchange', good once and for three minutes: {simulator.new_code()}",
    ]
    click.echo("\n".join(lines))
