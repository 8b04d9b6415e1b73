"""Answers until their truth comes, and judgements since it came. Functions run inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
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
    keys = f"SELECT last, substr(body, 5, 8 * rows) FROM answers WHERE {_OF_MONITOR} ORDER BY last DESC"  # noqa: S608 - a constant
    found = connection.execute(keys, (monitor,))
    return answers.find(found, samples, partial(_block, connection, monitor))


def _block(connection: Connection, monitor: str, last: int) -> bytes | None:
    row = single(connection, f"SELECT body FROM answers WHERE {_OF_MONITOR} AND last = ?", (monitor, last))  # noqa: S608 - a constant
    return row[0] if row else None


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


def judge(connection: Connection, monitor: int, truths: Truths) -> Collection[str]:
    """Keeps what became known, in order; returns the samples of which something else is known by now than `before`."""
    samples = [judgement.sample for judgement in truths.judgements]
    found = _of_samples(connection, "judgements", "sample, number, body", monitor, samples)
    stored = {sample: (number, body) for sample, number, body in found}
    past = {sample for (sample,) in _of_samples(connection, "judged_samples", "sample", monitor, samples)}
    last, overtaken, kept = _count(connection, monitor, "judged", 0), set[str](), list[rows.Row]()
    for each in truths.judgements:
        number, body = stored.get(each.sample, (0, None))
        if _overtaken(truths, each.sample, body) or each.sample in past:
            overtaken.add(each.sample)
            continue
        if body is None or packing.counts_anew(packing.unpack(truths.monitor, body), each):
            number = last = last + 1
        stored[each.sample] = number, packing.pack(each)
        kept.append((monitor, number, each.sample, each.told, stored[each.sample][1]))
    connection.executemany("INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?)", kept)
    connection.execute("UPDATE truth SET judged = ? WHERE monitor = ?", (last, monitor))
    _make_room(connection, monitor, last, truths)
    return overtaken


def _overtaken(truths: Truths, sample: str, body: bytes | None) -> bool:
    if truths.before is None:
        return False
    before = truths.before.get(sample)
    return body != (None if before is None else packing.pack(before))


def _make_room(connection: Connection, monitor: int, last: int, truths: Truths) -> None:
    """What the log does not tell of stays; of older ones only the samples do, and those not for ever."""
    gone = "WHERE monitor = :monitor AND number <= min(:until, (SELECT told FROM truth WHERE monitor = :monitor))"
    until = {"monitor": monitor, "until": last - truths.keep}
    connection.execute(f"INSERT INTO judged_samples SELECT monitor, number, sample FROM judgements {gone}", until)  # noqa: S608 - a constant
    connection.execute(f"DELETE FROM judgements {gone}", until)  # noqa: S608 - a constant
    forgotten = last - max(truths.keep, truths.remember)
    connection.execute("DELETE FROM judged_samples WHERE monitor = ? AND number <= ?", (monitor, forgotten))


def known(connection: Connection, monitor: str, samples: Collection[str]) -> Mapping[str, Judgement | None]:
    """What is known of these samples; None where only that they were judged is remembered."""
    number = single(connection, "SELECT id FROM monitors WHERE name = ?", (monitor,))
    if number is None:
        return {}
    past = _of_samples(connection, "judged_samples", "sample", number[0], list(samples))
    found = _of_samples(connection, "judgements", "sample, body", number[0], list(samples))
    return {sample: None for (sample,) in past} | {sample: packing.unpack(monitor, body) for sample, body in found}


def _of_samples(connection: Connection, table: str, columns: str, monitor: int, samples: Sequence[str]) -> list[rows.Row]:
    """Of the rows of these samples."""
    found = list[rows.Row]()
    for start in range(0, len(samples), _AT_ONCE):
        some = samples[start : start + _AT_ONCE]
        asked = f"SELECT {columns} FROM {table} WHERE monitor = ? AND sample IN ({', '.join('?' * len(some))})"  # noqa: S608 - constants
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
    raised = f"UPDATE truth SET {what} = {what} + ? WHERE monitor = ? RETURNING {what}"  # noqa: S608 - one of three columns
    return int(single(connection, raised, (more, monitor))[0])


def _counted(connection: Connection, monitor: str, what: str) -> int:
    row = single(connection, f"SELECT {what} FROM truth WHERE {_OF_MONITOR}", (monitor,))  # noqa: S608 - one of three columns
    return int(row[0]) if row else 0
