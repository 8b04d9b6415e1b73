"""Teams, what they may take, and how much of it they do."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from service.access.quotas import uses
from service.api.context import Caller, Served
from service.api.paging import Paged
from service.api.schemas import PageView, Problem, View
from service.records import Role

router = APIRouter(prefix="/v1/teams", tags=["access"], responses={status: {"model": Problem} for status in (401, 403)})


class UseView(View):
    """One limit."""

    quota: str = Field(examples=["monitors"])
    unit: str
    used: float
    limit: float | None = Field(description="Null: none.")


class TeamView(View):
    """A team."""

    name: str
    monitors: tuple[str, ...]
    quotas: tuple[UseView, ...]


class TeamsView(PageView):
    """By name."""

    teams: tuple[TeamView, ...]


@router.get("")
def list_teams(caller: Caller, service: Served, page: Paged) -> TeamsView:
    """The teams whose monitors the caller sees, with their quotas and what is used of them."""
    settings, now = service.settings(), service.clock()
    own = {name: known.settings.team for name, known in service.declaring.declared.items()}
    seen = [team for team in settings.teams if caller.over_all(Role.READER) or team.name in own.values()]
    found = page.cut(sorted(seen, key=lambda team: team.name), lambda team: team.name)
    shown = tuple(
        TeamView(
            name=team.name,
            monitors=tuple(sorted(name for name, owner in own.items() if owner == team.name)),
            quotas=tuple(
                UseView.model_validate(use) for use in uses(settings, team, service.store, service.meter.rate(team.name, now), now=now)
            ),
        )
        for team in found.rows
    )
    return TeamsView(teams=shown, next=found.next)
