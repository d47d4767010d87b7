"""`intervals`: how many agents were in each status in each quarter of an hour, or whatever the step is."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import add
from typing import Final, NamedTuple, overload
from zoneinfo import ZoneInfo

from exporter.history.algebra import Rules, covered_time
from exporter.history.buckets import interval_buckets
from exporter.history.classes import Class
from exporter.history.concurrency import AgentSpans, Course, Figures, agent_spans, together
from exporter.history.facts import HistoryFacts
from exporter.history.question import Group, Question
from exporter.history.reports.common import Tally, header, kinds_of, share, status_order
from exporter.history.reports.occupancy import classes_text
from exporter.history.window import Window
from exporter.model import KNOWN_STATUSES, UNKNOWN, Kind, Status
from exporter.report.model import Cell, Column, ColumnKind, Report

_FIGURES: Final = (
    Column("agent_seconds", ColumnKind.DURATION),
    Column("mean_agents", ColumnKind.NUMBER),
    Column("peak_agents", ColumnKind.COUNT),
    Column("least_agents", ColumnKind.COUNT),
    Column("fewer_sure_seconds", ColumnKind.DURATION),
    Column("fewer_possible_seconds", ColumnKind.DURATION),
    Column("coverage", ColumnKind.SHARE),
    Column("provisional", ColumnKind.FLAG),
)
_FORMULA: Final = (
    "agent_seconds: time of all agents together in the {what}, clipped to the interval; mean: agent_seconds by the "
    "length of the interval; peak and least: most and fewest agents in it at once; fewer_possible: time with fewer "
    "than {limit} in it as far as was seen; fewer_sure: with fewer than {limit} even if everyone whose status is not "
    "known was in it; time in which nobody was tracked is neither, and where nobody was tracked at all, mean, peak and "
    "least are empty; coverage: reported time of the tracked time of all"
)
_CHUNK_MS: Final = 86_400_000
"""What is read at once: some 50 transitions an agent, so a thousand agents take a few megabytes."""
_ALWAYS: Final = (*KNOWN_STATUSES, UNKNOWN)
_NONE: Final = -1


def intervals(facts: HistoryFacts, question: Question) -> Report:
    """A row for each bucket of `question.step_ms` and each status, in order of time; buckets tile the window.

    Zoho's five words and unknown have rows in every bucket, other statuses where they have time. With `Group.CLASS`
    the rows are of classes, all five of them in every bucket. A bucket without a tracked agent has no coverage and no
    mean, peak and least. Raises UsageError if the step does not divide a day.
    """
    gathered = _Gathered(question)
    gathered.add(facts, question.window)
    return gathered.report(facts)


def intervals_in_chunks(
    read: Callable[[Window], HistoryFacts], question: Question, *, least_ms: int = _CHUNK_MS
) -> Report:
    """The same report, of facts that are read and let go a day at a time; `read` gives those of any window.

    The question's window must have been cut at the water-mark. `least_ms`: how much is read at once.
    """
    gathered = _Gathered(question)
    facts: HistoryFacts | None = None
    for chunk in chunks(question.window, question.step_ms, question.zone, least_ms):
        facts = read(_to_be_read(chunk, question.rules))
        gathered.add(facts, chunk)
    return gathered.report(facts if facts is not None else read(question.window))


def chunks(window: Window, step_ms: int, zone: ZoneInfo, least_ms: int = _CHUNK_MS) -> Iterator[Window]:
    """`window` cut at edges of buckets into parts of at least `least_ms`, but for the last."""
    start = end = window.since
    for bucket in interval_buckets(window, step_ms, zone):
        end = bucket.end
        if end - start >= least_ms:
            yield Window(start, end)
            start = end
    if start < end:
        yield Window(start, end)


def _to_be_read(chunk: Window, rules: Rules) -> Window:
    """What must be known to answer for `chunk`: a gap is bridged for what lies on both sides of it."""
    if not rules.bridge_ms:
        return chunk
    beyond = rules.bridge_ms + 1
    return Window(max(0, chunk.since - beyond), chunk.until + beyond)


class _Line(NamedTuple):
    """What rows are made for: a status or a class."""

    word: str
    course: Course
    is_known: bool
    always: bool
    """Has a row in every bucket."""


class _Figures(NamedTuple):
    """Of a line, a value for each bucket."""

    line: _Line
    counts: list[Figures]
    sure: list[int]
    possible: list[int]


class _Row(NamedTuple):
    """A row in whole numbers: `word` is an index, what is None stands as `_NONE`."""

    start: int
    end: int
    word: int
    area: int
    peak: int
    least: int
    sure: int
    possible: int
    known: int
    tracked: int
    provisional: int


class _Rows(Sequence[Mapping[str, Cell]]):
    """Many rows in little memory: 88 bytes each."""

    def __init__(self, named: str) -> None:
        self._named = named
        self._words: list[str] = []
        self._numbers = array("q")

    def append(self, row: _Row) -> None:
        self._numbers.extend(row)

    def index_of(self, word: str) -> int:
        if word not in self._words:
            self._words.append(word)
        return self._words.index(word)

    def __len__(self) -> int:
        return len(self._numbers) // len(_Row._fields)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Cell]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Cell]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Cell] | Sequence[Mapping[str, Cell]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index] * len(_Row._fields)
        row = _Row._make(self._numbers[at : at + len(_Row._fields)])
        return {
            "start": row.start,
            "end": row.end,
            self._named: self._words[row.word],
            "agent_seconds": row.area,
            "mean_agents": row.area / (row.end - row.start) if row.tracked else None,
            "peak_agents": row.peak if row.tracked else None,
            "least_agents": row.least if row.tracked else None,
            "fewer_sure_seconds": None if row.sure == _NONE else row.sure,
            "fewer_possible_seconds": None if row.possible == _NONE else row.possible,
            "coverage": share(row.known, row.tracked),
            "provisional": bool(row.provisional),
        }


class _Gathered:
    """Rows and header of adjoining windows, added in order of time."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._by_class = Group.CLASS in question.groups
        self._named = "class" if self._by_class else "status"
        self._rows = _Rows(self._named)
        self._tally = Tally()
        self._agents: set[str] = set()

    def add(self, facts: HistoryFacts, window: Window) -> None:
        """Count the agents in `window`, which `facts` were read for."""
        buckets = tuple(interval_buckets(window, self._question.step_ms, self._question.zone))
        if not buckets:
            return
        covered = covered_time(facts, self._question.now, self._question.rules)
        spans = agent_spans(facts.agents, covered, window)
        edges = (window.since, *(bucket.end for bucket in buckets))
        courses = {status: Course(found.changes(), edges) for status, found in spans.in_status.items()}
        known, tracked = self._tell(spans, courses, edges)
        provisional = [
            covered.is_provisional(min(end, spans.known_until)) and start < spans.known_until
            for start, end in pairwise(edges)
        ]
        self._tally.provisional = self._tally.provisional or any(provisional)
        figures = [(self._rows.index_of(of.line.word), of) for of in self._figures(spans, courses, edges)]
        for i, (start, end) in enumerate(pairwise(edges)):
            for word, of in figures:
                if not of.line.always and not of.counts[i].area:
                    continue
                fewer = (of.sure[i], of.possible[i]) if of.line.is_known and tracked[i] else (_NONE, _NONE)
                self._rows.append(_Row(start, end, word, *of.counts[i], *fewer, known[i], tracked[i], provisional[i]))

    def report(self, facts: HistoryFacts) -> Report:
        """What was gathered; `facts` are any of those that were added."""
        question = self._question
        formula = _FORMULA.format(what=self._named, limit=question.fewer_than)
        if self._by_class:
            formula = f"{formula}; {classes_text(question.classes)}"
        meta = header("intervals", facts, question, self._tally, formula)
        meta |= {"step_seconds": question.step_ms, "fewer_than": question.fewer_than}
        columns = (
            Column("start", ColumnKind.INSTANT),
            Column("end", ColumnKind.INSTANT),
            Column(self._named),
            *_FIGURES,
        )
        return Report(meta, columns, self._rows, kinds_of(meta), question.zone.key)

    def _tell(
        self, spans: AgentSpans, courses: Mapping[Status, Course], edges: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """Count in what the header says; returns the agents' known and tracked time in each bucket."""
        tracked = _areas(Course(spans.tracked.changes(), edges))
        known = [-area for area in _areas(Course(spans.bridged_known.changes(), edges))]
        for status, course in courses.items():
            if status.kind is Kind.REPORTED:
                known = list(map(add, known, _areas(course)))
        bridged = sum(_areas(Course(spans.bridged.changes(), edges)))
        unknown = sum(_areas(courses[UNKNOWN])) if UNKNOWN in courses else 0
        self._agents |= spans.agents
        self._tally.agents = len(self._agents)
        self._tally.tracked += sum(tracked)
        self._tally.known += sum(known)
        self._tally.bridged += bridged
        self._tally.covered += sum(tracked) - unknown - bridged
        return known, tracked

    def _figures(self, spans: AgentSpans, courses: Mapping[Status, Course], edges: Sequence[int]) -> Iterator[_Figures]:
        limit = self._question.fewer_than
        not_known = together(*(c.changes for status, c in courses.items() if status.kind is not Kind.REPORTED))
        # While nobody is tracked, as many as are wanted are taken to be there: there is nothing to complain of.
        nobody = together(Course(spans.tracked.changes(), edges).empty_times(), times=limit)
        for line in self._lines(courses, edges):
            if not line.is_known:
                yield _Figures(line, line.course.figures, [], [])
                continue
            seen = Course(together(line.course.changes, nobody), edges) if nobody else line.course
            possible = seen.time_below(limit)
            sure = Course(together(seen.changes, not_known), edges).time_below(limit) if not_known else possible
            yield _Figures(line, line.course.figures, sure, possible)

    def _lines(self, courses: Mapping[Status, Course], edges: Sequence[int]) -> list[_Line]:
        if self._by_class:
            of = self._question.classes.of
            return [
                _Line(
                    class_.value,
                    Course(together(*(c.changes for status, c in courses.items() if of(status) is class_)), edges),
                    class_ is not Class.NOT_KNOWN,
                    always=True,
                )
                for class_ in Class
            ]
        empty = Course({}, edges)
        return [
            _Line(status.word, courses.get(status, empty), status.kind is Kind.REPORTED, always=status in _ALWAYS)
            for status in sorted({*courses, *_ALWAYS}, key=status_order)
            if self._question.wants(status)
        ]


def _areas(course: Course) -> list[int]:
    return [figures.area for figures in course.figures]
