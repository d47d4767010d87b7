"""The SQL of the dashboard "History from SQLite", for the SQLite data source plugin (frser-sqlite-datasource).

The plugin sends the text to SQLite after Grafana has put in `$__from` and `$__to` (ms since 1970) and the variables, of
which `${...:sqlstring}` writes each chosen value as an SQL string; it replaces `$__unixEpochGroupSeconds(column, s)` by
the start of the column's span of `s` seconds. Columns that are shown as times are seconds since 1970. What a column
holds is told by the first value in it that is not NULL, so numbers that may have fractions have one from the start.

The views answer about one agent in no time and about everybody only by sorting every transition (docs/database.md), so
what asks for everybody reads the tables, and of them only the time range: from the checkpoint before it. Every query
says the same as the reports do with `--edges seen` and no bridge, up to the latest poll; what comes after is unknown.
"""

from collections.abc import Sequence
from typing import Final

from grafana.common import OTHER_WORDS, STATUSES, UNKNOWN_WORD
from grafana.sqlite import is_chosen

_CHOSEN: Final = f"{is_chosen('agent_id', 'agent')} AND {is_chosen('team', 'team')}"

_NOW_MS: Final = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
_PURGED: Final = "coalesce((SELECT max(before) FROM purge), 0)"

_ASKED: Final = f"""asked AS ( -- what was purged and what is to come is cut off
  SELECT min(max($__from, {_PURGED}), {_NOW_MS}) AS since, min($__to, {_NOW_MS}) AS until
)"""

_WINDOW: Final = """\
base AS (SELECT coalesce(max(taken), -1) AS taken FROM checkpoint CROSS JOIN asked WHERE taken <= since),
change AS ( -- into the status of each track at the start, and in the window
  SELECT max(moment) AS moment, to_status, uncertainty
  FROM (
    SELECT moment, to_status, uncertainty
    FROM base CROSS JOIN carried USING (taken) CROSS JOIN transition USING (moment)
    UNION ALL
    SELECT moment, to_status, uncertainty
    FROM base CROSS JOIN asked CROSS JOIN transition
    WHERE moment >= (taken + 1) << 20 AND moment < (since + 1) << 20
  )
  GROUP BY moment & 1048575
  UNION ALL
  SELECT moment, to_status, uncertainty
  FROM asked CROSS JOIN transition
  WHERE moment >= (since + 1) << 20 AND moment < (until + 1) << 20
),
stay AS (
  SELECT
    moment & 1048575 AS track, to_status, moment >> 20 AS changed, uncertainty,
    lead(moment >> 20, 1, 1 << 62) OVER (PARTITION BY moment & 1048575 ORDER BY moment) AS next
  FROM change
),
known AS ( -- as far as a stretch of coverage reaches, from its true start, up to the end of the window
  SELECT
    agent_id, word, kind, changed,
    max(changed, coalesce(begun, started)) AS start,
    min(next, last, coalesce(tracked_until, until), until) AS "end",
    changed > coalesce(begun, started) AND uncertainty IS NOT NULL
      AND next <= min(last, coalesce(tracked_until, last)) AS seen_whole
  FROM asked
  CROSS JOIN stay
  CROSS JOIN tracking AS spell ON spell.agent = track AND tracked_from = (
    SELECT max(tracked_from) FROM tracking WHERE agent = track AND tracked_from <= changed
  )
  CROSS JOIN coverage ON coverage.source = spell.source
    AND started < min(next, coalesce(tracked_until, until), until)
    AND started >= coalesce(
      (SELECT max(started) FROM coverage AS before
       WHERE source = spell.source AND started <= max(changed, since)), 0)
  CROSS JOIN agent ON agent.id = track
  CROSS JOIN status ON status.id = to_status
  WHERE max(changed, started, since) < min(next, last, coalesce(tracked_until, until), until)
),
tracked AS ( -- in the window, whoever asked: without overlap
  SELECT agent_id, max(start, before) AS start, "end"
  FROM (
    SELECT
      agent_id, start, "end",
      coalesce(max("end") OVER (
        PARTITION BY agent_id ORDER BY start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
        AS before
    FROM (
      SELECT agent_id, max(tracked_from, since) AS start, min(coalesce(tracked_until, until), until) AS "end"
      FROM asked CROSS JOIN tracking CROSS JOIN agent ON agent.id = tracking.agent
    )
    WHERE start < "end"
  )
  WHERE max(start, before) < "end"
)"""
_PERSON: Final = """person AS ( -- as known at the end of the window
  SELECT agent_id, name, team
  FROM (
    SELECT
      agent_id, name, team,
      row_number() OVER (
        PARTITION BY agent_id ORDER BY valid_from >= until, abs(until - valid_from), lane DESC) AS place
    FROM asked CROSS JOIN agent_version CROSS JOIN agent ON agent.id = agent_version.agent
  )
  WHERE place = 1
)"""

COMMON: Final = f"{_WINDOW},\n{_PERSON}"
"""Who was in what in the time range `asked`: word for word what the queries for Datasette do (docs/datasette)."""

OWN_NAME: Final = "iif(count(*) OVER (PARTITION BY name) > 1, name || ' (' || agent_id || ')', name)"
"""Twice, for somebody may be called like another one with the id: a lane must not hold two agents."""

_PEOPLE: Final = f"""chosen AS ( -- under a name that nobody else of them has
  SELECT agent_id, team, {OWN_NAME} AS agent
  FROM (
    SELECT agent_id, team, {OWN_NAME} AS name
    FROM (
      SELECT agent_id, coalesce(nullif(name, ''), agent_id) AS name, coalesce(team, '') AS team
      FROM (SELECT DISTINCT agent_id FROM agent) LEFT JOIN person USING (agent_id)
    )
    WHERE {_CHOSEN}
  )
)"""

_TILES: Final = """\
point AS ( -- where another status begins, or unknown time, or tracking ends; of several the least weight counts
  SELECT agent_id, at, word, kind, min(weight)
  FROM (
    SELECT agent_id, max(start, since) AS at, word, kind, 1 AS weight FROM asked CROSS JOIN known
    UNION ALL
    SELECT agent_id, start, 'unknown', 3, 2 FROM tracked
    UNION ALL
    SELECT agent_id, "end", NULL, NULL, 3 FROM tracked
    UNION ALL
    SELECT agent_id, "end", 'unknown', 3, 4 FROM known
  )
  WHERE agent_id IN (SELECT agent_id FROM chosen)
  GROUP BY agent_id, at
),
tile AS ( -- the tracked time of each agent without a hole
  SELECT agent_id, word, kind, at AS start, lead(at) OVER (PARTITION BY agent_id ORDER BY at) AS "end" FROM point
)"""

_NAME: Final = "(SELECT agent FROM chosen WHERE chosen.agent_id = tile.agent_id)"

_DAY: Final = 86_400_000
_HOUR: Final = 3_600_000


def _query(*parts: str) -> str:
    """CTEs and, last, what is selected from them."""
    *tables, select = parts
    return "WITH\n" + ",\n".join(tables) + "\n" + select


def _everybody(*parts: str) -> str:
    """The same on who was in what in the time range."""
    return _query(_ASKED, COMMON, _PEOPLE, *parts)


_HOURS: Final = f"""span AS ( -- each hour that the time range touches, cut off at its ends
  SELECT
    max(since, (since / {_HOUR} + key) * {_HOUR}) AS start,
    min(until, (since / {_HOUR} + key + 1) * {_HOUR}) AS "end"
  FROM asked CROSS JOIN json_each(
    '[0' || replace(hex(zeroblob((until - 1) / {_HOUR} - since / {_HOUR})), '00', ',0') || ']'
  )
  WHERE since < until
)"""


def _columns(aggregate: str, scale: str = "", words: Sequence[str] = (*STATUSES, UNKNOWN_WORD)) -> str:
    """A column for each of `words`, and before the last one a column for all others, so that nothing is left out.

    Those are absent, error, and words that Zoho adds.
    """
    listed = ", ".join(f"'{word}'" for word in words)
    columns = [f"{aggregate} FILTER (WHERE word = '{word}'){scale} AS \"{word}\"" for word in words]
    columns.insert(-1, f'{aggregate} FILTER (WHERE word NOT IN ({listed})){scale} AS "{OTHER_WORDS}"')
    return ",\n  ".join(columns)


AGENTS_NOW: Final = f"""SELECT
  {_columns("count(*)")}
FROM (SELECT status AS word FROM now WHERE {_CHOSEN})"""

AGE: Final = f"""SELECT ({_NOW_MS} - max(last)) / 1000.0 AS "age"
FROM coverage
WHERE source = 0"""

COVERAGE: Final = _everybody(
    _TILES,
    """SELECT total("end" - start) FILTER (WHERE kind = 0) / sum("end" - start) AS "coverage"
FROM tile
WHERE word IS NOT NULL""",
)

TIMELINE: Final = _everybody(
    _TILES,
    f"""SELECT start / 1000.0 AS time, {_NAME} AS agent, word AS "Value"
FROM tile
ORDER BY agent_id, start""",
)
"""`word` is NULL where the agent is tracked no more. Grafana calls a series of a column `Value` by its label alone."""

TIME_IN_STATUS: Final = _everybody(
    _TILES,
    f"""SELECT
  {_NAME} AS agent,
  (SELECT team FROM chosen WHERE chosen.agent_id = tile.agent_id) AS team,
  {_columns('total("end" - start)', " / 1000.0")},
  total("end" - start) / 1000.0 AS "tracked",
  total("end" - start) FILTER (WHERE kind = 0) / total("end" - start) AS "coverage"
FROM tile
WHERE word IS NOT NULL
GROUP BY agent_id
ORDER BY agent, agent_id""",
)

_DAYS: Final = f"""day AS ( -- only what lies in several days is divided: json_each counts them
  SELECT start / {_DAY} AS number, word, "end" - start AS length
  FROM tile WHERE word IS NOT NULL AND start / {_DAY} = ("end" - 1) / {_DAY}
  UNION ALL
  SELECT
    start / {_DAY} + key, word,
    min("end", (start / {_DAY} + key + 1) * {_DAY}) - max(start, (start / {_DAY} + key) * {_DAY})
  FROM tile CROSS JOIN json_each(
    '[0' || replace(hex(zeroblob(("end" - 1) / {_DAY} - start / {_DAY})), '00', ',0') || ']'
  )
  WHERE word IS NOT NULL AND start / {_DAY} < ("end" - 1) / {_DAY}
)"""

TIME_BY_DAY: Final = _everybody(
    _TILES,
    _DAYS,
    f"""SELECT
  max(number * {_DAY}, (SELECT since FROM asked)) / 1000.0 AS time,
  {_columns("total(length)", " / 1000.0")}
FROM day
GROUP BY number
ORDER BY number""",
)

LONG_STAYS: Final = _everybody(
    f"""SELECT
  agent, team, start / 1000.0 AS start, "end" / 1000.0 AS "end", ("end" - start) / 1000.0 AS duration,
  iif(seen_whole, 'whole', 'may have been longer') AS seen
FROM known JOIN chosen USING (agent_id)
WHERE {is_chosen("word", "status")} AND "end" - start > ${{minutes}} * 60000
ORDER BY "end" - start DESC, start, agent
LIMIT 1000""",
)

TRANSITIONS: Final = _query(
    _ASKED,
    _PERSON,
    _PEOPLE,
    """SELECT
  (seen - uncertainty + (uncertainty = 1)) / 1000.0 AS not_before,
  seen / 1000.0 AS seen,
  chosen.agent, team,
  before.word AS from_status,
  after.word AS to_status,
  (uncertainty - (uncertainty = 1)) / 1000.0 AS uncertainty
FROM transition
CROSS JOIN agent ON agent.id = transition.agent
CROSS JOIN chosen ON chosen.agent_id = agent.agent_id
CROSS JOIN status AS after ON after.id = to_status
LEFT JOIN status AS before ON before.id = from_status
WHERE moment >= (SELECT since FROM asked) << 20 AND moment < (SELECT until FROM asked) << 20
ORDER BY moment DESC
LIMIT 1000""",
)
"""What the view `transitions` says, by the key of its table."""

TRANSITIONS_PER_HOUR: Final = _query(
    _ASKED,
    _PERSON,
    _PEOPLE,
    _HOURS,
    """counted AS (
  SELECT $__unixEpochGroupSeconds(second, 3600) AS hour, count(*) AS transitions
  FROM (
    SELECT (moment >> 20) / 1000 AS second
    FROM asked CROSS JOIN transition CROSS JOIN agent ON agent.id = transition.agent
    WHERE moment >= since << 20 AND moment < until << 20 AND from_status IS NOT NULL
      AND agent_id IN (SELECT agent_id FROM chosen)
  )
  GROUP BY hour
)""",
    """looked AS ( -- how many ms of each span the recorder polled
  SELECT span.start AS start, total(min(last, span."end") - max(started, span.start)) AS length
  FROM span CROSS JOIN coverage ON source = 0 AND started < span."end" AND last > span.start
  GROUP BY span.start
)""",
    f"""SELECT
  span.start / 1000.0 AS time,
  coalesce(transitions, iif(
    EXISTS (SELECT 1 FROM coverage WHERE started < span."end" AND last > span.start), 0, NULL)) AS "transitions",
  (span."end" - span.start - coalesce(looked.length, 0.0)) / 60000.0 AS "minutes without polls"
FROM span
LEFT JOIN counted ON counted.hour = span.start / {_HOUR} * {_HOUR // 1000}
LEFT JOIN looked ON looked.start = span.start
ORDER BY span.start""",
)
"""No transition is 0 in an hour in which somebody was looking, and no number at all in another."""

_STRETCHES: Final = f"""stretch AS ( -- with the beginning of the next one, and why it ended; of every source
  SELECT
    source, coalesce(begun, started) AS started, last, gap_limit_ms,
    lead(coalesce(begun, started)) OVER (PARTITION BY source ORDER BY started) AS next,
    coalesce(end_reason, (SELECT end_reason FROM run ORDER BY id DESC LIMIT 1), 'no complete poll since') AS reason,
    {_NOW_MS} AS now,
    end_reason IS NOT NULL OR (SELECT ended FROM run ORDER BY id DESC LIMIT 1) IS NOT NULL AS ended
  FROM coverage
)"""

LOOKING: Final = _query(
    _ASKED,
    _STRETCHES,
    """SELECT max(at, since) / 1000.0 AS time, what AS "the recorder"
FROM asked CROSS JOIN (
  SELECT started AS at, last AS "end", 'looking' AS what FROM stretch WHERE source = 0
  UNION ALL
  SELECT last, coalesce(next, now), iif(next IS NOT NULL OR ended OR now - last > gap_limit_ms, reason, 'looking')
  FROM stretch WHERE source = 0
  UNION ALL
  SELECT 0, min(started), 'not recorded yet' FROM stretch WHERE source = 0
)
WHERE at < until AND "end" > since AND at < "end"
UNION ALL
SELECT until / 1000.0, NULL FROM asked WHERE since < until AND until < $__to
ORDER BY time""",
)
"""Grafana draws the last row to the end of the time range: NULL ends it where the future begins."""

GAPS: Final = _query(
    _ASKED,
    _STRETCHES,
    """SELECT
  coalesce(file, 'recorder') AS source,
  last / 1000.0 AS start,
  next / 1000.0 AS "end",
  (coalesce(next, now) - last) / 1000.0 AS duration,
  reason
FROM asked CROSS JOIN stretch CROSS JOIN source ON source.id = stretch.source
WHERE last < until AND coalesce(next, now) > since
  AND (next IS NOT NULL OR source.id = 0 AND (ended OR now - last > gap_limit_ms))
ORDER BY last DESC
LIMIT 1000""",
)
