"""The store's tables. Whatever a commit touches is small or keyed by an integer, so that a sample costs microseconds."""

from __future__ import annotations

from service.adapters.sqlite.database import Schema

_NUMBERS = (
    """CREATE TABLE monitors (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        sequence INTEGER NOT NULL DEFAULT 0,  -- the last number given to a pane or event
        pooled INTEGER NOT NULL DEFAULT 0,    -- samples that ever entered the pool
        pooled_bytes INTEGER NOT NULL DEFAULT 0,  -- and the size of their payloads
        paned_bytes INTEGER NOT NULL DEFAULT 0,   -- size of all panes that were ever numbered
        taken INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE partitions (
        id INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,
        topic_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        epoch INTEGER NOT NULL DEFAULT 0,     -- 0: never assigned
        next_offset INTEGER NOT NULL DEFAULT 0,
        time REAL NOT NULL DEFAULT 0,
        ids INTEGER NOT NULL DEFAULT 0,       -- recent ids that were ever added
        start INTEGER NOT NULL DEFAULT 0,     -- the first offset that was ever to be read
        lost INTEGER NOT NULL DEFAULT 0,      -- offsets that the log had let go of
        stopped TEXT NOT NULL DEFAULT '',     -- why it must not be read on
        retired INTEGER NOT NULL DEFAULT 0,   -- another topic of the same name is read instead
        UNIQUE (topic, topic_id, number)
    ) STRICT""",
)

_SHAPES = """CREATE TABLE shapes (
    partition INTEGER NOT NULL,
    monitor TEXT NOT NULL,
    version INTEGER NOT NULL,
    since INTEGER NOT NULL,                   -- the offset from which on it counts
    PRIMARY KEY (partition, monitor)
) STRICT, WITHOUT ROWID"""

_LEASES = """CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    until REAL NOT NULL
) STRICT"""

_UNSENT = "CREATE INDEX unsent_letters ON dead_letters (number) WHERE NOT sent"

_PARTITION_STATE = (
    _SHAPES,
    """CREATE TABLE open_panes (
        partition INTEGER NOT NULL,
        monitor INTEGER NOT NULL,
        segment TEXT NOT NULL,
        reference_version INTEGER NOT NULL,
        first_offset INTEGER NOT NULL,
        last_offset INTEGER NOT NULL,
        first_time REAL NOT NULL,
        last_time REAL NOT NULL,
        summary BLOB NOT NULL,
        losses BLOB,                          -- reason → samples; NULL: none
        UNIQUE (partition, monitor, segment, reference_version, first_offset)
    ) STRICT""",
    """CREATE TABLE waiting (
        partition INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        expires REAL NOT NULL,
        monitor TEXT NOT NULL,
        sample TEXT NOT NULL,
        time REAL NOT NULL,
        payload ANY,
        shape BLOB,
        facts BLOB NOT NULL,
        embedding BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        UNIQUE (partition, event_id, position)
    ) STRICT""",
    """CREATE TABLE recent_ids (
        partition INTEGER NOT NULL,
        last INTEGER NOT NULL,                -- the number of the chunk's last id among all that were added
        hashes BLOB NOT NULL,
        PRIMARY KEY (partition, last)
    ) STRICT""",
)

_DECISIONS = (
    _LEASES,
    """CREATE TABLE panes (
        monitor INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        segment TEXT NOT NULL,
        reference_version INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        first_offset INTEGER NOT NULL,
        last_offset INTEGER NOT NULL,
        first_time REAL NOT NULL,
        last_time REAL NOT NULL,
        summary BLOB NOT NULL,
        ends INTEGER NOT NULL,                -- bytes of all panes that were ever numbered, up to the end of this one
        losses BLOB,
        PRIMARY KEY (monitor, sequence)
    ) STRICT""",
    """CREATE TABLE events (
        id TEXT PRIMARY KEY,
        monitor INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        document BLOB NOT NULL,
        UNIQUE (monitor, sequence)
    ) STRICT""",
    """CREATE TABLE decisions (
        monitor INTEGER PRIMARY KEY,
        sequence INTEGER NOT NULL,
        state BLOB
    ) STRICT""",
    # Apart from `decisions`, so that a decision without a checkpoint does not rewrite the last one.
    """CREATE TABLE checkpoints (
        monitor INTEGER PRIMARY KEY,
        sequence INTEGER NOT NULL,
        checkpoint BLOB NOT NULL
    ) STRICT""",
    # Checkpoints within the kept panes: the log is shortened up to one of them, so that a replay can start where it begins.
    """CREATE TABLE starts (
        monitor INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        time REAL NOT NULL,
        checkpoint BLOB NOT NULL,
        PRIMARY KEY (monitor, sequence)
    ) STRICT""",
    """CREATE TABLE entities (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        monitor TEXT NOT NULL,
        state TEXT NOT NULL,
        version INTEGER NOT NULL,
        created REAL NOT NULL,
        document BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT""",
    "CREATE INDEX entities_by_age ON entities (kind, created)",
)

_COUNTED = (
    "CREATE INDEX entities_of_monitor ON entities (kind, monitor, created)",
    "CREATE INDEX entities_in_state ON entities (kind, state, created)",
    "CREATE INDEX entities_of_monitor_in_state ON entities (kind, monitor, state, created)",
    # How many there are, kept with each change: to count them would take longer the more there are.
    """CREATE TABLE entity_counts (
        kind TEXT NOT NULL,
        monitor TEXT NOT NULL,
        state TEXT NOT NULL,
        entities INTEGER NOT NULL,
        PRIMARY KEY (kind, monitor, state)
    ) STRICT, WITHOUT ROWID""",
    "INSERT INTO entity_counts SELECT kind, monitor, state, count(*) FROM entities GROUP BY kind, monitor, state",
    """CREATE TRIGGER entity_comes AFTER INSERT ON entities BEGIN
        INSERT INTO entity_counts VALUES (new.kind, new.monitor, new.state, 1) ON CONFLICT DO UPDATE SET entities = entities + 1;
    END""",
    """CREATE TRIGGER entity_moves AFTER UPDATE OF state ON entities WHEN old.state <> new.state BEGIN
        UPDATE entity_counts SET entities = entities - 1 WHERE (kind, monitor, state) = (old.kind, old.monitor, old.state);
        INSERT INTO entity_counts VALUES (new.kind, new.monitor, new.state, 1) ON CONFLICT DO UPDATE SET entities = entities + 1;
    END""",
    """CREATE TRIGGER entity_goes AFTER DELETE ON entities BEGIN
        UPDATE entity_counts SET entities = entities - 1 WHERE (kind, monitor, state) = (old.kind, old.monitor, old.state);
    END""",
)

_TIMELINE = """CREATE TABLE timeline (
    monitor INTEGER NOT NULL,
    segment TEXT NOT NULL,
    seconds REAL NOT NULL,
    start REAL NOT NULL,
    samples INTEGER NOT NULL,
    evidence REAL NOT NULL,
    at_strongest BLOB NOT NULL,
    PRIMARY KEY (monitor, segment, seconds, start)
) STRICT, WITHOUT ROWID"""

_SAMPLES = (
    # `place` is the monitor's id × 2^32 + slot: a ring that is overwritten where it stands, with no index beside it.
    """CREATE TABLE pool (
        place INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        time REAL NOT NULL,
        sample TEXT NOT NULL,
        partition INTEGER NOT NULL,
        "offset" INTEGER NOT NULL,
        novelty REAL NOT NULL,
        reference_version INTEGER NOT NULL,
        facts BLOB NOT NULL,
        embedding BLOB NOT NULL,
        starts INTEGER NOT NULL,              -- bytes of all payloads that entered before this one
        payload ANY,
        shape BLOB
    ) STRICT""",
    """CREATE TABLE labels (
        batch TEXT NOT NULL,
        sample TEXT NOT NULL,
        annotator TEXT NOT NULL,
        monitor TEXT NOT NULL,
        label TEXT,
        unusable INTEGER NOT NULL,
        time REAL NOT NULL,
        PRIMARY KEY (batch, sample, annotator)
    ) STRICT""",
    "CREATE INDEX labels_by_monitor ON labels (monitor, batch)",
)

_LEAVING = (
    """CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        due REAL NOT NULL,
        document BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX outbox_by_due ON outbox (state, due)",
    """CREATE TABLE dead_letters (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        monitor TEXT,
        ends INTEGER NOT NULL,                -- bytes of all letters that were ever added, up to the end of this one
        document BLOB NOT NULL,
        sent INTEGER NOT NULL DEFAULT 1       -- 0: waits for the dead-letter topic
    ) STRICT""",
    _UNSENT,
)

_TRUTH = (
    """CREATE TABLE truth (
        monitor INTEGER PRIMARY KEY,
        answered INTEGER NOT NULL DEFAULT 0,  -- answers that were ever kept
        judged INTEGER NOT NULL DEFAULT 0,    -- the last number given to a judgement
        told INTEGER NOT NULL DEFAULT 0       -- the number of the last that the log tells of
    ) STRICT""",
    """CREATE TABLE answers (
        monitor INTEGER NOT NULL,
        last INTEGER NOT NULL,                -- the number of the block's last row among all that were ever kept
        rows INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (monitor, last)
    ) STRICT""",
    """CREATE TABLE judgements (
        monitor INTEGER NOT NULL,
        number INTEGER NOT NULL,
        sample TEXT NOT NULL,
        told REAL NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (monitor, number),
        UNIQUE (monitor, sample)
    ) STRICT""",
    # What is left of judgements that have made room for newer ones, so that no label counts twice.
    """CREATE TABLE judged_samples (
        monitor INTEGER NOT NULL,
        number INTEGER NOT NULL,
        sample TEXT NOT NULL,
        PRIMARY KEY (monitor, number),
        UNIQUE (monitor, sample)
    ) STRICT""",
)

_RESERVE = (
    """CREATE TABLE reserve (
        number INTEGER PRIMARY KEY,
        monitor INTEGER NOT NULL,
        sample TEXT NOT NULL,
        twin TEXT NOT NULL,                   -- whose twin it was when it came, which had gone: it stands in for that one
        at REAL NOT NULL,                     -- the log's time that its keys age from
        bytes INTEGER NOT NULL,               -- of the payload
        count INTEGER NOT NULL,
        time REAL NOT NULL,
        place BLOB NOT NULL,                  -- the partition: one may hold a sample that came in no log
        "offset" INTEGER NOT NULL,
        novelty REAL NOT NULL,
        reference_version INTEGER NOT NULL,
        facts BLOB NOT NULL,
        embedding BLOB NOT NULL,
        payload ANY,
        shape BLOB,
        UNIQUE (monitor, sample)
    ) STRICT""",
    "CREATE INDEX reserve_by_twin ON reserve (monitor, twin) WHERE twin <> ''",
    "CREATE INDEX reserve_payloads ON reserve (monitor, at, bytes) WHERE bytes > 0",
    """CREATE TABLE reserve_keys (
        number INTEGER NOT NULL,
        part TEXT NOT NULL,
        monitor INTEGER NOT NULL,
        key REAL NOT NULL,
        PRIMARY KEY (number, part)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX reserve_by_key ON reserve_keys (monitor, part, key)",
    """CREATE TABLE reserves (
        monitor INTEGER PRIMARY KEY,
        half_life REAL NOT NULL               -- that the keys are made with
    ) STRICT""",
)

_UPGRADES = {
    6: (
        "ALTER TABLE partitions ADD COLUMN start INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE partitions ADD COLUMN lost INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE partitions ADD COLUMN stopped TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE partitions ADD COLUMN retired INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE open_panes ADD COLUMN losses BLOB",
        "ALTER TABLE panes ADD COLUMN losses BLOB",
        "ALTER TABLE dead_letters ADD COLUMN sent INTEGER NOT NULL DEFAULT 1",
        _SHAPES,
        _LEASES,
        _UNSENT,
    ),
    7: _TRUTH,
    8: _RESERVE,
    9: (*_COUNTED, _TIMELINE),
}
"""What leads from a version to the one above it."""

STORE = Schema(
    "store", 10, (*_NUMBERS, *_PARTITION_STATE, *_DECISIONS, *_COUNTED, _TIMELINE, *_SAMPLES, *_LEAVING, *_TRUTH, *_RESERVE), _UPGRADES
)
