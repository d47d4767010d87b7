"""Bodies of scrapes: exact text, hostile names, both formats saying the same, one valid gzip member."""

import asyncio
import gzip
import importlib.util
import subprocess
import sys
import zlib
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import ProcessCollector

from exporter.metrics import compress
from exporter.metrics.exposition import Exposition, render, render_in_steps
from exporter.metrics.text import Format
from exporter.model import ABSENT, AVAILABLE, BUSY, ERROR, KNOWN_STATUSES, ON_CALL, Agent, Kind, Status
from exporter.settings import MetricsSettings
from tests.support.metrics import Polled, everything, read
from tests.support.programs import promtool

HOSTILE = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from('\\"\n\r\0{},=# \ud83d\x85\u2028')))
STATUSES = st.one_of(
    st.sampled_from([*KNOWN_STATUSES, ERROR, ABSENT]),
    st.builds(Status, st.just(Kind.REPORTED), st.one_of(HOSTILE, st.sampled_from(["unknown", "other"]))),
)
IDS = st.integers(0, 2**80).map(str)


def bodies(polled: Polled) -> dict[Format, bytes]:
    return {form: polled.instruments.scrape(form, gzip=False).whole for form in Format}


@given(st.dictionaries(IDS, st.tuples(STATUSES, HOSTILE, HOSTILE), max_size=20))
def test_hostile_names_are_read_back_the_same_from_both_formats(crew: dict[str, tuple[Status, str, str]]) -> None:
    polled = Polled(MetricsSettings(names=True))
    agents = {agent_id: Agent(agent_id, name, team) for agent_id, (_, name, team) in crew.items()}
    for _ in range(2):
        polled.poll({agent_id: status for agent_id, (status, _, _) in crew.items()}, agents)
    body = bodies(polled)
    text, openmetrics = (read(body[form], form) for form in Format)
    volatile = ("process_", "python_gc_")
    assert {key: value for key, value in text.items() if not key[0].startswith(volatile)} == {
        key: value for key, value in openmetrics.items() if not key[0].startswith(volatile)
    }
    names = {labels for name, labels in text if name == "zohovoice_agent_info"}
    assert len(names) == len(crew)
    for agent in agents.values():
        readable = {
            "agent_id": agent.agent_id,
            "name": _readable(agent.name),
            "team": _readable(agent.team),
        }
        assert tuple(sorted(readable.items())) in names


def _readable(text: str) -> str:
    """What a label can say of a text, by another way than the code goes: through UTF-8 with replacement."""
    shown = "".join("\ufffd" if 0xD800 <= ord(char) < 0xE000 else char for char in text)
    return shown.replace("\0", "\ufffd").replace("\r", " ")


@given(st.dictionaries(IDS, STATUSES, max_size=60))
def test_the_sum_over_statuses_is_the_number_of_agents_and_each_has_exactly_one(crew: dict[str, Status]) -> None:
    polled = Polled()
    polled.poll(crew)
    totals = polled.by("status", "zohovoice_agents")
    assert sum(totals.values()) == len(crew)
    states: dict[str, dict[str, float]] = {agent_id: {} for agent_id in crew}
    for (name, labels), value in polled.series.items():
        if name == "zohovoice_agent_status":
            states[dict(labels)["agent_id"]][dict(labels)["status"]] = value
    for statuses in states.values():
        assert sorted(statuses.values()) == [0.0] * (len(totals) - 1) + [1.0]
        assert statuses.keys() == totals.keys()


def test_the_agents_part_is_exactly_this() -> None:
    polled = Polled(MetricsSettings(names=True))
    team = {"11": Agent("11", 'Ann "A" Lee', "Sales"), "7": Agent("7", "Bo\\b", "")}
    polled.poll({"7": AVAILABLE, "11": BUSY}, team)
    polled.poll({"7": ON_CALL, "11": BUSY}, team)
    lines = [
        line
        for line in bodies(polled)[Format.TEXT].decode().splitlines()
        if line.startswith(("zohovoice_agent", "zohovoice_team", "zohovoice_up"))
        and not line.startswith("zohovoice_agent_status_transitions_total")
    ]
    assert lines == [
        'zohovoice_agents{status="Available"} 0',
        'zohovoice_agents{status="Busy"} 1',
        'zohovoice_agents{status="On Break"} 0',
        'zohovoice_agents{status="On Call"} 1',
        'zohovoice_agents{status="Offline"} 0',
        'zohovoice_agents{status="unknown"} 0',
        'zohovoice_team_agents{team="",status="Available"} 0',
        'zohovoice_team_agents{team="",status="Busy"} 0',
        'zohovoice_team_agents{team="",status="On Break"} 0',
        'zohovoice_team_agents{team="",status="On Call"} 1',
        'zohovoice_team_agents{team="",status="Offline"} 0',
        'zohovoice_team_agents{team="",status="unknown"} 0',
        'zohovoice_team_agents{team="Sales",status="Available"} 0',
        'zohovoice_team_agents{team="Sales",status="Busy"} 1',
        'zohovoice_team_agents{team="Sales",status="On Break"} 0',
        'zohovoice_team_agents{team="Sales",status="On Call"} 0',
        'zohovoice_team_agents{team="Sales",status="Offline"} 0',
        'zohovoice_team_agents{team="Sales",status="unknown"} 0',
        "zohovoice_agents_over_limit 0",
        'zohovoice_agent_status{agent_id="11",status="Available"} 0',
        'zohovoice_agent_status{agent_id="11",status="Busy"} 1',
        'zohovoice_agent_status{agent_id="11",status="On Break"} 0',
        'zohovoice_agent_status{agent_id="11",status="On Call"} 0',
        'zohovoice_agent_status{agent_id="11",status="Offline"} 0',
        'zohovoice_agent_status{agent_id="11",status="unknown"} 0',
        'zohovoice_agent_status{agent_id="7",status="Available"} 0',
        'zohovoice_agent_status{agent_id="7",status="Busy"} 0',
        'zohovoice_agent_status{agent_id="7",status="On Break"} 0',
        'zohovoice_agent_status{agent_id="7",status="On Call"} 1',
        'zohovoice_agent_status{agent_id="7",status="Offline"} 0',
        'zohovoice_agent_status{agent_id="7",status="unknown"} 0',
        'zohovoice_agent_status_since_timestamp_seconds{agent_id="11"} 1700000000.0',
        'zohovoice_agent_status_since_timestamp_seconds{agent_id="7"} 1700000030.0',
        'zohovoice_agent_status_changes_total{agent_id="11"} 0',
        'zohovoice_agent_status_changes_total{agent_id="7"} 1',
        'zohovoice_agent_status_seconds_total{agent_id="11",status="Available"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="11",status="Busy"} 30.0',
        'zohovoice_agent_status_seconds_total{agent_id="11",status="On Break"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="11",status="On Call"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="11",status="Offline"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="11",status="unknown"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="7",status="Available"} 30.0',
        'zohovoice_agent_status_seconds_total{agent_id="7",status="Busy"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="7",status="On Break"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="7",status="On Call"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="7",status="Offline"} 0.0',
        'zohovoice_agent_status_seconds_total{agent_id="7",status="unknown"} 0.0',
        'zohovoice_agent_info{agent_id="11",name="Ann \\"A\\" Lee",team="Sales"} 1',
        'zohovoice_agent_info{agent_id="7",name="Bo\\\\b",team=""} 1',
        "zohovoice_up 1",
    ]


@pytest.mark.parametrize("agents", [0, 1, 3, 1000])
@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("with_agents", [True, False])
def test_a_gzip_body_is_one_member_that_holds_exactly_the_plain_body(
    agents: int, form: Format, with_agents: bool
) -> None:
    polled = Polled()
    polled.poll({str(number): KNOWN_STATUSES[number % 5] for number in range(agents)})
    exposition = polled.instruments.exposition
    plain = exposition.body(form, gzip=False, scrape_part=b"a 1\n", with_agents=with_agents).whole
    packed = exposition.body(form, gzip=True, scrape_part=b"a 1\n", with_agents=with_agents).whole
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)  # one member, unlike gzip.decompress
    assert reader.decompress(packed) == plain
    assert reader.eof
    assert reader.unused_data == b""


@pytest.mark.parametrize("form", Format)
def test_without_a_part_of_the_scrape_the_gzip_body_is_still_whole(form: Format) -> None:
    exposition = Polled().instruments.exposition
    assert gzip.decompress(exposition.body(form, gzip=True).whole) == exposition.body(form, gzip=False).whole


def test_where_isal_is_missing_zlib_writes_the_same_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    without = _fresh_copy(compress)
    assert without.new_deflater.__doc__ != compress.new_deflater.__doc__
    first, last = b"zohovoice_up 1\n" * 5_000, b"# EOF\n"
    packed = without.gzip_member(without.piece(first), without.crc32(first), len(first), last)
    assert gzip.decompress(packed) == first + last
    assert without.crc32(last, without.crc32(first)) == compress.crc32(last, compress.crc32(first))


def _fresh_copy(module: ModuleType) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fresh_copy", str(module.__file__))
    assert spec is not None
    assert spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


def test_openmetrics_ends_with_its_mark_and_text_does_not_know_it() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    body = bodies(polled)
    assert body[Format.OPENMETRICS].endswith(b"\n# EOF\n")
    assert body[Format.OPENMETRICS].count(b"# EOF") == 1
    assert b"# EOF" not in body[Format.TEXT]
    assert body[Format.TEXT].endswith(b"\n")


def test_no_sample_carries_a_timestamp_or_a_created_series() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    for body in bodies(polled).values():
        assert b"_created" not in body
        for line in body.decode().splitlines():
            assert line.startswith("#") or len(line.rpartition("}")[2].split()) == (1 if "}" in line else 2), line


def test_rendering_in_steps_and_at_once_give_the_same_and_a_thousand_agents_take_many_steps() -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({str(number): BUSY for number in range(1000)})
    snapshot = polled.instruments._snapshot(5)
    steps = render_in_steps(snapshot)
    count = 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as done:
            exposition: Exposition = done.value
            break
    assert exposition == render(snapshot)
    assert count > 20


def test_what_is_counted_while_a_poll_is_being_rendered_is_shown_by_the_next() -> None:
    polled = Polled()

    async def publish_while_polling() -> None:
        first = asyncio.create_task(polled.instruments.publish_in_steps(1))
        await asyncio.sleep(0)
        polled.instruments.poll_skipped()
        assert (await first).made_at == 1
        assert polled.value("zohovoice_polls_skipped_total") == 0
        await polled.instruments.publish_in_steps(2)
        assert polled.value("zohovoice_polls_skipped_total") == 1

    asyncio.run(publish_while_polling())


def test_agents_that_were_too_old_stay_away_while_the_poll_that_replaces_them_is_being_rendered() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    polled.clock.pass_time(600)
    polled.poll({"1": BUSY}, publish=False)
    assert polled.by("status", "zohovoice_agents") == {}
    polled.publish()
    assert polled.value("zohovoice_agents", status="Busy") == 1


@pytest.mark.parametrize("stale", [False, True])
def test_promtool_has_nothing_to_say(stale: bool) -> None:
    checker = promtool()
    polled = Polled(MetricsSettings(names=True))
    everything(polled.instruments)
    crew = {"1": AVAILABLE, "2": ERROR, "3": Status(Kind.REPORTED, "Träning\n")}
    polled.poll(crew, {"1": Agent("1", 'J"\\ö\n\r', "Süd")})
    polled.poll(crew | {"1": ON_CALL})
    if stale:
        polled.clock.pass_time(600)
    body = bodies(polled)[Format.TEXT]
    assert (b"zohovoice_agents" in body) is not stale
    checked = subprocess.run([checker, "check", "metrics"], input=body, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_part_of_the_scrape_is_made_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    collect = ProcessCollector.collect

    def counted(self: ProcessCollector) -> object:
        made.append(polled.clock.monotonic())
        return collect(self)

    monkeypatch.setattr(ProcessCollector, "collect", counted)
    polled = Polled()
    for _ in range(100):
        polled.instruments.scrape(Format.TEXT, gzip=True)
        polled.clock.pass_time(0.1)
    # The monotonic clock's steps of 0.1 s do not add up to whole seconds exactly.
    assert 9 <= len(made) <= 10
    assert all(later - earlier >= 1 for earlier, later in pairwise(made))


def test_a_packed_body_is_kept_as_long_as_nothing_in_it_changes() -> None:
    polled = Polled()
    polled.poll({"1": AVAILABLE})
    kept = polled.instruments.scrape(Format.TEXT, gzip=True)
    assert polled.instruments.scrape(Format.TEXT, gzip=True) is kept
    assert polled.instruments.scrape(Format.OPENMETRICS, gzip=True) is not kept
    polled.instruments.requests.answered("metrics", 200)
    assert polled.instruments.scrape(Format.TEXT, gzip=True) is kept
    polled.clock.pass_time(1)
    counted = polled.instruments.scrape(Format.TEXT, gzip=True)
    assert b'handler="metrics",code="200"} 1' in gzip.decompress(counted.whole)
    polled.publish()
    assert polled.instruments.scrape(Format.TEXT, gzip=True) is not counted
    shown = polled.instruments.scrape(Format.TEXT, gzip=True)
    polled.clock.pass_time(60)
    stale = polled.instruments.scrape(Format.TEXT, gzip=True)
    assert (b"agent_id" in gzip.decompress(shown.whole), b"agent_id" in gzip.decompress(stale.whole)) == (True, False)


def test_a_long_plain_body_comes_in_pieces_that_both_formats_share() -> None:
    polled = Polled()
    polled.poll({str(number): AVAILABLE for number in range(3_000)})
    text, openmetrics = (polled.instruments.scrape(form, gzip=False) for form in Format)
    assert text.length == len(text.whole)
    assert len(text.pieces) > 10
    assert max(map(len, text.pieces)) < 1_000_000
    shared = {id(piece) for piece in text.pieces} & {id(piece) for piece in openmetrics.pieces}
    assert sum(len(piece) for piece in text.pieces if id(piece) in shared) > 0.99 * text.length
    polled.poll({"1": AVAILABLE})
    assert len(polled.instruments.scrape(Format.TEXT, gzip=False).pieces) == 2


def test_a_long_packed_body_comes_in_pieces_too_so_that_nothing_is_joined_that_grows_with_the_agents() -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({str(40126507412780000 + number): AVAILABLE for number in range(15_000)})
    for form in Format:
        packed, plain = (polled.instruments.scrape(form, gzip=gzipped) for gzipped in (True, False))
        assert packed.length == len(packed.whole) > 600_000
        assert all(100_000 < len(piece) < 600_000 for piece in packed.pieces[:-1])
        assert len(packed.pieces[-1]) < 600_000
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert unpacker.decompress(packed.whole) == plain.whole
        assert (unpacker.eof, unpacker.unused_data) == (True, b"")
    polled.poll({"1": AVAILABLE})
    assert len(polled.instruments.scrape(Format.TEXT, gzip=True).pieces) == 1
