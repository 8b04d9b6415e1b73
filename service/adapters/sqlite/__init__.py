"""The embedded default: exact state and the durable log in SQLite files, no server needed."""

from service.adapters.sqlite.log import SqliteLog
from service.adapters.sqlite.pane_log import Retention
from service.adapters.sqlite.store import SqliteStore

__all__ = ["Retention", "SqliteLog", "SqliteStore"]
