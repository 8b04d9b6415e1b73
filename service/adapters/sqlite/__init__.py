"""The embedded default: exact state and the durable log in SQLite files, no server needed."""

from service.adapters.sqlite.copying import put_to_use, snapshots
from service.adapters.sqlite.database import Database, Schema, version_of
from service.adapters.sqlite.log import LOG as LOG_SCHEMA
from service.adapters.sqlite.log import SqliteLog
from service.adapters.sqlite.pane_log import Retention
from service.adapters.sqlite.schema import STORE as STORE_SCHEMA
from service.adapters.sqlite.store import SqliteStore

__all__ = [
    "LOG_SCHEMA",
    "STORE_SCHEMA",
    "Database",
    "Retention",
    "Schema",
    "SqliteLog",
    "SqliteStore",
    "put_to_use",
    "snapshots",
    "version_of",
]
