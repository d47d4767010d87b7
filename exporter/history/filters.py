"""Whom and what a report is about: agents by id or name, teams as of the time, times of the week, statuses. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import time
from fnmatch import fnmatchcase
from typing import Final
from zoneinfo import ZoneInfo

from exporter.errors import UsageError
from exporter.history.buckets import daily_periods
from exporter.history.calendar import WEEKDAYS
from exporter.history.facts import FOREVER, AgentFacts, HistoryFacts, Period
from exporter.history.window import Window
from exporter.model import ABSENT, ERROR, KNOWN_STATUSES, UNKNOWN, reported
from exporter.quoting import shown

_ALWAYS_KNOWN = tuple(status.word for status in (*KNOWN_STATUSES, ABSENT, ERROR, UNKNOWN))


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of `--agent` (an id, or a name) and `--team`; shell globs, case does not matter. Empty: everyone."""

    agents: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


EVERYBODY: Final = Selection()


@dataclass(frozen=True, slots=True)
class Times:
    """The times of the week that a report is about, by the clocks of its zone; None: every day, the whole day."""

    weekdays: frozenset[int] | None = None
    """0 is Monday. Hours that run into the next day belong to the day on which they begin."""
    hours: tuple[time, time] | None = None

    @property
    def text(self) -> str:
        """As people say it, such as `mon, tue 09:00-17:30`."""
        days = ", ".join(WEEKDAYS[day][:3] for day in sorted(self.weekdays)) if self.weekdays is not None else ""
        hours = "-".join(f"{one:%H:%M}" for one in self.hours) if self.hours is not None else ""
        return " ".join(part for part in (days, hours) if part)


ALWAYS: Final = Times()


def select(agents: tuple[AgentFacts, ...], selection: Selection) -> tuple[AgentFacts, ...]:
    """Those of all recorded `agents` that match any of the agent patterns and, when they did, any of the team patterns.

    An agent matches by any name that it ever had. Teams are as of the time: only the times when an agent was in a
    matching team are selected. Raises UsageError for a pattern that nobody ever recorded matches.
    """
    _refuse_unmatched(agents, selection)
    if selection.agents:
        agents = tuple(agent for agent in agents if any(_is_agent(agent, p) for p in selection.agents))
    if selection.teams:
        in_team = (replace(agent, selected=_times_in_team(agent, selection.teams)) for agent in agents)
        agents = tuple(agent for agent in in_team if agent.selected)
    return agents


def at_times(facts: HistoryFacts, times: Times, window: Window, zone: ZoneInfo) -> HistoryFacts:
    """The facts for reports on `window` that may speak only of the given times of the week.

    Raises ValueError if the facts bring ready totals, which cannot be divided.
    """
    if times == ALWAYS:
        return facts
    if any(agent.totals is not None for agent in facts.agents):
        raise ValueError("ready totals cannot be divided: read the facts without them")
    periods = daily_periods(window, zone, times.weekdays, times.hours)
    return replace(
        facts,
        agents=tuple(replace(agent, selected=_common(agent.selected, periods)) for agent in facts.agents),
    )


def status_words(texts: Iterable[str], facts: HistoryFacts) -> frozenset[str]:
    """The statuses that `texts` name, spelled as reports spell them; case and "Onbreak" do not matter.

    Raises UsageError for a word that is neither one of Zoho's five, nor unknown, absent or error, nor in the history.
    """
    spelled = {word.casefold(): word for word in (*facts.words, *_ALWAYS_KNOWN)}
    found = set()
    for text in texts:
        word = reported(text.strip()).word
        if word.casefold() not in spelled:
            known = ", ".join([*_ALWAYS_KNOWN, *sorted(facts.words - set(_ALWAYS_KNOWN))])
            raise UsageError(f"--status {shown(text)} is no status that this history knows: give one of {known}")
        found.add(spelled[word.casefold()])
    return frozenset(found)


def _refuse_unmatched(agents: tuple[AgentFacts, ...], selection: Selection) -> None:
    for pattern in selection.agents:
        if not any(_is_agent(agent, pattern) for agent in agents):
            raise UsageError(
                f"--agent {shown(pattern)} matches nobody in this history: give an agent's id or name, or a pattern "
                "such as 'Ann*'"
            )
    for pattern in selection.teams:
        if not any(_matches(d.team, pattern) for agent in agents for d in agent.descriptions):
            raise UsageError(
                f"--team {shown(pattern)} matches no team in this history: give a team's name, or a pattern such as "
                "'Sales*'"
            )


def _is_agent(agent: AgentFacts, pattern: str) -> bool:
    return _matches(agent.agent_id, pattern) or any(_matches(d.name, pattern) for d in agent.descriptions)


def _matches(text: str, pattern: str) -> bool:
    """Whether `text` is the pattern, as it stands or as a shell glob; the empty text matches only an empty pattern."""
    folded, wanted = text.casefold(), pattern.casefold()
    return folded == wanted or (bool(text) and fnmatchcase(folded, wanted))


def _times_in_team(agent: AgentFacts, patterns: tuple[str, ...]) -> tuple[Period, ...]:
    """When the agent's team matched; the first description holds since ever. Adjoining times are one."""
    periods: list[Period] = []
    for index, description in enumerate(agent.descriptions):
        start = description.since if index else -FOREVER
        end = agent.descriptions[index + 1].since if index + 1 < len(agent.descriptions) else FOREVER
        if not any(_matches(description.team, pattern) for pattern in patterns):
            continue
        if periods and periods[-1].end == start:
            periods[-1] = Period(periods[-1].start, end)
        else:
            periods.append(Period(start, end))
    return tuple(periods)


def _common(selected: tuple[Period, ...] | None, periods: tuple[Period, ...]) -> tuple[Period, ...]:
    """The times that are in both, in order of time; None: whenever."""
    if selected is None:
        return periods
    return tuple(
        Period(max(one.start, other.start), min(one.end, other.end))
        for one in selected
        for other in periods
        if one.start < other.end and other.start < one.end
    )
