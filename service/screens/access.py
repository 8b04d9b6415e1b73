"""Tokens, and who changed what, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import RenderableType
from rich.text import Text

from service.records import AuditEntry, Token
from service.screens.drawing import NONE, columns, excerpt, moment


def token_list(tokens: Sequence[Token], *, now: float) -> RenderableType:
    """A line per token."""
    if not tokens:
        return Text("no tokens: `driftgate token bootstrap` makes the first admin's")
    table = columns("token", "name", "role", "over", "ends", "last used", "")
    for token in tokens:
        over = ", ".join([*(f"team {team}" for team in token.teams), *token.monitors]) or "everything"
        ends = moment(token.expires) if token.expires is not None else "never"
        used = moment(token.used) if token.used else "never"
        state = "" if token.in_force(now) else "revoked" if token.state == "revoked" else "ended"
        names = token.id, excerpt(token.name), token.role.value, excerpt(over)
        table.add_row(*names, ends, used, Text(state, "red"))
    return table


class Limited(Protocol):
    """One limit of a team."""

    @property
    def quota(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def used(self) -> float: ...

    @property
    def limit(self) -> float | None: ...


def quota_table(teams: Mapping[str, Sequence[Limited]]) -> RenderableType:
    """A line per limit of each team."""
    table = columns("team", "quota", "used", "of", "")
    for team, found in teams.items():
        for use in found:
            full = use.limit is not None and use.used >= use.limit
            limit = NONE if use.limit is None else f"{use.limit:,.10g}"
            table.add_row(excerpt(team), use.quota, f"{use.used:,.10g}", limit, Text(use.unit, "red" if full else ""))
    return table


def audit_list(entries: Sequence[AuditEntry]) -> RenderableType:
    """A line per change, newest first."""
    if not entries:
        return Text("nobody has changed anything yet")
    table = columns("when", "who", "from", "operation", "what", "change")
    for entry in entries:
        what = " ".join(part for part in (entry.kind, entry.subject) if part) or entry.monitor or NONE
        origin = " ".join(part for part in (entry.way, entry.address) if part)
        row = excerpt(entry.who), excerpt(origin), excerpt(entry.operation), excerpt(what), excerpt(_change(entry), 120)
        table.add_row(moment(entry.created), *row)
    return table


def _change(entry: AuditEntry) -> str:
    before, after = entry.before or {}, entry.after or {}
    return ", ".join(_step(name, before, after) for name in after if name != "version" and before.get(name) != after[name])


def _step(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return f"{name} {before[name]} → {after[name]}" if name in before else f"{name} {after[name]}"
