"""A SQLite file with one writer, any number of readers and a schema that is checked before use."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.errors import ArtefactError

BUSY_SECONDS = 10.0
"""How long a writer waits for another process (`driftgate alarm ack` while `serve` runs)."""

WAL_BYTES = 64 * 2**20
"""A write-ahead log that a long reader let grow is cut back to this."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must hold: `name` keeps a log from being opened as a store, `upgrades` lead from a version to the one above it."""

    name: str
    version: int
    statements: tuple[str, ...]
    upgrades: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


class Database:
    """Hands out transactions: writes one at a time, reads beside them, each on a consistent view."""

    def __init__(self, path: Path | str, schema: Schema) -> None:
        self.path = path
        self._memory = str(path) == ":memory:"
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self.closed = False
        try:
            if not self._memory:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
        except (OSError, sqlite3.Error) as error:
            raise ArtefactError(f"{path}: can't be opened as a {schema.name} ({error}); check the path and its permissions") from error
        try:
            self._prepare(schema)
        except sqlite3.DatabaseError as error:
            self._writer.close()
            raise ArtefactError(
                f"{path}: not a usable {schema.name} ({error}); restore it from a backup or start with another directory"
            ) from error
        except ArtefactError:
            self._writer.close()
            raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that commits, durably, when its block ends, and leaves nothing when the block raises."""
        with self._lock, _transaction(self._writer, "BEGIN IMMEDIATE", "COMMIT") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A consistent view, taken without waiting for writers; in memory the only connection is shared in turns."""
        if self._memory:
            with self._lock:
                yield self._writer
            return
        connection = self._reader()
        try:
            with _transaction(connection, "BEGIN", "ROLLBACK"):
                yield connection
        finally:
            self._idle.append(connection)
            if self.closed:
                self._close_idle()

    def scrub(self) -> None:
        """Empties the write-ahead log, where no reader holds it up: pages as they were before stand in it."""
        with self._lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with self._lock:
            self.closed = True
            self._close_idle()
            self._writer.close()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # else what was deleted could be read in the file
        return connection

    def _prepare(self, schema: Schema) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES:d}")
        with self.write() as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                _create(connection, schema)
            _upgrade(connection, schema, self.path)


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str, end: str) -> Iterator[sqlite3.Connection]:
    connection.execute(begin)
    try:
        yield connection
        connection.execute(end)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _create(connection: sqlite3.Connection, schema: Schema) -> None:
    for statement in schema.statements:
        connection.execute(statement)
    connection.execute("CREATE TABLE driftgate_schema (name TEXT NOT NULL, version INTEGER NOT NULL) STRICT")
    connection.execute("INSERT INTO driftgate_schema VALUES (?, ?)", (schema.name, schema.version))


def _upgrade(connection: sqlite3.Connection, schema: Schema, path: Path | str) -> None:
    """Leads an older file up to this schema, version by version."""
    version = found = _version(connection, schema, path)
    while version in schema.upgrades:
        for statement in schema.upgrades[version]:
            connection.execute(statement)
        version += 1
    if version != schema.version:
        age = "a newer" if found > schema.version else "an older"
        raise ArtefactError(
            f"{path}: schema {found} was written by {age} driftgate, this one reads schema {schema.version}; "
            "run the version that wrote it, or start with another directory"
        )
    if version != found:
        connection.execute("UPDATE driftgate_schema SET version = ?", (version,))


def _version(connection: sqlite3.Connection, schema: Schema, path: Path | str) -> int:
    """Which version of the schema a file has that holds what it should."""
    if single(connection, "SELECT 1 FROM sqlite_master WHERE name = 'driftgate_schema'") is None:
        raise ArtefactError(f"{path}: a SQLite file, but not driftgate's; choose another path")
    found = single(connection, "SELECT name, version FROM driftgate_schema")
    if found is None or found[0] != schema.name:
        raise ArtefactError(
            f"{path}: holds driftgate's {found[0] if found else 'nothing'}, expected its {schema.name}; choose another path"
        )
    return int(found[1])


def version_of(path: Path, schema: Schema) -> int:
    """Which version of the schema a file has, 0 where there is none; it is only looked at."""
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
            if not single(connection, "SELECT count(*) FROM sqlite_master")[0]:
                return 0
            return _version(connection, schema, path)
    except sqlite3.Error as error:
        raise ArtefactError(f"{path}: not a usable {schema.name} ({error}); restore it from a backup") from error


def single(connection: sqlite3.Connection, sql: str, parameters: Any = ()) -> Any:
    """The one row that a statement gives, or None; runs it to its end, which RETURNING needs before a commit."""
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0] if rows else None
