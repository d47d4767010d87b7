"""What coverage and counters must say of a story, worked out from the polls that there really were."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping

from hypothesis import event

from exporter.metrics.statuses import CLOSED
from exporter.model import AgentId, Kind, Status
from exporter.report.model import Report
from tests.support.stories import Story
from tests.support.world import Asked


def check_coverage(story: Story, report: Report) -> None:
    """Time between two polls is covered or not, and a gap says why; where the clock was set or facts were given up,
    other tests look."""
    for before, after in itertools.pairwise(story.log.written):
        if story.stepped(before, after) or story.lost(before, after):
            continue
        start, end = before.poll.received, after.poll.received
        (row,) = [row for row in report.rows if int(row["start"]) <= start and end <= int(row["end"])]
        assert row["covered"] is not story.apart(before, after)
        reason = _why_apart(story, before, after)
        if reason is not None:
            assert row["reason"] == reason, (row, before, after)
            event(f"a gap: {reason}")


def _why_apart(story: Story, before: Asked, after: Asked) -> str | None:
    """Why the time between two polls is not known; None if it is, or if the end of a run is in it."""
    if after.poll.received - before.poll.received <= before.gap_limit_ms:
        return "reconfigured" if story.repaced(before, after) else None
    if before.run != after.run:
        return None
    since, until = before.true_received * 1_000, after.true_sent * 1_000
    if any(since < failed < until for failed in story.log.failed_us):
        return "poll failure"
    changes = [us for us in story.log.changed_us if before.true_sent * 1_000 < us < after.true_received * 1_000]
    if any(us <= since + 1_000 or us >= until for us in changes):
        return None  # in the middle of one of the two, and which of them it comes before is not known here
    return "reconfigured" if changes else "poll failure"


def check_counters(story: Story) -> None:
    """At the end of a run each status of an agent has been credited the time between polls that belong together and of
    which the first saw the agent in it, and no other."""
    for run, credited in story.log.credited.items():
        polls = [asked for asked in story.log.taken if asked.run == run]
        assert credited.keys() == polls[-1].poll.readings.keys()
        for agent_id, times in credited.items():
            sure, possible = _times(story, polls, agent_id)
            found = _by_label(times)
            for label in {*found, *possible}:
                assert sure[label] <= found[label] <= possible[label], (run, agent_id, label, sure, found, possible)


def _times(story: Story, polls: list[Asked], agent_id: AgentId) -> tuple[Counter[str], Counter[str]]:
    """The least and the most that may be credited to each label, in ms. They differ only where the clock was set."""
    sure, possible = Counter[str](), Counter[str]()
    for before, after in itertools.pairwise(_since_joining(polls, agent_id)):
        length = max(0, after.poll.received - before.poll.received)
        label = _label(before.poll.readings[agent_id])
        if story.stepped(before, after):
            possible[label] += length
        elif not story.apart(before, after):
            sure[label] += length
            possible[label] += length
    return sure, possible


def _since_joining(polls: list[Asked], agent_id: AgentId) -> Iterator[Asked]:
    """The latest polls that asked for the agent without a break: counters of who has left are forgotten."""
    asked = list(itertools.takewhile(lambda one: agent_id in one.poll.readings, reversed(polls)))
    return reversed(asked)


def _by_label(times: Mapping[str, int]) -> Counter[str]:
    found = Counter[str]()
    for label, time in times.items():
        found[label if label in CLOSED else "other"] += time
    return found


def _label(status: Status) -> str:
    """The label that a status is counted under; all words that are not documented are one here."""
    if status.kind is not Kind.REPORTED:
        return "unknown"
    return status.word if status.word in CLOSED else "other"
