"""The kept samples that are most like something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import APIRouter
from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from service.api.context import Served, Service
from service.api.schemas import CycleView, Form, Problem, Somebody, Time, View
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_sample
from service.errors import InputError
from service.records import Rejected, Sample
from service.similar.mining import MOST_MATCHES, Asked
from service.similar.pool import Narrowing
from service.similar.written import document

router = APIRouter(tags=["failures"], responses={status: {"model": Problem} for status in (400, 404, 409, 429)})

Short = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class SimilarForm(Form):
    """Near to what samples are wanted: one of `sample`, `failure` and `set`."""

    sample: Short | dict[str, Any] | None = Field(
        None,
        description="The id of one that is kept, or the sample itself as `POST /v1/monitors/{monitor}/samples` takes it.",
        examples=["m-17"],
    )
    failure: Short | None = Field(None, description="A failure cluster's id: near to any of its samples.")
    set: Short | None = Field(None, description="`ROLE` or `ROLE:VERSION`: near to any row of a data set.", examples=["challenge"])
    segment: Short | None = Field(None, description="Only samples of this one.", examples=["locale=de"])
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    label: Short | None = Field(None, description="Only samples known to be of this class.")
    predicted: Short | None = Field(None, description="Only samples that the model answered so.")
    confidence: tuple[float, float] | None = Field(None, description="Only answers of a confidence between these.", examples=[[0.5, 0.9]])
    limit: int = Field(20, ge=1, le=MOST_MATCHES)
    send: bool = Field(False, description="Open a refresh cycle that asks annotators about them.")
    actor: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), Somebody] = Field(
        "", description="Who sends: needed with `send`."
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.send and not self.actor:
            raise ValueError("actor: say who sends")
        return self


class MatchView(View):
    """A kept sample that is near."""

    id: str
    text: str
    place: str = Field(examples=["recent", "reserve", "pool set 3"])
    time: Time | None
    segments: Mapping[str, str]
    similarity: float = Field(description="Cosine to the nearest of what is asked for, seen from the reference's mean.")
    near: str = Field(description="The id of that one.")
    percentile: float | None = Field(description="Of its distance to the reference, among the reference's own rows.")
    label: str | None
    predicted: str
    confidence: float | None
    asked: bool = Field(description="Whether annotators have been asked about it.")
    count: int = Field(description="Near-duplicates that it stands for, itself included.")
    copies: tuple[str, ...] = Field(description="Ids of the first of them.")


class MatchesView(View):
    """The nearest first."""

    monitor: str
    reference_version: int
    near_to: str
    kept: int = Field(description="Samples that are kept under the reference in force.")
    searched: int = Field(description="Of these, those that the narrowing left.")
    matches: tuple[MatchView, ...]
    cycle: CycleView | None = Field(
        None, description="With `send`: the refresh cycle that asks about those not yet asked about or labelled."
    )


@router.post("/v1/monitors/{monitor}/similar")
def find_similar(monitor: str, form: SimilarForm, service: Served) -> MatchesView:
    """The kept samples nearest to a sample, a failure cluster or a set, near-duplicates told once: recent ones, the reserve and pool sets.
    With `send` they go to annotators, as the monitor approves. It reads everything that is kept: 429 while another such request does."""
    known, now = service.known(monitor), service.clock()
    asked = _asked(form, known, service, now)
    with service.alone():
        found = service.similar.find(known, asked, now=now)
        cycle = service.similar.send(found, actor=form.actor, now=now) if form.send else None
    shown = None if cycle is None else CycleView.model_validate(cycle)
    return MatchesView.model_validate({**document(found), "cycle": shown})


def _asked(form: SimilarForm, monitor: str, service: Service, now: float) -> Asked:
    since, until = (None if moment is None else moment.timestamp() for moment in (form.since, form.until))
    narrowing = Narrowing(form.segment, since, until, form.label, form.predicted, form.confidence)
    given = _sample(form.sample, monitor, service, now) if isinstance(form.sample, dict) else None
    name = form.sample if isinstance(form.sample, str) else None
    return Asked(name, given, form.failure, form.set, narrowing, form.limit)


def _sample(given: dict[str, Any], monitor: str, service: Service, now: float) -> Sample:
    options = SampleOptions.of(service.declaring.declared[monitor].settings)
    found = decode_sample(given, monitor=monitor, now=now, default_id="the sample sent", default_time=now, options=options)
    if isinstance(found, Rejected):
        raise InputError(found.reason, found.message)
    return found
