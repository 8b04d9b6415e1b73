"""What the model is known to fail on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from service.api.context import Served
from service.api.schemas import Act, Problem, Somebody, StepView, Time, View
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_sample
from service.errors import InputError
from service.failures.causes import Cause, Speaks
from service.failures.marks import Word
from service.failures.written import document, mark_document
from service.records import MarkState, Rejected, Sample

router = APIRouter(tags=["failures"], responses={status: {"model": Problem} for status in (400, 404, 429)})

SampleId = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class MarkForm(Act):
    """A person's word that the model's answer to a sample is wrong."""

    sample: SampleId | dict[str, Any] = Field(
        description="The id of one that is kept; or the sample itself, as `POST /v1/monitors/{monitor}/samples` takes it, where it is not.",
        examples=["m-17"],
    )
    label: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="The right class; left out where it is not known, or is none that the model has."
    )


class MarkView(View):
    """A mark as it stands."""

    monitor: str
    sample: str
    state: MarkState
    label: str | None
    history: tuple[StepView, ...]


class ShareView(View):
    """A share with its 95 % interval."""

    estimate: float
    low: float
    high: float


class EvidenceView(View):
    """What is known about one cause."""

    cause: Cause
    speaks: Speaks
    says: str
    share: ShareView | None = Field(description="Of the distinct samples that it can be told of; null where it can't.")


class FailureView(View):
    """A sample that the model fails on."""

    id: str
    text: str
    time: Time
    segments: Mapping[str, str]
    label: str | None = Field(description="What is right; null where a person marked it without saying.")
    answer: str
    loss: float = Field(description="Nats.")
    count: int = Field(description="Near-duplicates, itself included.")
    marked_by: str | None
    note: str | None
    suspects: tuple[str, ...] = Field(description="Why the sample may itself be at fault: its label, its input.")


class FailureClusterView(View):
    """Failures of one kind: the same right class in the same place."""

    id: str
    name: str
    label: str | None
    answer: str = Field(description="The commonest wrong one; empty where none is known.")
    samples: int = Field(description="With near-duplicates.")
    distinct: int
    marked: int
    loss: float = Field(description="Nats, the mean over the distinct samples.")
    weight: float = Field(description="Distinct samples times loss: what clusters are ranked by.")
    cause: Cause | None = Field(description="The likeliest; null where nothing speaks for one.")
    evidence: tuple[EvidenceView, ...]
    failures: tuple[FailureView, ...]


class FailuresView(View):
    """A monitor's failures under the reference in force."""

    monitor: str
    reference_version: int
    samples: int
    older: int = Field(description="Failures under earlier references.")
    unkept: int = Field(description="Marks whose sample is kept nowhere any more.")
    clusters: tuple[FailureClusterView, ...]


@router.get("/v1/monitors/{monitor}/failures")
def list_failures(
    monitor: str, service: Served, samples: Annotated[int, Query(ge=0, le=1_000, description="Of each cluster, the dearest.")] = 3
) -> FailuresView:
    """Failure clusters, those that cost most first, each with the evidence for its likely cause. It reads everything that is kept: 429
    while another such request does."""
    known = service.known(monitor)
    with service.alone():
        listing = service.failures.listing(known)
    return FailuresView.model_validate(document(listing, samples=samples))


@router.post("/v1/monitors/{monitor}/failures", status_code=201)
def mark_failure(monitor: str, form: MarkForm, service: Served) -> MarkView:
    """Marks a sample as one that the model fails on. Repeating it changes nothing; another label corrects the mark."""
    known, now = service.known(monitor), service.clock()
    given = form.sample if isinstance(form.sample, str) else _sample(form.sample, known, service, now)
    name, brought = (given, None) if isinstance(given, str) else (given.id, given)
    mark = service.failures.mark(known, name, form.label, Word(form.actor, form.note, now), given=brought)
    return MarkView.model_validate(mark_document(mark))


@router.delete("/v1/monitors/{monitor}/failures/{sample:path}")
def unmark_failure(
    monitor: str,
    sample: str,
    service: Served,
    actor: Annotated[str, Query(min_length=1, max_length=100), Somebody],
    note: Annotated[str, Query(max_length=2_000)] = "",
) -> MarkView:
    """Takes a mark back; what labels say of the sample stays."""
    mark = service.failures.unmark(service.known(monitor), sample, Word(actor, note, service.clock()))
    return MarkView.model_validate(mark_document(mark))


def _sample(given: dict[str, Any], monitor: str, service: Served, now: float) -> Sample:
    options = SampleOptions.of(service.declaring.declared[monitor].settings)
    found = decode_sample(given, monitor=monitor, now=now, default_time=now, options=options)
    if isinstance(found, Rejected):
        raise InputError(found.reason, found.message)
    if not found.id:
        raise InputError("id", "the sample has no id: give it one, so that it can be marked again and taken back")
    return found
