"""What the history claims agrees with what really was, through faults, restarts, crashes and clocks that are set."""

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zoneinfo import ZoneInfo

from hypothesis import event, example, given, settings

from exporter.history.question import Question
from exporter.history.reader import HistoryReader
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.report.model import Report
from exporter.simulator.faults import Fault, FaultKind
from exporter.simulator.simulation import Simulation, SimulationSettings
from tests.support.children import child, serve_arguments
from tests.support.cli import environment
from tests.support.recorded import check_laws, read_database
from tests.support.running import simulated
from tests.support.stories import AGENTS, INVENTING, WORDS, Program, Story, played, programs, told_by_hand
from tests.support.true_time import LONGEST_LOOK_MS
from tests.support.truths import check_counters, check_coverage
from tests.support.world import Asked

UTC: Final = ZoneInfo("UTC")
STEP_TOLERANCE_MS: Final = 2_000
EXAMPLES: Final = settings().max_examples * 4 // 10
"""Each is a story of a hundred requests, so fewer than elsewhere."""


def check_polls(story: Story) -> None:
    """What each poll read was so while it was under way."""
    for asked in story.log.asked.values():
        for agent_id, status in asked.poll.readings.items():
            assert story.may_say(asked, agent_id, status.word), (
                f"{agent_id} was never '{status.word}' in {asked}, but "
                f"{story.simulation.changes(agent_id, asked.true_sent - 1_000, asked.true_received + 1_000)}"
            )


def check_transitions(story: Story, report: Report) -> None:
    """The recorded transitions are those between the polls that were written, and each happened inside its bounds."""
    columns = ("agent_id", "from_status", "to_status", "seen")
    recorded = {tuple(row[column] for column in columns): row["not_before"] for row in report.rows}
    assert len(recorded) == len(report.rows)
    for before, after in _pairs(story.log.written):
        for agent_id, status in after.poll.readings.items():
            known = before.poll.readings.get(agent_id) if before is not None else None
            if before is None or known is None:
                assert recorded.pop((agent_id, None, status.word, after.poll.received)) is None
            elif known != status:
                not_before = recorded.pop((agent_id, known.word, status.word, after.poll.received))
                assert isinstance(not_before, int)
                _check_change(story, agent_id, before, after, not_before)
    assert not recorded, f"never happened: {recorded}"


def _check_change(story: Story, agent_id: str, before: Asked, after: Asked, not_before: int) -> None:
    ahead, stepped = after.poll.sent - after.true_sent, story.stepped(before, after)
    assert not_before <= before.poll.sent if stepped else not_before == before.poll.sent
    words = before.poll.readings[agent_id].word, after.poll.readings[agent_id].word
    if (before.faults | after.faults) & INVENTING or "error" in words:
        return
    changes = story.simulation.changes(agent_id, before.true_sent + 1, after.true_received + 1)
    into = [change.at + ahead for change in changes if change.to_word == words[1]]
    assert into, f"{agent_id} never became '{words[1]}' between {before} and {after}"
    if len(changes) == 1:
        assert (changes[0].from_word, changes[0].to_word) == words
    if not stepped:
        assert not_before < into[-1] <= after.poll.received
    elif story.told(before, after):
        # By the clock as it is now; how far it was set is known as well as two clocks can be looked at at once.
        event("a transition over a step of the clock")
        assert not_before - 2 * LONGEST_LOOK_MS < into[-1] <= after.poll.received


def _pairs(written: Sequence[Asked]) -> Iterator[tuple[Asked | None, Asked]]:
    yield from zip([None, *written], written, strict=False)


def check_timeline(story: Story, report: Report, window: Window) -> None:
    """Row by row: between two polls that belong together the status of the first, elsewhere unknown, and no hole."""
    by_agent: dict[str, list[Mapping[str, Any]]] = {}
    for row in report.rows:
        by_agent.setdefault(str(row["agent_id"]), []).append(row)
    tracked = covered = 0
    for agent_id, spans in _expected(story, window).items():
        rows = by_agent.pop(agent_id, [])
        for start, end, allowed in spans:
            found = [row for row in rows if row["start"] < end and start < row["end"]]
            assert found, f"nothing of {agent_id} in [{start}, {end})"
            assert {row["status"] for row in found} <= allowed, (agent_id, start, end, allowed, found)
            assert sum(min(row["end"], end) - max(row["start"], start) for row in found) == end - start
        length = sum(end - start for start, end, _ in spans)
        assert sum(row["end"] - row["start"] for row in rows) == length
        for earlier, later in itertools.pairwise(rows):
            assert earlier["start"] < earlier["end"] <= later["start"] < later["end"]
        tracked += length
        covered += sum(row["end"] - row["start"] for row in rows if row["quality"] != "unknown")
        for row in rows:
            _check_row(story, row, window)
    assert not by_agent, f"rows outside tracked time: {by_agent}"
    assert report.meta["tracked_seconds"] == tracked
    assert report.meta["covered_seconds"] == covered
    assert report.meta["unknown_seconds"] == tracked - covered


def _expected(story: Story, window: Window) -> dict[str, list[tuple[int, int, set[str]]]]:
    """For each agent the time in the window in which it was tracked, in pieces, with what each may be said to be."""
    found: dict[str, list[tuple[int, int, set[str]]]] = {}
    polls = story.log.written
    for here, after in itertools.zip_longest(polls, polls[1:]):
        until = after.poll.received if after is not None else window.until
        start, end = max(here.poll.received, window.since), min(until, window.until)
        for agent_id, status in here.poll.readings.items():
            if start >= end or (after is not None and agent_id not in after.poll.readings):
                continue  # of one who has left nothing is known after the last poll that asked
            found.setdefault(agent_id, []).append((start, end, _allowed(story, here, after, status.word)))
    return found


def _allowed(story: Story, here: Asked, after: Asked | None, word: str) -> set[str]:
    if after is None or story.apart(here, after):
        return {"unknown"}
    if not story.stepped(here, after):
        # What was given up in between may have been anything.
        return {"unknown", word} if story.lost(here, after) else {word}
    far = abs((after.poll.sent - after.true_sent) - (here.poll.sent - here.true_sent)) > STEP_TOLERANCE_MS
    return {"unknown"} if far and story.told(here, after) else {"unknown", word}


def _check_row(story: Story, row: Mapping[str, Any], window: Window) -> None:
    """The polls that bound a stay really saw it, and its edges lie where its bounds say."""
    assert row["start_not_before"] <= row["start"] < row["end"]
    assert row["end_not_before"] <= row["end"]
    if row["quality"] == "unknown":
        return
    agent_id, word, polls = row["agent_id"], row["status"], story.log.written
    for asked in polls:
        inside = row["start"] <= asked.poll.received and asked.poll.sent <= row["end_not_before"]
        if inside and asked.poll.received < row["end"]:
            assert asked.poll.readings[agent_id].word == word
            assert story.may_say(asked, agent_id, word)
    if row["start"] > window.since:
        assert any(asked.poll.received == row["start"] for asked in polls)
    if row["end"] < window.until:
        index = next(index for index, asked in enumerate(polls) if asked.poll.received == row["end"])
        closing, after = polls[index], polls[index + 1] if index + 1 < len(polls) else None
        edges = {row["start"], window.since, polls[index - 1].poll.sent, closing.poll.sent}
        if after is not None and agent_id not in after.poll.readings:
            edges.add(row["end"])  # the end of tracking is not stored with the poll's sending, so it counts as exact
        assert row["end_not_before"] in edges or story.stepped(polls[index - 1], closing)


def report_of(directory: Path, name: str, window: Window) -> Report:
    with HistoryReader.open(directory / "zohovoice.db") as reader:
        return REPORTS[name](reader.facts(window), Question(window, UTC, window.until))


@example(program=told_by_hand(("poll", 2), ("pause", 14_500), ("poll", 2), ("pause", 15_500), ("poll", 2)))
@example(program=told_by_hand(*[("set clock", by) for by in (3_000, -3_000, -6_000, 12_000, -30_000)], ("poll", 8)))
@example(program=told_by_hand(*[("set clock", by) for by in (-3_000, -3_000)], ("poll", 4), restlessness=1.0))
@example(program=told_by_hand(("poll", 2), ("lock", 0), ("poll", 8), ("unlock", 0), ("pause", 60_000), ("poll", 4)))
@example(
    program=told_by_hand(("poll", 2), ("restart", 1), ("poll", 2), ("crash", 9_000), ("poll", 2), ("restart", 40_000))
)
# A shorter silence than the new interval allows, but longer than the old one, in which polls failed.
@example(
    program=told_by_hand(
        ("poll", 2),
        ("fault", 0, "statuses:server-error"),
        ("poll", 1),
        ("reload", 30, "", 5),
        ("clear", 0),
        ("poll", 2),
    )
)
@example(program=told_by_hand(("poll", 3), ("reload", 30), ("poll", 3), ("reload", 4), ("poll", 3), ("restart", 1)))
@example(
    program=told_by_hand(("poll", 3), ("reload", 30), ("pause", 60_000), ("poll", 2), ("reload", 4), ("pause", 60_000))
)
@example(program=told_by_hand(("poll", 2), ("fault", 3, "statuses:wrong-types,factor=0.75"), ("poll", 2)))
@example(program=told_by_hand(("poll", 2), ("fault", 3, "statuses:missing-rows,count=1"), ("poll", 2)))
@settings(max_examples=EXAMPLES)
@given(program=programs())
def test_whatever_happens_the_history_claims_nothing_that_was_not_so(program: Program) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        story = asyncio.run(played(program, directory))
        log = story.log
        event(f"{min(len(log.written), 20) // 5 * 5}+ polls written")
        check_laws(read_database(directory / "zohovoice.db"))
        check_polls(story)
        check_counters(story)
        if not log.written:
            return
        assert [a.poll.received for a in log.written] == sorted({a.poll.received for a in log.written})
        first, last = log.written[0].poll.received, log.written[-1].poll.received
        whole = Window(first - 60_000, last + 60_000)
        check_transitions(story, report_of(directory, "transitions", whole))
        check_timeline(story, report_of(directory, "timeline", whole), whole)
        check_coverage(story, report_of(directory, "coverage", whole))
        since, until = sorted(first + round(cut * (last - first)) for cut in program.cuts)
        part = Window(since, until)
        check_timeline(story, report_of(directory, "timeline", part), part)


async def take_turns(simulation: Simulation) -> None:
    """Each agent changes its status every 0.9 seconds: too rarely for a change to hide inside a gap limit of 0.25."""
    for turn in itertools.count():
        for agent in simulation.agents:
            simulation.set_status(agent.agent_id, WORDS[(turn + agent.position) % len(WORDS)])
            await asyncio.sleep(0.9 / len(simulation.agents))


async def told_by_the_command(directory: Path) -> dict[str, Any]:
    """What `history timeline` writes for the last minutes."""
    async with child(
        "history", "timeline", f"--db={directory}/zohovoice.db", "--since=10m", "--tz=UTC", "--format=json"
    ) as command:
        assert await command.ends() == 0
    report: dict[str, Any] = json.loads(command.out)
    for row in report["rows"]:
        for key in ("start", "end", "start_not_before", "end_not_before"):
            row[key] = round(datetime.fromisoformat(row[key]).timestamp() * 1_000)
    return report


def test_what_the_command_tells_of_a_real_run_was_so_at_every_instant_of_it(tmp_path: Path) -> None:
    """In real time, with a real process that is killed once; a fault in the middle; a report while it runs, and after.

    Changes are rarer than the gap limit, so none can hide: every instant that a row is sure of must be true.
    """

    async def run() -> tuple[Simulation, dict[str, Any], dict[str, Any]]:
        options = SimulationSettings(agents=AGENTS, calls_per_agent_hour=0)
        async with simulated(options) as simulator:
            changing = asyncio.create_task(take_turns(simulator.simulation))
            arguments, env = serve_arguments(tmp_path, interval="100ms"), environment(simulator)
            async with child(*arguments, env=env) as program:
                await program.until_logged("first good poll")
                await asyncio.sleep(1.5)
                await program.kill()
            async with child(*arguments, env=env) as program:
                await program.until_logged("first good poll")
                await asyncio.sleep(1.0)
                simulator.switchboard.set("statuses", Fault(FaultKind.SERVER_ERROR))
                await asyncio.sleep(0.5)
                simulator.switchboard.clear()
                await asyncio.sleep(1.2)
                live = await told_by_the_command(tmp_path)
                assert (await program.stop())[0] == 0
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
            return simulator.simulation, live, await told_by_the_command(tmp_path)

    simulation, live, ended = asyncio.run(run())
    for report in (live, ended):
        assert {row["agent_id"] for row in report["rows"]} == {agent.agent_id for agent in simulation.agents}
        for agent in simulation.agents:
            check_told(simulation, tmp_path, [row for row in report["rows"] if row["agent_id"] == agent.agent_id])
        meta = report["meta"]
        assert meta["tracked_seconds"] == round(meta["covered_seconds"] + meta["unknown_seconds"], 3)
        assert sum(row["end"] - row["start"] for row in report["rows"]) == round(meta["tracked_seconds"] * 1_000)
        assert meta["covered_seconds"] > AGENTS * 2
    assert not any(row["provisional"] for row in ended["rows"])


def check_told(simulation: Simulation, directory: Path, rows: list[dict[str, Any]]) -> None:
    stretches = {stretch.started: stretch for stretch in read_database(directory / "zohovoice.db").stretches}
    assert len({row["status"] for row in rows} - {"unknown"}) > 1
    for earlier, later in itertools.pairwise(rows):
        assert earlier["start"] < earlier["end"] == later["start"]
        assert (earlier["status"], earlier["quality"]) != (later["status"], later["quality"])
    for row in rows:
        assert row["duration_seconds"] == round((row["end"] - row["start"]) / 1_000, 3)
        if row["quality"] == "unknown":
            continue
        agent_id, start, sure_until = row["agent_id"], row["start"], row["end_not_before"]
        seen_from = stretches[start].first_sent if start in stretches else row["start_not_before"]
        began = simulation.changes(agent_id, seen_from, start + 1)
        words = {simulation.status_at(agent_id, seen_from - 1), *(change.to_word for change in began)}
        assert row["status"] in words, f"never so at its beginning: {row}, {began}"
        if start < sure_until and not row["provisional"]:
            assert simulation.status_at(agent_id, start) == row["status"], row
            assert not simulation.changes(agent_id, start + 1, sure_until), row
