"""Copies of databases that are in use: several of them as they stood at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from service.adapters.sqlite.database import BUSY_SECONDS, single
from service.errors import ArtefactError


def snapshots(databases: Sequence[Path], folder: Path) -> None:
    """Copies each into the folder, under its name. Writers wait only until all have been looked at: what was committed to one of them
    because of another is in neither copy or in both."""
    try:
        with ExitStack() as stack:
            for path, view in zip(databases, _views(databases, stack), strict=True):
                _copy(view, folder / path.name)
    except sqlite3.Error as error:
        names = ", ".join(path.name for path in databases)
        raise ArtefactError(f"{names}: can't be copied ({error}); see to room and rights, then try again") from error


def put_to_use(path: Path) -> None:
    """A copy becomes a database as programs keep theirs: with its log of writes beside it."""
    with closing(sqlite3.connect(path)) as copy:
        copy.execute("PRAGMA journal_mode = WAL").fetchall()


def _copy(view: sqlite3.Connection, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as copy:
        view.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, with nothing beside it


def _views(databases: Sequence[Path], stack: ExitStack) -> list[sqlite3.Connection]:
    """A reader of each, all of one moment: while they begin nobody writes."""
    with ExitStack() as held:
        for path in databases:
            held.enter_context(closing(_opened(path))).execute("BEGIN IMMEDIATE")
        views = [stack.enter_context(closing(_opened(path))) for path in databases]
        for view in views:
            view.execute("BEGIN")
            single(view, "SELECT count(*) FROM sqlite_master")  # the view begins with the first look
        return views


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
