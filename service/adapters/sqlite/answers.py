"""Annotators' answers."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from service.adapters.sqlite.database import single
from service.records import Label


def add(connection: Connection, labels: Sequence[Label]) -> int:
    """The newest answer per batch, sample and annotator wins; returns how many say something new."""
    return sum(_add(connection, label) for label in labels)


def _add(connection: Connection, label: Label) -> bool:
    key = (label.batch, label.sample, label.annotator)
    stored = single(connection, "SELECT time, monitor, label, unusable FROM labels WHERE (batch, sample, annotator) = (?, ?, ?)", key)
    if stored is not None and stored[0] > label.time:
        return False
    answer = (label.monitor, label.label, int(label.unusable))
    connection.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, *answer, label.time))
    return stored is None or stored[1:] != answer


def read(connection: Connection, monitor: str, batch: str | None) -> Sequence[Label]:
    """In order of time."""
    found = connection.execute(
        """SELECT monitor, batch, sample, label, time, annotator, unusable FROM labels
           WHERE monitor = :monitor AND (:batch IS NULL OR batch = :batch) AND label IS NOT '' ORDER BY time, batch, sample, annotator""",
        {"monitor": monitor, "batch": batch},
    )
    return [
        Label(monitor, batch, sample, label, time, annotator, unusable=bool(unusable))
        for monitor, batch, sample, label, time, annotator, unusable in found
    ]
