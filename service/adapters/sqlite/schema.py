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
        UNIQUE (topic, topic_id, number)
    ) STRICT""",
)

_PARTITION_STATE = (
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
        document BLOB NOT NULL
    ) STRICT""",
)

STORE = Schema("store", 6, (*_NUMBERS, *_PARTITION_STATE, *_DECISIONS, *_SAMPLES, *_LEAVING))
