"""A night in a small contact centre, for reports whose right answers can be worked out by hand.

Times are local ones of Berlin, from Tuesday 2026-06-30 to Wednesday 2026-07-01. Polls come every 30 s and are answered
within 1 s, so a change that is seen at 23:30:00 happened after 23:29:29.

    stretch 1   23:00 to 00:30   ended by a crash
    stretch 2   00:40 to 02:00   ended by a shutdown

    Ann 1001   tracked from 23:00; in Sales until 00:50, then in Support
               23:00 Available, 23:30 On Call, 23:45 Available, 00:10 On Break (through the gap), 01:00 Available,
               01:20 On Call until the end
    Bob 1002   tracked from 00:00; in Support
               00:00 Offline, 00:15 Available, [the gap] 00:40 On Call, 01:30 Available until the end

Minutes in all:

    Ann   Available 30 + 25 + 20 = 75, On Call 15 + 40 = 55, On Break 20 + 20 = 40, unknown 10; together 180
    Bob   Available 15 + 30 = 45, On Call 50, Offline 15, unknown 10; together 120
"""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from exporter.history.facts import FOREVER, Change, Description, HistoryFacts, RecordedStretch
from exporter.history.window import Window
from exporter.model import AVAILABLE, OFFLINE, ON_BREAK, ON_CALL, EndReason, Status, Stretch
from tests.support.histories import agent_facts, recorder

BERLIN: Final = ZoneInfo("Europe/Berlin")
MINUTE: Final = 60_000


def at(clock: str) -> int:
    """The instant of a local time such as `23:30` or `00:29:59`: before noon it is of the second day."""
    day = "2026-06-30" if clock >= "12" else "2026-07-01"
    return round(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=BERLIN).timestamp() * 1000)


def _change(clock: str, before: Status, after: Status) -> Change:
    return Change(at(clock), at(clock) - 31_000, before, after)


NOW: Final = at("03:00")
WINDOW: Final = Window(at("23:00"), at("02:00"))
STRETCHES: Final = (
    RecordedStretch(
        Stretch(at("22:59:59"), at("23:00"), at("00:29:59"), at("00:30"), 181, 30_000, 75_000), EndReason.CRASH
    ),
    RecordedStretch(
        Stretch(at("00:39:59"), at("00:40"), at("01:59:59"), at("02:00"), 161, 30_000, 75_000), EndReason.SHUTDOWN
    ),
)
ANN: Final = agent_facts(
    "1001",
    (Description(at("23:00"), "Ann", "Sales"), Description(at("00:50"), "Ann", "Support")),
    ((at("23:00"), FOREVER),),
    (
        Change(at("23:00"), None, None, AVAILABLE),
        _change("23:30", AVAILABLE, ON_CALL),
        _change("23:45", ON_CALL, AVAILABLE),
        _change("00:10", AVAILABLE, ON_BREAK),
        _change("01:00", ON_BREAK, AVAILABLE),
        _change("01:20", AVAILABLE, ON_CALL),
    ),
)
BOB: Final = agent_facts(
    "1002",
    (Description(at("00:00"), "Bob", "Support"),),
    ((at("00:00"), FOREVER),),
    (
        Change(at("00:00"), None, None, OFFLINE),
        _change("00:15", OFFLINE, AVAILABLE),
        Change(at("00:40"), at("00:29:59"), AVAILABLE, ON_CALL),
        _change("01:30", ON_CALL, AVAILABLE),
    ),
)
FACTS: Final = HistoryFacts(
    window=WINDOW,
    agents=(ANN, BOB),
    sources=recorder(*STRETCHES),
    run_open=False,
    water_mark=None,
    words=frozenset({"Available", "On Call", "On Break", "Offline"}),
)
