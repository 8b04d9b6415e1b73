"""The right to decide: who holds it, until when, and the token by which a holder that was overtaken is told."""

from __future__ import annotations

from sqlite3 import Connection

from service.adapters.sqlite.database import single
from service.errors import ConflictError
from service.records import Fence


def take(connection: Connection, name: str, holder: str, *, now: float, until: float) -> int | None:
    """The token, one higher for a new holder; None while another has it."""
    row = single(
        connection,
        """INSERT INTO leases (name, holder, token, until) VALUES (:name, :holder, 1, :until)
           ON CONFLICT DO UPDATE SET token = token + (holder <> excluded.holder), holder = excluded.holder, until = excluded.until
           WHERE holder = excluded.holder OR until <= :now RETURNING token""",
        {"name": name, "holder": holder, "now": now, "until": until},
    )
    return row[0] if row else None


def release(connection: Connection, name: str, holder: str) -> None:
    """The next one need not wait."""
    connection.execute("UPDATE leases SET holder = '', until = 0 WHERE (name, holder) = (?, ?)", (name, holder))


def compare(connection: Connection, fence: Fence) -> None:
    """Refuses whoever has been overtaken."""
    row = single(connection, "SELECT token FROM leases WHERE name = ?", (fence.lease,))
    if row is None or fence.token != row[0]:
        stands = f"{row[0]} was given since" if row else "the store has given none"
        raise ConflictError(f"lease {fence.lease}: token {fence.token} does not hold, {stands}; only the lease's holder decides")
