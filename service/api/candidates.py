"""What would go to annotators now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from service.api.context import Served
from service.api.schemas import CandidateView, Problem, Time, View
from service.records import WHOLE
from service.selecting.proposal import Proposal

router = APIRouter(tags=["annotation"], responses={status: {"model": Problem} for status in (404, 409, 429)})


class AboutView(View):
    """What the candidates are about."""

    segment: str = Field(examples=[WHOLE])
    since: Time
    alarm: str = Field(description="The alarm that told of it; empty without one.")
    reference_version: int


class SituationView(View):
    """What there was to choose by."""

    kind: str = Field(description="`text`, `image` or `vector`.")
    probabilities: bool
    failures: int = Field(description="Known failure samples.")
    answers: int = Field(description="Of earlier rounds.")
    weak: int = Field(description="Rows of the pool with a noisy label.")


class TurnView(View):
    """Which of a cycle's rounds."""

    number: int
    of: int


class CountsView(View):
    """What became of the rows that were looked at."""

    recent: int
    reserved: int
    imported: int = Field(description="Of pools from files.")
    labelled: int
    asked: int
    held_back: int = Field(description="Too close to golden or challenge rows.")
    duplicates: int
    distinct: int


class PurseView(View):
    """A limit, in labels or in money."""

    name: str
    setting: str
    limit: float
    spent: float
    left: float
    labels: int = Field(description="How many more labels it pays.")


class CostView(View):
    """What the proposal costs, and what is left before it."""

    labels: int
    price: float | None
    money: float | None
    purses: tuple[PurseView, ...]


class BoundView(View):
    """What the verification of the new model can promise."""

    rate: float
    confidence: float
    rows: int
    needed: int
    allowed: int
    holds: bool


class ProposalView(View):
    """One batch as it would be sent."""

    about: AboutView
    situation: SituationView
    turn: TurnView
    candidates: tuple[CandidateView, ...]
    challenge: tuple[CandidateView, ...] = Field(description="Drawn at random, to be labelled blind.")
    cited: Mapping[str, str] = Field(description="Texts of the samples that candidates name as nearest, by id.")
    counts: CountsView
    cost: CostView
    risky: int = Field(description="Left out because their risk is above the limit.")
    bound: BoundView | None = Field(description="Null without a golden set: then nothing is promised.")
    notes: tuple[str, ...]


def view(proposal: Proposal) -> ProposalView:
    """As JSON shows it."""
    return ProposalView.model_validate(proposal)


@router.get("/v1/monitors/{monitor}/candidates")
def propose_candidates(
    monitor: str,
    service: Served,
    alarm: Annotated[str, Query(max_length=200, description="For this alarm; by default the monitor's strongest open one.")] = "",
    budget: Annotated[int | None, Query(ge=1, le=10_000, description="At most so many candidates.")] = None,
) -> ProposalView:
    """What a refresh cycle would ask next: nothing is sent, and asking again gives the same while nothing new has come."""
    known = service.known(monitor)
    with service.alone():
        return view(service.actions.propose(known, alarm=alarm, budget=budget, now=service.clock()))
