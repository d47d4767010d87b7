"""Names and teams when facts of two origins come together: each holds where its own origin covers the time. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from exporter.history.facts import Description, Period

_SINCE: Final = attrgetter("since")


def descriptions_to_add(
    theirs: Sequence[Description], ours: Sequence[Description], our_time: Sequence[Period]
) -> list[Description]:
    """What makes `theirs` say `ours` in our covered time, and what they said before everywhere else.

    `theirs` are all descriptions of an agent that are stored, `ours` those that come with the time `our_time` (disjoint
    periods); both in order of time. Ours that tell neither a name nor a team say nothing. A description holds until the
    next one, and the first one before itself too. One of the result at the instant of a stored one is to replace it.
    """
    ours = [description for description in ours if description.name or description.team]
    if not ours:
        return []
    if not theirs:
        return list(ours)
    wanted: dict[int, Description] = {}
    for start, end in our_time:
        wanted[start] = _at(ours, start)
        inside = (*_between(ours, start, end), *_between(theirs, start, end))
        wanted |= {description.since: _at(ours, description.since) for description in inside}
        wanted.setdefault(end, _at(theirs, end))
    stored = {description.since: description for description in theirs}
    result = []
    before: Description | None = None
    for since in sorted(stored.keys() | wanted.keys()):
        now = (wanted.get(since) or stored[since])._replace(since=since)
        is_new = before is None or now[1:] != before[1:] or since in stored
        if since in wanted and is_new and now != stored.get(since):
            result.append(now)
        before = now
    return result


def _at(descriptions: Sequence[Description], at: int) -> Description:
    return descriptions[max(0, bisect_right(descriptions, at, key=_SINCE) - 1)]


def _between(descriptions: Sequence[Description], after: int, before: int) -> Sequence[Description]:
    first = bisect_right(descriptions, after, key=_SINCE)
    return descriptions[first : bisect_left(descriptions, before, lo=first, key=_SINCE)]
