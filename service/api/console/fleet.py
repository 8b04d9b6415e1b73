"""The fleet: every monitor, the worst first, beside what the installation's policy asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from service.api.console.frame import ROWS, page, pages
from service.api.context import Served
from service.overview import Line

router = pages()

STATES = ("drifting", "blind", "silent", "untimed", "no reference", "warming up", "watching")
Text = Annotated[str, Query(max_length=200)]


@router.get("/fleet")
def fleet(request: Request, service: Served, team: Text = "", state: Text = "", text: Text = "", after: Text = "") -> HTMLResponse:
    """Which monitor has what, and which should be looked at."""
    glance, declared = service.overview.glance(), service.declaring.declared
    mine = [line for line in glance.lines if line.monitor in declared]
    asked = [line for line in mine if _asked(line, team, state, text.casefold())]
    start = _behind(asked, after)
    shown = asked[start : start + ROWS]
    return page(
        request,
        "fleet.html",
        lines=shown,
        next=shown[-1].monitor if start + ROWS < len(asked) else None,
        found=len(asked),
        counts={each: sum(line.state == each for line in mine) for each in STATES},
        unmet=sum(bool(line.unmet) for line in mine),
        teams=sorted({line.team for line in mine if line.team}),
        states=STATES,
        asked={"team": team, "state": state, "text": text},
        made=glance.made,
        now=service.clock(),
    )


def _asked(line: Line, team: str, state: str, text: str) -> bool:
    return team in ("", line.team) and state in ("", line.state) and text in line.monitor.casefold()


def _behind(lines: Sequence[Line], after: str) -> int:
    """Where the page begins; from the start again where the monitor has gone."""
    return next((at for at, line in enumerate(lines, 1) if line.monitor == after), 0)
