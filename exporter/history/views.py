"""What the database offers to people with their own tools: views in plain words, in epoch seconds and as ISO text.

They read the facts, need nothing but SQLite 3.38, and say of the same time the same as the reports do by the edge
policy `seen`, with one difference: but for `now`, a view knows no live extension, so that time after the latest poll is
`unknown` at once. `docs/database.md` says what each column means.

Nothing in `timeline_ms` is quadratic: a sort of the transitions by agent tells when each status ended, two look-ups for
each find its spell of tracking and the stretches that cover it, and one more sort puts the unknown time in between. It
reads every transition whatever is asked of it, for in the order of time only the next transition of the same agent
tells when a status ended. What is said of `agent_id` reaches the very first step, as long as each window is divided by
`agent_id` and no part is used twice: then only that agent's rows are sorted.
"""

from typing import Final

_ISO: Final = "strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')"
_NOW: Final = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"

TRANSITIONS: Final = f"""
CREATE VIEW transitions AS
SELECT
    agent.agent_id AS agent_id,
    before.word AS from_status,
    after.word AS to_status,
    seen - uncertainty + (uncertainty = 1) AS not_before,
    seen,
    {_ISO.format("(seen - uncertainty + (uncertainty = 1))")} AS not_before_iso,
    {_ISO.format("seen")} AS seen_iso
FROM transition
JOIN agent ON agent.id = transition.agent
JOIN status AS after ON after.id = transition.to_status
LEFT JOIN status AS before ON before.id = transition.from_status
"""
"""The recorded facts in words, times in ms and as ISO 8601 UTC; what was before is NULL at a first observation."""

TIMELINE_MS: Final = f"""
CREATE VIEW timeline_ms AS
WITH
stay AS ( -- from each transition to the next one of the same track
    SELECT
        agent_id,
        agent.id AS track,
        to_status AS status,
        seen AS start,
        lead(seen, 1, 1 << 62) OVER (PARTITION BY agent_id, agent.id ORDER BY moment) AS "end"
    FROM transition JOIN agent ON agent.id = transition.agent
),
known AS ( -- what of it lies in its spell of tracking and in a stretch of the spell's source
    SELECT
        stay.agent_id,
        stay.status << 1 | (source.kind = 'log') AS what,
        max(stay.start, coverage.started) AS start,
        min(stay."end", coverage.last, coalesce(spell.tracked_until, 1 << 62)) AS "end"
    FROM stay
    CROSS JOIN tracking AS spell ON spell.agent = stay.track AND spell.tracked_from = (
        SELECT max(tracked_from) FROM tracking WHERE agent = stay.track AND tracked_from <= stay.start
    )
    CROSS JOIN source ON source.id = spell.source
    CROSS JOIN coverage ON coverage.source = spell.source
        AND coverage.started < min(stay."end", coalesce(spell.tracked_until, 1 << 62))
        AND coverage.started >= coalesce(
            (SELECT max(started) FROM coverage AS before WHERE source = spell.source AND started <= stay.start), 0)
        AND coverage.last > stay.start
    WHERE max(stay.start, coverage.started) < min(stay."end", coverage.last, coalesce(spell.tracked_until, 1 << 62))
),
scope AS ( -- what can be told at all: what was not purged, until now
    SELECT
        coalesce((SELECT max(before) FROM purge), 0) AS since,
        max({_NOW}, coalesce((SELECT max(last) FROM coverage WHERE source = 0), 0)) AS until
),
spell AS (
    SELECT agent_id, max(tracked_from, since) AS start, coalesce(tracked_until, until) AS "end"
    FROM tracking CROSS JOIN scope JOIN agent ON agent.id = tracking.agent
    WHERE max(tracked_from, since) < coalesce(tracked_until, until)
),
edge AS ( -- how many spells of the agent go on after each begin or end of one
    SELECT
        agent_id, at, step,
        sum(step) OVER (PARTITION BY agent_id ORDER BY at, step DESC ROWS UNBOUNDED PRECEDING) AS open
    FROM (
        SELECT agent_id, iif(step = 1, start, "end") AS at, step
        FROM spell CROSS JOIN (SELECT 1 AS step UNION ALL SELECT -1)
    )
),
piece AS ( -- side 0: known time; -1 and 1: where tracking begins and ends, whichever sources did it
    SELECT agent_id, start, "end", what, 0 AS side FROM known
    UNION ALL
    SELECT agent_id, at, at, -2, -step FROM edge WHERE iif(step = 1, open = 1, open = 0)
),
walked AS ( -- with the end of the piece before and what it was, in one number
    SELECT
        agent_id, start, what, side,
        lag("end" << 20 | (what + 2)) OVER (PARTITION BY agent_id ORDER BY start, side) AS before
    FROM piece
),
island AS ( -- a piece that goes on as the one before it ended is part of that one
    SELECT
        agent_id, start, what, side,
        before >> 20 AS known_until,
        lead(before >> 20) OVER (PARTITION BY agent_id ORDER BY start, side) AS "end"
    FROM walked WHERE before IS NOT (start << 20 | (what + 2))
),
tile AS ( -- the island itself, and the gap in front of it
    SELECT
        agent_id,
        iif(is_gap, known_until, start) AS start,
        iif(is_gap, start, "end") AS "end",
        iif(is_gap, -2, what) AS what
    FROM island CROSS JOIN (SELECT 0 AS is_gap UNION ALL SELECT 1)
    WHERE iif(is_gap, side >= 0 AND known_until < start, side = 0)
)
SELECT
    agent_id,
    start,
    "end",
    coalesce(status.word, 'unknown') AS status,
    CASE status.kind WHEN 0 THEN 'reported' WHEN 1 THEN 'error' WHEN 2 THEN 'absent' ELSE 'unknown' END AS kind,
    CASE WHEN what < 0 THEN 'unknown' WHEN what & 1 THEN 'exact' ELSE 'sampled' END AS quality
FROM tile LEFT JOIN status ON status.id = what >> 1
"""
"""Who was in which status from when to when, in ms; time when nobody was looking is a row as well.

In `what` stands the status, and in its lowest bit whether it is exact; -2 is no status at all.
"""

_DESCRIBED: Final = """described AS ( -- the first name and team that became known hold before that too
    SELECT
        agent_id, name, team,
        iif(lag(valid_from) OVER versions IS NULL, -1 << 62, valid_from) AS since,
        lead(valid_from, 1, 1 << 62) OVER versions AS until
    FROM agent_version JOIN agent ON agent.id = agent_version.agent
    WINDOW versions AS (PARTITION BY agent_id ORDER BY valid_from, lane)
)"""

TIMELINE: Final = f"""
CREATE VIEW timeline AS
WITH {_DESCRIBED}
SELECT
    tile.agent_id,
    coalesce(name, '') AS name,
    coalesce(team, '') AS team,
    status,
    kind,
    quality,
    start / 1000.0 AS start,
    "end" / 1000.0 AS "end",
    ("end" - start) / 1000.0 AS duration_seconds,
    {_ISO.format("start")} AS start_iso,
    {_ISO.format('"end"')} AS end_iso
FROM timeline_ms AS tile
LEFT JOIN described ON described.agent_id = tile.agent_id AND since <= start AND start < until
"""
"""The same in epoch seconds and ISO 8601 UTC, with the name and the team of when it began."""

NOW: Final = f"""
CREATE VIEW now AS
WITH
{_DESCRIBED},
latest AS ( -- the stretch goes on as long as its next poll can still continue it
    SELECT
        last,
        {_NOW} AS now,
        end_reason IS NULL AND (SELECT ended FROM run ORDER BY id DESC LIMIT 1) IS NULL
            AND {_NOW} - last BETWEEN 0 AND gap_limit_ms AS goes_on
    FROM coverage WHERE source = 0 ORDER BY started DESC LIMIT 1
),
base AS (SELECT coalesce(max(taken), -1) AS taken FROM checkpoint),
state AS (
    SELECT agent, max(moment) AS moment, to_status FROM (
        SELECT transition.agent, transition.moment, to_status FROM base
        CROSS JOIN carried ON carried.taken = base.taken
        CROSS JOIN transition ON transition.moment = carried.moment
        UNION ALL
        SELECT agent, moment, to_status FROM base CROSS JOIN transition ON moment >= (base.taken + 1) << 20
    ) GROUP BY agent
)
SELECT
    agent.agent_id AS agent_id,
    coalesce(name, '') AS name,
    coalesce(team, '') AS team,
    iif(goes_on, word, 'unknown') AS status,
    iif(goes_on, moment >> 20, NULL) / 1000.0 AS since,
    word AS last_status,
    (moment >> 20) / 1000.0 AS last_since,
    last / 1000.0 AS last_poll,
    (now - last) / 1000.0 AS evidence_age_seconds,
    {_ISO.format("iif(goes_on, moment >> 20, NULL)")} AS since_iso,
    {_ISO.format("(moment >> 20)")} AS last_since_iso,
    {_ISO.format("last")} AS last_poll_iso
FROM tracking
CROSS JOIN latest
JOIN state ON state.agent = tracking.agent
JOIN agent ON agent.id = tracking.agent
JOIN status ON status.id = state.to_status
LEFT JOIN described ON described.agent_id = agent.agent_id AND described.since <= now AND now < described.until
WHERE tracking.tracked_until IS NULL
"""
"""Everyone who is tracked: the status, `unknown` when the latest poll is too old to go on, and what that poll saw.

Only what the recorder saw counts here, also for `since`: imports are not looked at. The report `at` looks at them."""

_DAY: Final = 86_400_000

SECONDS_BY_DAY: Final = f"""
CREATE VIEW seconds_by_day AS
WITH
{_DESCRIBED},
part AS ( -- as many as the tile has days; json_each counts them
    SELECT
        agent_id, status, kind,
        start / {_DAY} + key AS number,
        min("end", (start / {_DAY} + key + 1) * {_DAY}) - max(start, (start / {_DAY} + key) * {_DAY}) AS length
    FROM timeline_ms CROSS JOIN json_each(
        '[0' || replace(hex(zeroblob(("end" - 1) / {_DAY} - start / {_DAY})), '00', ',0') || ']'
    )
),
day AS ( -- a window and not GROUP BY, through which what is said of agent_id would not reach
    SELECT agent_id, number, status, kind, sum(length) OVER whole AS length, row_number() OVER whole AS nth
    FROM part WINDOW whole AS (PARTITION BY agent_id, number, kind, status)
)
SELECT
    strftime('%Y-%m-%d', number * 86400, 'unixepoch') AS day,
    day.agent_id,
    coalesce(name, '') AS name,
    coalesce(team, '') AS team,
    status,
    kind,
    length / 1000.0 AS duration_seconds
FROM day
LEFT JOIN described ON described.agent_id = day.agent_id
    AND since < (number + 1) * {_DAY} AND (number + 1) * {_DAY} <= until
WHERE nth = 1
"""
"""Seconds of each agent in each status by UTC day, with the name and team of its end. (Of other zones' days only a
report knows the edges.)"""

VIEWS: Final = (
    ("transitions", TRANSITIONS),
    ("timeline_ms", TIMELINE_MS),
    ("timeline", TIMELINE),
    ("now", NOW),
    ("seconds_by_day", SECONDS_BY_DAY),
)
"""Every view of the newest version, each after those that it reads. They hold nothing, so each migration makes them
anew."""
