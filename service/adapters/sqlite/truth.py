"""Answers until their truth comes, and judgements since it came. Functions run inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from sqlite3 import Connection

from service.adapters.sqlite import decisions, panes, rows
from service.adapters.sqlite.database import single
from service.errors import ConflictError
from service.records import Answer, AnswerBlock, Event, Judgement, Truths, Untold
from service.truth import answers, packing

_AT_ONCE = 500
"""Samples that one statement asks for."""

_OF_MONITOR = "monitor = (SELECT id FROM monitors WHERE name = ?)"


def add_answers(connection: Connection, monitor: int, block: AnswerBlock) -> None:
    """Keeps a block; those that lie wholly before the newest rows go."""
    last = _count(connection, monitor, "answered", block.rows)
    connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (monitor, last, block.rows, block.body))
    connection.execute("DELETE FROM answers WHERE monitor = ? AND last <= ?", (monitor, last - block.keep))


def find_answers(connection: Connection, monitor: str, samples: Collection[str]) -> Mapping[str, Answer]:
    """What the model answered to these samples."""
    found = connection.execute(f"SELECT body FROM answers WHERE {_OF_MONITOR} ORDER BY last DESC", (monitor,))  # noqa: S608 - a constant
    return answers.find((body for (body,) in found), samples)


def merge(connection: Connection) -> None:
    """Small blocks, and what follows them, become larger ones."""
    small = "SELECT monitor, min(last) FROM answers WHERE rows < ? GROUP BY monitor HAVING count(*) > 1"
    for monitor, first in connection.execute(small, (answers.SMALL,)).fetchall():
        found = "SELECT last, rows, body FROM answers WHERE monitor = ? AND last >= ? ORDER BY last"
        blocks = iter(connection.execute(found, (monitor, first)).fetchall())
        for run in answers.runs(blocks):
            _replace(connection, monitor, run)


def _replace(connection: Connection, monitor: int, run: Sequence[tuple[int, int, bytes]]) -> None:
    connection.execute("DELETE FROM answers WHERE monitor = ? AND last BETWEEN ? AND ?", (monitor, run[0][0], run[-1][0]))
    merged = answers.joined([body for _, _, body in run])
    connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (monitor, run[-1][0], sum(rows for _, rows, _ in run), merged))


def judge(connection: Connection, monitor: int, truths: Truths) -> None:
    """Keeps what became known, in order; of a sample that is known already in the place that it has."""
    stands = _count(connection, monitor, "revision", 1) - 1
    if truths.revision is not None and truths.revision != stands:
        raise ConflictError(f"monitor {truths.monitor}: more became known meanwhile (revision {stands}, not {truths.revision}); read again")
    places: dict[str, int] = dict(_of_samples(connection, "sample, number", monitor, [judgement.sample for judgement in truths.judgements]))
    new = [judgement.sample for judgement in truths.judgements if judgement.sample not in places]
    last = _count(connection, monitor, "judged", len(new))
    places |= {sample: number for number, sample in enumerate(new, start=last - len(new) + 1)}
    connection.executemany(
        "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?)",
        [(monitor, places[each.sample], each.sample, each.told, packing.pack(each)) for each in truths.judgements],
    )
    connection.execute("DELETE FROM judgements WHERE monitor = ? AND number <= ?", (monitor, last - truths.keep))


def known(connection: Connection, monitor: str, samples: Collection[str]) -> tuple[int, Mapping[str, Judgement]]:
    """The revision, and what is known of these samples."""
    number = single(connection, "SELECT id FROM monitors WHERE name = ?", (monitor,))
    found = _of_samples(connection, "body", number[0], list(samples)) if number else []
    judgements = (packing.unpack(monitor, body) for (body,) in found)
    return _counted(connection, monitor, "revision"), {judgement.sample: judgement for judgement in judgements}


def _of_samples(connection: Connection, columns: str, monitor: int, samples: Sequence[str]) -> list[rows.Row]:
    """Of the judgements of these samples."""
    found = list[rows.Row]()
    for start in range(0, len(samples), _AT_ONCE):
        some = samples[start : start + _AT_ONCE]
        asked = f"SELECT {columns} FROM judgements WHERE monitor = ? AND sample IN ({', '.join('?' * len(some))})"  # noqa: S608 - constants
        found += connection.execute(asked, (monitor, *some)).fetchall()
    return found


def read(connection: Connection, monitor: str, since: float, limit: int) -> Sequence[Judgement]:
    """The newest, in order of arrival."""
    found = connection.execute(
        f"SELECT body FROM judgements WHERE {_OF_MONITOR} AND told >= ? ORDER BY number DESC LIMIT ?",  # noqa: S608 - a constant
        (monitor, since, limit),
    ).fetchall()
    return [packing.unpack(monitor, body) for (body,) in reversed(found)]


def untold(connection: Connection, monitor: str, limit: int) -> Untold:
    """The next that the log does not tell of."""
    after = _counted(connection, monitor, "told")
    found = connection.execute(
        f"SELECT number, body FROM judgements WHERE {_OF_MONITOR} AND number > ? ORDER BY number LIMIT ?",  # noqa: S608 - a constant
        (monitor, after, limit),
    ).fetchall()
    return Untold(after, found[-1][0] if found else after, tuple(packing.unpack(monitor, body) for _, body in found))


def tell(connection: Connection, event: Event, after: int, until: int) -> Event:
    """Records the event, unless the log has been told meanwhile."""
    told = _counted(connection, event.monitor, "told")
    if told != after:
        raise ConflictError(f"monitor {event.monitor}: its log tells of judgements up to {told}, not {after}; read again")
    _count(connection, panes.monitor_id(connection, event.monitor), "told", until - after)
    return decisions.record_event(connection, event)


def _count(connection: Connection, monitor: int, what: str, more: int) -> int:
    """Counts on, and returns how far."""
    connection.execute("INSERT INTO truth (monitor) VALUES (?) ON CONFLICT DO NOTHING", (monitor,))
    raised = f"UPDATE truth SET {what} = {what} + ? WHERE monitor = ? RETURNING {what}"  # noqa: S608 - one of four columns
    return int(single(connection, raised, (more, monitor))[0])


def _counted(connection: Connection, monitor: str, what: str) -> int:
    row = single(connection, f"SELECT {what} FROM truth WHERE {_OF_MONITOR}", (monitor,))  # noqa: S608 - one of four columns
    return int(row[0]) if row else 0
