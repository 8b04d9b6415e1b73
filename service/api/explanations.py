"""One sample explained, by its id or as it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from fastapi import APIRouter
from pydantic import Field

from service.api.context import Body, Served
from service.api.schemas import MissingView, Problem, Time, View
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_sample
from service.errors import InputError
from service.explaining.samples import SampleExplanation
from service.explaining.written import document
from service.records import Rejected

router = APIRouter(tags=["explanations"], responses={status: {"model": Problem} for status in (400, 404, 429)})

_SAMPLE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One sample, as `POST /v1/monitors/{monitor}/samples` takes it. It is explained and not kept.",
        "content": {"application/json": {"schema": {"type": "object"}, "example": {"id": "m-17", "text": "where is my refund?"}}},
    }
}


Figure: TypeAlias = float | None
"""Null where it is not known."""


class ModelAnswerView(View):
    """What the model said; empty where that is not known."""

    given: str = Field(description="When the sample came.")
    now: str = Field(description="By the model in force.")
    explained: str = Field(description="Whose logit is explained: the one given, where the model in force has such a class.")
    confidence: Figure


class NoveltyView(View):
    """Percentiles, 0 to 1: how strange the sample is."""

    reference: Figure = Field(description="By the five nearest reference rows, exactly.")
    train: Figure = Field(description="By the five nearest training rows, exactly.")
    stream: Figure = Field(description="By the prototypes that the stream goes by.")
    residual: Figure = Field(description="By what the reference's leading directions leave of it.")


class PlacedView(View):
    """Among the reference's clusters."""

    cluster: str = Field(description="That it falls into; `novel`: none.")
    nearest: str


class NearView(View):
    """A row close to the sample."""

    id: str
    text: str
    label: str | None
    distance: float
    same: bool | None = Field(description="Whether its label is the sample's, or without one the model's answer.")


class TaughtView(View):
    """A training row that the answer was learnt from."""

    id: str
    text: str
    label: str | None
    nats: float = Field(description="By how much the loss of the answer would rise without it; above 0 it supports the answer.")


class PartView(View):
    """A part of the sample, and what leaving it out takes away."""

    text: str
    start: int
    end: int
    answer: Figure = Field(description="Of the answer's logit.")
    novelty: Figure = Field(description="Of the distance to the nearest prototype of the reference.")
    cluster: Figure = Field(description="Of the distance to the nearest prototype of its own cluster.")


class AttributionView(View):
    """Which parts the answer (or, of a model without logits, the novelty) stands on."""

    of: str = Field(examples=["answer", "novelty"])
    unit: str = Field(examples=["words", "patches", "coordinates"])
    whole: float
    parts: tuple[PartView, ...]
    left_out: int = Field(description="Parts of small weight that are not listed.")
    strongest: tuple[int, ...] = Field(description="Places of the parts that were also left out together.")
    together: Figure = Field(description="What that took away; far more than their sum where parts stand in for each other.")
    side: int = Field(description="Of the grid of patches, 0 for other kinds.")
    caveat: str


class SampleExplanationView(View):
    """All that can be said of one sample."""

    monitor: str
    id: str
    place: str = Field(description="Where it was found.", examples=["recent traffic"])
    kind: str = Field(examples=["text", "image", "vector"])
    text: str
    time: Time | None
    segments: Mapping[str, str]
    label: str | None
    answer: ModelAnswerView
    reference_version: int | None
    novelty: NoveltyView | None
    placed: PlacedView
    near: Mapping[str, tuple[NearView, ...]] = Field(description="`reference` and `train`: the nearest of their rows.")
    supporting: tuple[TaughtView, ...]
    opposing: tuple[TaughtView, ...]
    attribution: AttributionView | None
    missing: tuple[MissingView, ...]


def view(explanation: SampleExplanation) -> SampleExplanationView:
    """As JSON shows it."""
    return SampleExplanationView.model_validate(document(explanation))


@router.get("/v1/monitors/{monitor}/samples/{id:path}/explanation")
def explain_sample(monitor: str, id: str, service: Served) -> SampleExplanationView:
    """A sample that is kept: its neighbours, novelty, the training rows behind its answer, and the parts that the answer stands on.
    Costs up to a hundred runs of the model, so one is explained at a time: 429 while another is."""
    return view(service.samples.explain(service.known(monitor), id, now=service.clock()))


@router.post("/v1/monitors/{monitor}/explanation", openapi_extra=_SAMPLE)
def explain_given_sample(monitor: str, body: Body, service: Served) -> SampleExplanationView:
    """The same of a sample that is sent along."""
    options = SampleOptions.of(service.declaring.declared[service.known(monitor)].settings)
    found = decode_sample(body, monitor=monitor, now=service.clock(), default_id="the sample sent", options=options)
    if isinstance(found, Rejected):
        raise InputError(found.reason, found.message)
    return view(service.samples.explain_given(found, now=service.clock()))
