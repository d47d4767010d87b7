"""The parameters of a query as what is asked of a report. Pure; no text makes it fail but with UsageError."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from exporter.errors import UsageError
from exporter.history.asking import Asked
from exporter.history.parameters import EDGES, SHARES, TAKES, Takes
from exporter.quoting import shown

Parameters = Mapping[str, tuple[str, ...]]

_ALWAYS: Final = ("since", "until", "tz", "agent", "team", "format", "limit", "offset")
REPEATABLE: Final = frozenset({"agent", "team", "status", "quality", "weekday", "by"})
"""Parameters that may stand in a query more than once; any of the values will do."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_YES: Final = frozenset({"", "1", "true", "yes"})
_NO: Final = frozenset({"0", "false", "no"})
_OPTION: Final = re.compile(r"('[^']*')|(?<![\w-])--(?=[a-z])")


def names(report: str) -> tuple[str, ...]:
    """The parameters of a report: the options of its command without dashes, and those of paging."""
    takes = TAKES[report]
    own = {
        "status": takes.status,
        "quality": takes.quality,
        "step": takes.step,
        "fewer-than": takes.step,
        "over": takes.over,
        "weekday": takes.times,
        "hours": takes.times,
        "by": takes.by,
        "share-of": takes.share_of,
        "stays": takes.stays,
        "edges": takes.rules,
        "bridge": takes.rules,
    }
    return (*_ALWAYS, *(name for name, taken in own.items() if taken))


def read(report: str, parameters: Parameters) -> Asked:
    """What is asked of the report.

    Raises UsageError, naming the parameter, for one that there is none of, for a single one that stands there twice,
    and for a value that is none of those there are. What only the history can tell is checked later.
    """
    known = names(report)
    for name, values in parameters.items():
        if name not in known:
            raise UsageError(f"{shown(name)} is no parameter of {report}: there are {', '.join(sorted(known))}")
        if len(values) > 1 and name not in REPEATABLE:
            raise UsageError(f"{name} stands there {len(values)} times: give it once")
    return _asked(_Given(parameters), TAKES[report])


def without_dashes(sentence: str) -> str:
    """A sentence that names options, for who gives parameters; what stands in quotes is left alone."""
    return _OPTION.sub(lambda found: found[1] or "", sentence)


def _asked(given: "_Given", takes: Takes) -> Asked:
    return Asked(
        tz=given.one("tz"),
        agents=given.many("agent"),
        teams=given.many("team"),
        since=given.one("since"),
        until=given.one("until"),
        statuses=given.many("status"),
        qualities=given.words("quality", takes.quality),
        weekdays=given.many("weekday"),
        hours=given.one("hours"),
        edges=given.word("edges", EDGES),
        bridge=given.one("bridge") or "0s",
        by=given.words("by", takes.by) or takes.by_default,
        share_of=given.word("share-of", SHARES),
        stays=given.yes("stays"),
        step=given.one("step"),
        fewer_than=given.number("fewer-than"),
        over=given.one("over"),
    )


class _Given:
    """Reads parameters by name; what is not there has no value, and what is empty has an empty one."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def many(self, name: str) -> tuple[str, ...]:
        return self._parameters.get(name, ())

    def one(self, name: str) -> str | None:
        return next(iter(self.many(name)), None)

    def words(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        for text in self.many(name):
            if text not in choices:
                raise UsageError(f"{name} {shown(text)} is none of those there are: give one of {', '.join(choices)}")
        return self.many(name)

    def word(self, name: str, choices: Sequence[str]) -> str:
        """The first of the choices if nothing was given."""
        return next(iter(self.words(name, choices)), choices[0])

    def yes(self, name: str) -> bool:
        text = self.one(name)
        if text is None or text in _NO:
            return False
        if text not in _YES:
            raise UsageError(f"{name} {shown(text)} is neither true nor false: write {name}=true, or leave it out")
        return True

    def number(self, name: str) -> int | None:
        text = self.one(name)
        if text is not None and (not _NUMBER.fullmatch(text) or int(text) < 1):
            raise UsageError(f"{name} {shown(text)} is not a whole number from 1 on")
        return int(text) if text is not None else None
