"""Tokens, and who is asking."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field, StringConstraints, field_validator

from service.access import tokens
from service.api.context import Caller, Served
from service.api.paging import Paged
from service.api.schemas import Form, PageView, Problem, Time, TimeOrNever, View
from service.records import Role, Token, TokenState
from service.settings import Name

router = APIRouter(prefix="/v1", tags=["access"], responses={status: {"model": Problem} for status in (401, 403)})

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TokenForm(Form):
    """A token to be made."""

    name: _Name = Field(description="Who or what will use it.", examples=["inference logger of support"])
    role: Role = Field(description="What it may do.", examples=["ingest"])
    teams: Annotated[tuple[Name, ...], Field(max_length=1_000)] = Field((), description="Only over the monitors of these teams.")
    monitors: Annotated[tuple[Name, ...], Field(max_length=1_000)] = Field(
        (), description="Only over these monitors; with neither teams nor monitors over all.", examples=[["support"]]
    )
    days: float | None = Field(None, gt=0, le=36_500, description="Until it ends; null: it does not.", examples=[365])


class RotateForm(Form):
    """Another secret."""

    grace_hours: float | None = Field(None, ge=0, le=720, description="How long the one before is still good; null: access.rotation_hours.")


class TokenView(View):
    """A token without its secret."""

    id: str = Field(examples=["m3kq2b5xw7ahz6ct"])
    name: str
    role: Role
    teams: tuple[str, ...]
    monitors: tuple[str, ...]
    created: Time
    created_by: str
    expires: TimeOrNever
    used: TimeOrNever = Field(description="When it was shown last, to the hour; null: never.")
    state: TokenState


class MintedView(TokenView):
    """A token with its secret, which is told this once."""

    token: str = Field(description="To be shown as `Authorization: Bearer ...`.", examples=["dg_m3kq2b5xw7ahz6ct_…"])


class TokensView(PageView):
    """Newest first."""

    tokens: tuple[TokenView, ...]


class GrantView(View):
    """A role over monitors."""

    role: Role
    teams: tuple[str, ...]
    monitors: tuple[str, ...]

    @field_validator("teams", "monitors", mode="before")
    @classmethod
    def _in_order(cls, names: frozenset[str]) -> tuple[str, ...]:
        return tuple(sorted(names))


class CallerView(View):
    """Who is asking, and what they may do."""

    name: str
    way: Literal["api", "session", "proxy", "local"]
    grants: tuple[GrantView, ...]
    monitors: tuple[str, ...] = Field(description="Those that they see, or send to.")


@router.get("/whoami")
def whoami(caller: Caller, service: Served) -> CallerView:
    """Who is asking, as the server knows them."""
    teams = {name: known.settings.team for name, known in service.declaring.declared.items()}
    seen = sorted({*caller.among(teams), *caller.among(teams, Role.INGEST)})
    return CallerView.model_validate(
        {"name": caller.name, "way": caller.way, "grants": caller.grants, "monitors": seen}, from_attributes=True
    )


@router.get("/tokens")
def list_tokens(service: Served, page: Paged) -> TokensView:
    """All tokens, those that ended among them, newest first."""
    found = page.read(lambda *, after, limit: service.store.find(Token, after=after, limit=limit))
    return TokensView.model_validate({"tokens": found.rows, "next": found.next}, from_attributes=True)


@router.post("/tokens", status_code=201)
def mint_token(form: TokenForm, caller: Caller, service: Served) -> MintedView:
    """Makes a token. Its secret is told in this answer and never again."""
    _require_known(form, service)
    wanted = tokens.Wanted(name=form.name, role=form.role, teams=form.teams, monitors=form.monitors, days=form.days)
    return _minted(tokens.mint(service.store, wanted, by=caller.name, now=service.clock()))


@router.post("/tokens/{token}/rotate", responses={status: {"model": Problem} for status in (404, 409)})
def rotate_token(token: str, form: RotateForm, service: Served) -> MintedView:
    """Gives a token another secret; the one before is good for a while, so that whoever uses it can change over."""
    hours = service.access.settings.rotation_hours if form.grace_hours is None else form.grace_hours
    return _minted(tokens.rotate(service.store, token, grace=hours * 3_600.0, now=service.clock()))


@router.delete("/tokens/{token}", responses={404: {"model": Problem}})
def revoke_token(token: str, service: Served) -> TokenView:
    """Ends a token, and the sessions that were begun with it, within five seconds on every replica."""
    return TokenView.model_validate(tokens.revoke(service.store, token))


def _minted(minted: tokens.Minted) -> MintedView:
    shown = TokenView.model_validate(minted.token).model_dump()
    return MintedView.model_validate({**shown, "token": minted.text})


def _require_known(form: TokenForm, service: Served) -> None:
    """A name that is mistyped would be of a token that opens nothing."""
    known = {team.name for team in service.settings().teams}
    for team in form.teams:
        if team not in known:
            raise HTTPException(422, f"teams: there is no team {team!r}; known: {', '.join(sorted(known)) or 'none'}")
    for monitor in form.monitors:
        service.known(monitor)
