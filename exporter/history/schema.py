"""The tables of the history database: the contract between the one writer and every reader. No sqlite_utils in here.

Every instant is an integer: milliseconds since 1970-01-01 UTC. Facts are appended and never changed, but for the three
places where a fact is still open: the recorder's latest stretch of `coverage` (one row, updated by each poll),
`tracking` without an end, and `run` without an end. Only a purge takes facts away, and says so in `purge`.

`transition` is one B-tree in the order of time. Its key `moment` holds the instant and the agent in one integer,
`seen << 20 | agent`: appended at the right end only, so that pages are filled to the last byte and a poll dirties one
or two of them. Measured with 200,000 rows, `from_status` stored: 19.7 to 19.9 bytes a row for 100 to 10,000 agents;
the same columns WITHOUT ROWID under (seen, agent) take 21.4 to 22.3, because SQLite leaves an eighth of each page free
in every B-tree whose key is not an integer. `seen` and `agent` are virtual columns and take no space. A condition on
`moment` uses the key; a condition on `seen` reads the whole table, which is still right, only slower:

    since <= seen < until   is   moment >= since << 20 and moment < until << 20

Which status is carried into an instant t (`STATE_AT` below): take the latest checkpoint with `taken` <= t; its rows of
`carried` point at the transition that each agent tracked then was in; read on through the transitions with
`taken` < seen <= t; the last one of an agent wins. With no checkpoint so early, read from the first transition. Of the
agents so found only those count that are tracked at t. This is sound because each spell of tracking begins with a
transition of its own (`from_status` NULL, `seen` = `tracked_from`), and cheap because a checkpoint is written with the
poll that makes `CHECKPOINT_EVERY` transitions for each tracked agent (and at least `CHECKPOINT_LEAST`): the cost is a
matter of the number of agents, not of the age of the database. Checkpoints are derived from the facts and may be
dropped and written anew. With them stand running totals (`total`), from which the totals of any window follow without
reading it.

A status is known in [started, last) of a stretch, for the spells of tracking of the same source. The stretch of a
transition is found by time, not stored with it. A reader of a live file must take everything from one read transaction.

A transition whose `uncertainty` is 1 is exact: (seen - 1, seen] holds one millisecond. Logs that tell times bring such.
"""

from typing import Final

APPLICATION_ID: Final = 0x5A565331
"""`PRAGMA application_id`: the letters ZVS1. A file with another one is another application's."""

SCHEMA_VERSION: Final = 2
"""`PRAGMA user_version` that this program writes and reads; it is the number of the last migration."""

AGENT_BITS: Final = 20
"""How many low bits of `transition.moment` hold the agent: 1,048,576 agents, instants up to the year 2248."""

AGENT_MASK: Final = (1 << AGENT_BITS) - 1

EXACT: Final = 1
"""The `uncertainty` of an exact change: (seen - 1, seen] holds one millisecond."""

CHECKPOINT_EVERY: Final = 8
"""A checkpoint is due after so many transitions for each agent tracked: it then costs 20 bytes a transition, totals
included, and the totals of a window cost reading about as many transitions of each agent, half of them at each edge."""

CHECKPOINT_LEAST: Final = 1_000
"""But never after fewer transitions than this."""

FIRST_STATUSES: Final = (
    (0, 0, "Available"),
    (1, 0, "On Call"),
    (2, 0, "Offline"),
    (3, 0, "On Break"),
    (4, 0, "Busy"),
    (5, 2, "absent"),
    (6, 1, "error"),
)
"""(id, kind, word) that every database begins with: SQLite stores 0 and 1 in no bytes, so they are the commonest."""

MIGRATION: Final = """
CREATE TABLE migration (
    version INTEGER PRIMARY KEY, -- PRAGMA user_version after it
    name TEXT NOT NULL,          -- of the function that did it
    applied INTEGER NOT NULL,    -- start of the run that did it, ms
    program TEXT NOT NULL        -- version of the program that did it
) STRICT
"""

RUN: Final = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started INTEGER NOT NULL, -- by the wall clock, which may step: nothing is concluded from the order of runs' times
    version TEXT NOT NULL,    -- of the program
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,    -- two runs with the same one share a monotonic clock
    pid INTEGER NOT NULL,
    ended INTEGER,            -- NULL while it runs; after a crash the last good poll of this run, or its start
    end_reason TEXT,          -- a value of EndReason: shutdown, crash, ...
    CHECK ((ended IS NULL) = (end_reason IS NULL))
) STRICT
"""

ONE_OPEN_RUN: Final = "CREATE UNIQUE INDEX run_open ON run (ended IS NULL) WHERE ended IS NULL"

COVERAGE: Final = """
CREATE TABLE coverage (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (id), -- that began the stretch; a restart within the gap limit continues it
    first_sent INTEGER NOT NULL,              -- when its first poll was sent
    started INTEGER NOT NULL UNIQUE,          -- and received: known time begins
    last_sent INTEGER NOT NULL,               -- when its last poll was sent
    last INTEGER NOT NULL,                    -- and received: known time ends
    polls INTEGER NOT NULL,
    interval_ms INTEGER NOT NULL,
    gap_limit_ms INTEGER NOT NULL,            -- no two polls of the stretch were received further apart
    end_reason TEXT,                          -- a value of EndReason; NULL while this is the latest and goes on
    CHECK (polls >= 1),
    CHECK (interval_ms > 0),
    CHECK (gap_limit_ms > 0),
    CHECK (first_sent <= started),
    CHECK (last_sent <= last),
    CHECK (last >= started),
    CHECK (polls > 1 OR (last = started AND last_sent = first_sent))
) STRICT
"""

ONE_OPEN_STRETCH: Final = "CREATE UNIQUE INDEX coverage_open ON coverage (end_reason IS NULL) WHERE end_reason IS NULL"

STATUS: Final = """
CREATE TABLE status (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2), -- Kind: 0 reported by Zoho, 1 an error row, 2 absent
    word TEXT NOT NULL,                                 -- Zoho's word; `error` and `absent` for the other kinds
    UNIQUE (kind, word)
) STRICT
"""

AGENT: Final = f"""
CREATE TABLE agent (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 0 AND {AGENT_MASK}),
    agent_id TEXT NOT NULL UNIQUE -- Zoho's agentId
) STRICT
"""

AGENT_VERSION: Final = """
CREATE TABLE agent_version (
    agent INTEGER NOT NULL REFERENCES agent (id),
    valid_from INTEGER NOT NULL, -- received time of the poll that brought it; holds until the agent's next version
    name TEXT NOT NULL,          -- '' if not known
    team TEXT NOT NULL,          -- '' if none
    PRIMARY KEY (agent, valid_from)
) WITHOUT ROWID, STRICT
"""

TRACKING: Final = """
CREATE TABLE tracking (
    agent INTEGER NOT NULL REFERENCES agent (id),
    tracked_from INTEGER NOT NULL, -- received time of the first complete poll that asked for the agent
    tracked_until INTEGER,         -- received time of the last one that did; NULL while tracked
    PRIMARY KEY (agent, tracked_from),
    CHECK (tracked_until IS NULL OR tracked_until >= tracked_from)
) WITHOUT ROWID, STRICT
"""

ONE_OPEN_SPELL: Final = "CREATE UNIQUE INDEX tracking_open ON tracking (agent) WHERE tracked_until IS NULL"

# No foreign keys here: they would add 40 % to the cost of writing, and the writer takes both ids from its own tables.
TRANSITION: Final = f"""
CREATE TABLE transition (
    moment INTEGER PRIMARY KEY,  -- seen << {AGENT_BITS} | agent
    to_status INTEGER NOT NULL,  -- status.id
    from_status INTEGER,         -- status.id; NULL for the first observation of a spell of tracking
    uncertainty INTEGER,         -- seen - not_before; NULL for the first observation
    seen INTEGER GENERATED ALWAYS AS (moment >> {AGENT_BITS}) VIRTUAL, -- received time of the poll that saw it first
    agent INTEGER GENERATED ALWAYS AS (moment & {AGENT_MASK}) VIRTUAL, -- agent.id
    CHECK (uncertainty > 0),
    CHECK ((from_status IS NULL) = (uncertainty IS NULL)),
    CHECK (from_status <> to_status)
) STRICT
"""

CHECKPOINT: Final = """
CREATE TABLE checkpoint (
    taken INTEGER PRIMARY KEY,    -- received time of the poll it was written with
    transitions INTEGER NOT NULL  -- how many with seen <= taken are in the file
) STRICT
"""

CARRIED: Final = """
CREATE TABLE carried (
    taken INTEGER NOT NULL REFERENCES checkpoint (taken) ON DELETE CASCADE,
    moment INTEGER NOT NULL, -- of the transition that a tracked agent was in: one row for each agent tracked then
    PRIMARY KEY (taken, moment)
) WITHOUT ROWID, STRICT
"""

INCIDENT: Final = """
CREATE TABLE incident (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,   -- such as `clock step`
    detail TEXT NOT NULL, -- a sentence; never personal data, never a secret
    run INTEGER NOT NULL REFERENCES run (id)
) STRICT
"""

TRANSITIONS_VIEW: Final = """
CREATE VIEW transitions AS
SELECT
    agent.agent_id AS agent_id,
    before.word AS from_status,
    after.word AS to_status,
    seen - uncertainty AS not_before,
    seen,
    strftime('%Y-%m-%dT%H:%M:%fZ', (seen - uncertainty) / 1000.0, 'unixepoch') AS not_before_iso,
    strftime('%Y-%m-%dT%H:%M:%fZ', seen / 1000.0, 'unixepoch') AS seen_iso
FROM transition
JOIN agent ON agent.id = transition.agent
JOIN status AS after ON after.id = transition.to_status
LEFT JOIN status AS before ON before.id = transition.from_status
"""
"""The recorded facts in words, times in ms and as ISO 8601 UTC; what was before is NULL at a first observation."""

VERSION_1: Final = (
    MIGRATION,
    RUN,
    ONE_OPEN_RUN,
    COVERAGE,
    ONE_OPEN_STRETCH,
    STATUS,
    AGENT,
    AGENT_VERSION,
    TRACKING,
    ONE_OPEN_SPELL,
    TRANSITION,
    CHECKPOINT,
    CARRIED,
    INCIDENT,
    TRANSITIONS_VIEW,
)
"""Every statement of the first version, in order. Once released it is never edited: a change is a new migration."""

# --- version 2: sources, lanes, water-marks, running totals -----------------------------------------------------------

SOURCE: Final = """
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('polls', 'log')), -- how it was seen: sampled by polls, or told with exact times
    file TEXT,         -- name of the file that was imported; NULL for the recorder
    sha256 TEXT,       -- of its bytes
    imported INTEGER,  -- when, ms
    program TEXT,      -- version of the program that did it
    CHECK ((id = 0) = (file IS NULL)),
    CHECK ((file IS NULL) = (imported IS NULL))
) STRICT
"""
"""Where coverage comes from. Number 0 is the recorder of this file; each import adds one or more."""

RECORDER: Final = 0
"""`source.id` of the recorder of this file."""

THE_RECORDER: Final = "INSERT INTO source (id, kind) VALUES (0, 'polls')"

COVERAGE_2: Final = """
CREATE TABLE coverage (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL DEFAULT 0 REFERENCES source (id),
    run INTEGER NOT NULL REFERENCES run (id), -- that began the stretch; a restart within the gap limit continues it
    first_sent INTEGER NOT NULL,              -- when its first poll was sent
    started INTEGER NOT NULL,                 -- and received: known time begins
    last_sent INTEGER NOT NULL,               -- when its last poll was sent
    last INTEGER NOT NULL,                    -- and received: known time ends
    polls INTEGER NOT NULL,                   -- 0: a log that tells every change
    interval_ms INTEGER NOT NULL,
    gap_limit_ms INTEGER NOT NULL,            -- no two polls of the stretch were received further apart
    end_reason TEXT,                          -- a value of EndReason; NULL while it goes on
    begun INTEGER,                            -- if a purge moved `started`: what it was
    UNIQUE (source, started),
    CHECK (polls >= 0),
    CHECK (interval_ms > 0 OR polls = 0),
    CHECK (gap_limit_ms > 0 OR polls = 0),
    CHECK (first_sent <= started),
    CHECK (last_sent <= last),
    CHECK (last >= started),
    CHECK (begun < started),
    CHECK (polls <> 1 OR (last = started AND last_sent = first_sent))
) STRICT
"""
"""Stretches of a source neither overlap nor touch. Those of different sources may overlap, for different agents.

A purge keeps the stretch of each source that goes on at the water-mark, from there on, or else the one before it, cut
to its last poll: it tells why the gap that goes on there began. Reports on what is left take both for as long as they
were, so that a stay that goes on at the water-mark is not taken for one that begins there."""

AGENT_2: Final = f"""
CREATE TABLE agent (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 0 AND {AGENT_MASK}),
    agent_id TEXT NOT NULL,          -- Zoho's agentId
    lane INTEGER NOT NULL DEFAULT 0, -- 0: the recorder writes here
    UNIQUE (agent_id, lane)
) STRICT
"""
"""A track: transitions and spells of tracking of one agent that follow upon each other without overlap. The recorder
uses lane 0. An import uses the lowest lane of an agent in which its spells neither overlap nor touch others: so every
rule that holds for one track (the last transition tells the status) goes on holding, and what the agent did is the
union of its tracks."""

TRACKING_2: Final = """
CREATE TABLE tracking (
    agent INTEGER NOT NULL REFERENCES agent (id),
    tracked_from INTEGER NOT NULL, -- received time of the first complete poll that asked for the agent
    tracked_until INTEGER,         -- received time of the last one that did; NULL while tracked
    until_sent INTEGER,            -- when that last one was sent; NULL while tracked, or if version 1 did not store it
    source INTEGER NOT NULL DEFAULT 0 REFERENCES source (id), -- whose stretches hold for this spell
    PRIMARY KEY (agent, tracked_from),
    CHECK (tracked_until IS NULL OR tracked_until >= tracked_from),
    CHECK (until_sent <= tracked_until)
) WITHOUT ROWID, STRICT
"""

TOTAL: Final = """
CREATE TABLE total (
    taken INTEGER NOT NULL REFERENCES checkpoint (taken) ON DELETE CASCADE,
    agent INTEGER NOT NULL, -- agent.id
    sums BLOB NOT NULL,     -- ms in each status, least, most and stays: of all stays that ended at or before `taken`
    PRIMARY KEY (taken, agent)
) WITHOUT ROWID, STRICT
"""
"""Running totals at each checkpoint: derived. An agent (a track) has a row at a checkpoint if it was tracked there, or
at some instant since the checkpoint before it; it counts from the very first transition that is stored. `sums` is
packed: a row for each status would take twice the room and three times as long to read, and nobody can use them without
the transitions that follow. `exporter.history.sums` says how."""

PURGE: Final = """
CREATE TABLE purge (
    id INTEGER PRIMARY KEY,
    done INTEGER NOT NULL,  -- when, ms
    kind TEXT NOT NULL CHECK (kind IN ('before', 'agent', 'pseudonym')),
    before INTEGER,         -- facts before this instant are gone: the water-mark
    program TEXT NOT NULL,
    CHECK ((kind = 'before') = (before IS NOT NULL))
) STRICT
"""
"""What was taken away on purpose. Who was erased is not said: it would be what was to be forgotten."""

VERSION_2_TABLES: Final = (SOURCE, THE_RECORDER, PURGE, TOTAL)
"""The new tables of version 2; `REBUILT` holds those whose constraints changed."""

REBUILT: Final = (
    (
        "agent",
        "CREATE TEMP TABLE old_agent AS SELECT * FROM agent",
        AGENT_2,
        "INSERT INTO agent (id, agent_id) SELECT id, agent_id FROM old_agent",
    ),
    (
        "coverage",
        "CREATE TEMP TABLE old_coverage AS SELECT * FROM coverage",
        COVERAGE_2,
        "INSERT INTO coverage"
        " (id, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason)"
        " SELECT id, run, first_sent, started, last_sent, last, polls, interval_ms, gap_limit_ms, end_reason"
        " FROM old_coverage",
    ),
    (
        "tracking",
        "CREATE TEMP TABLE old_tracking AS SELECT * FROM tracking",
        TRACKING_2,
        "INSERT INTO tracking (agent, tracked_from, tracked_until)"
        " SELECT agent, tracked_from, tracked_until FROM old_tracking",
    ),
)
"""Small tables that version 2 makes anew: name, and how rows are kept, the table is made and rows are put back."""

REINDEXED: Final = (ONE_OPEN_STRETCH, ONE_OPEN_SPELL)

VIEWS_1: Final = ("transitions",)
"""The views of version 1, which `views` of today take the place of."""

TABLES: Final = frozenset(
    {
        "migration", "run", "source", "coverage", "status", "agent", "agent_version", "tracking", "transition",
        "checkpoint", "carried", "total", "incident", "purge",
    }
)  # fmt: skip
"""What a database of this version holds at least."""

STATE_AT: Final = """
WITH base (taken) AS (SELECT coalesce(max(taken), -1) FROM checkpoint WHERE taken <= :at)
SELECT agent, max(moment) AS moment, to_status, from_status, uncertainty FROM (
    SELECT transition.* FROM base
    CROSS JOIN carried ON carried.taken = base.taken
    CROSS JOIN transition ON transition.moment = carried.moment
    UNION ALL
    SELECT transition.* FROM base
    CROSS JOIN transition ON transition.moment >= (base.taken + 1) << 20
        AND transition.moment < (:at + 1) << 20
)
GROUP BY agent
"""
"""For each agent seen up to the instant `:at` since the checkpoint before it: the transition into its status at `:at`.

The caller keeps the agents tracked at `:at`. (SQLite takes the bare columns from the row of the max().)
"""
