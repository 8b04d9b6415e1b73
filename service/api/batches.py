"""Annotation batches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import Field, StringConstraints

from service.annotation.manifest import is_intact, manifest
from service.annotation.standing import BatchStanding, standing
from service.api.conditional import tagged, unchanged
from service.api.context import Served, Service
from service.api.paging import Paged
from service.api.schemas import Act, Batches, BatchView, Problem, View
from service.records import AnnotationBatch, BatchState
from service.settings import AnnotationSettings

router = APIRouter(prefix="/v1/batches", tags=["annotation"], responses={404: {"model": Problem}})
_READ = [Depends(unchanged(AnnotationBatch))]


class PriorityAct(Act):
    """Who wants it sooner or later."""

    priority: float = Field(ge=0, le=10, description="Of the batch, 0 to 10; of an item, 0 to 1. Larger goes first.")
    item: Annotated[str, StringConstraints(max_length=1_000)] = Field("", description="A candidate's id; empty for the whole batch.")


SampleId = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class ChoiceAct(Act):
    """Who chooses among a batch's candidates."""

    candidates: Annotated[tuple[SampleId, ...], Field(min_length=1, max_length=1_000, description="Their ids.")]


class ManifestView(View):
    """What a batch asked, as it was sealed."""

    checksum: str = Field(description="SHA-256 that was kept when it was made.")
    intact: bool = Field(description="Whether what is stored is still that.")
    manifest: Mapping[str, Any]


class AgreementView(View):
    """What the answers to one sample come to."""

    id: str
    label: str | None = Field(description="A class, `none of these` or `new: NAME`; null for unusable.")
    probability: float = Field(description="That it is right, by what is known of who answered.")
    spread: float = Field(description="Standard deviation of that probability.")
    answers: int
    unanimous: bool


class AnnotatorView(View):
    """How good an annotator's answers are."""

    annotator: str
    accuracy: float
    low: float
    high: float
    answers: int
    gold: int = Field(description="Answers to rows whose answer is known.")
    gold_right: int


class AnswersView(View):
    """What came back of a batch."""

    labels: int = Field(description="Answers asked for, several of one sample and gold among them.")
    price: float | None
    waits: str = Field(description="Why it is not sent; empty where it was.")
    answers: tuple[AgreementView, ...]
    annotators: tuple[AnnotatorView, ...]
    proposed: Mapping[str, int] = Field(description="Classes that annotators miss, and of how many samples.")
    unresolved: Mapping[str, int] = Field(description="Words that the label scheme does not know, and how often they came.")


@router.get("")
def list_batches(service: Served, page: Paged, monitor: str | None = None, state: BatchState | None = None) -> Batches:
    """Batches without their candidates, newest first."""
    if monitor is not None:
        service.known(monitor)
    found = page.read(partial(service.store.find, AnnotationBatch, monitor=monitor, states=[state] if state else []))
    return Batches.model_validate({"batches": found.rows, "next": found.next}, from_attributes=True)


@router.get("/{id}")
def get_batch(id: str, service: Served, response: Response) -> BatchView:
    """One batch with its candidates."""
    return BatchView.model_validate(tagged(response, service.store.get(AnnotationBatch, id)))


@router.get("/{id}/manifest")
def get_manifest(id: str, service: Served) -> ManifestView:
    """What was sealed when the batch was made, and whether it is still so."""
    batch = service.store.get(AnnotationBatch, id)
    return ManifestView(checksum=batch.manifest, intact=is_intact(batch), manifest=manifest(batch))


@router.get("/{id}/answers")
def get_answers(id: str, service: Served) -> AnswersView:
    """What the answers come to, how sure that is, and how good those are who gave them."""
    batch = service.store.get(AnnotationBatch, id)
    return answers_view(standing(service.store, batch, _settings(service, batch)))


@router.patch("/{id}", responses={status: {"model": Problem} for status in (400, 409)}, dependencies=_READ)
def prioritise_batch(id: str, act: PriorityAct, service: Served, response: Response) -> BatchView:
    """Another priority of the batch or of one of its candidates; annotators who have it are told."""
    changed = service.actions.prioritise_batch(id, act.priority, item=act.item, actor=act.actor, now=service.clock())
    return BatchView.model_validate(tagged(response, changed))


@router.post("/{id}/drop", responses={409: {"model": Problem}})
def drop_candidates(id: str, act: ChoiceAct, service: Served) -> BatchView:
    """Takes candidates out of a proposed batch: they are not asked about, and not proposed again. Those drawn at random stay."""
    ids = set(act.candidates)
    return BatchView.model_validate(service.actions.drop_candidates(id, ids, actor=act.actor, note=act.note, now=service.clock()))


@router.post("/{id}/restore", responses={409: {"model": Problem}})
def restore_candidates(id: str, act: ChoiceAct, service: Served) -> BatchView:
    """Puts candidates back that were taken out of it."""
    ids = set(act.candidates)
    return BatchView.model_validate(service.actions.restore_candidates(id, ids, actor=act.actor, note=act.note, now=service.clock()))


@router.post("/{id}/approve", responses={409: {"model": Problem}}, dependencies=_READ)
def approve_batch(id: str, act: Act, service: Served, response: Response) -> BatchView:
    """Sends a proposed batch to annotators."""
    return BatchView.model_validate(
        tagged(response, service.actions.approve_batch(id, actor=act.actor, note=act.note, now=service.clock()))
    )


@router.post("/{id}/close", responses={409: {"model": Problem}}, dependencies=_READ)
def close_batch(id: str, act: Act, service: Served, response: Response) -> BatchView:
    """Goes on with the labels that have come back."""
    return BatchView.model_validate(tagged(response, service.actions.close_batch(id, actor=act.actor, note=act.note, now=service.clock())))


@router.post("/{id}/cancel", responses={409: {"model": Problem}}, dependencies=_READ)
def cancel_batch(id: str, act: Act, service: Served, response: Response) -> BatchView:
    """Expects no more of it; annotators who have it are told, and labels that still come are kept."""
    return BatchView.model_validate(tagged(response, service.actions.cancel_batch(id, actor=act.actor, note=act.note, now=service.clock())))


def _settings(service: Service, batch: AnnotationBatch) -> AnnotationSettings:
    declared = service.declaring.declared.get(batch.monitor)
    return declared.settings.annotation if declared else AnnotationSettings()


def answers_view(found: BatchStanding) -> AnswersView:
    """What is known of a batch beside what it says itself."""
    return AnswersView(
        labels=found.labels,
        price=found.price,
        waits=found.waits,
        answers=tuple(
            AgreementView(
                id=sample, label=each.label.label, probability=each.probability, spread=each.spread, answers=each.answers,
                unanimous=each.unanimous,
            )
            for sample, each in found.agreements.items()
        ),
        annotators=tuple(
            AnnotatorView(
                annotator=name, accuracy=each.mean, low=each.low, high=each.high, answers=each.answers, gold=each.gold,
                gold_right=each.gold_right,
            )
            for name, each in found.annotators.items()
        ),
        proposed={each.name: len(each.samples) for each in found.proposed},
        unresolved=found.unresolved,
    )  # fmt: skip
