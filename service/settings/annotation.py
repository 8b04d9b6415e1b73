"""What may be sent to annotators, and how."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from service.settings.section import Name, Section


class AnnotationSettings(Section):
    """What may be sent to annotators, and where."""

    budget: int = Field(100, ge=1, le=10_000, description="Candidates per cycle, in as many batches as `selection.rounds`.")
    price: float | None = Field(None, ge=0, description="Price per label, for the estimate.")
    quota: float = Field(1.0, gt=0, le=1, description="Share of a batch's candidates whose answers close it.")
    deadline_hours: float | None = Field(
        336.0,
        gt=0,
        le=8_760,
        description="Hours after sending at which a batch closes with what has come; unset (`null`): never by itself.",
    )
    destination: Name | None = Field(None, description="A destination's name; without one batches wait as proposed.")
    approval: Literal["automatic", "operator"] = Field("automatic", description="`operator`: a batch waits until a person approves it.")
    automatic_labels: int | None = Field(
        None, ge=0, description="Largest batch, in answers asked for, that leaves without a person's approval; unset: any."
    )
    automatic_cost: float | None = Field(
        None, ge=0, description="Dearest batch, at `annotation.price`, that leaves without a person's approval; unset: any."
    )
    gold_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Rows with known answers, from golden's *select* part, that are hidden in each batch, per candidate: they tell how "
        "good the annotators are.",
    )
    double_share: float = Field(
        0.0, ge=0, le=1, description="Share of the candidates that several annotators answer, each for themselves and without a prediction."
    )
    double_answers: Literal[2, 3] = Field(2, description="How many annotators answer those.")
    second_opinions: float = Field(
        0.15,
        ge=0,
        le=1,
        description="Share of `budget` that may be asked once more, blind, where the label checks doubt an answer; 0: none, and answers "
        "that are likelier wrong than right train nothing.",
    )
    new_classes: Literal["automatic", "operator"] = Field(
        "automatic",
        description="A class that annotators propose joins the label scheme once several of their answers that agree name it, or when a "
        "person adds it; before that its labels train nothing.",
    )

    @model_validator(mode="after")
    def _price_for_cost(self) -> Self:
        if self.automatic_cost is not None and not self.price:
            raise ValueError("automatic_cost: a limit in money needs `annotation.price`, the price per label, above 0")
        return self

    @property
    def answers_per_candidate(self) -> float:
        """What a candidate costs in answers, its share of double annotation and gold counted."""
        return 1 + self.double_share * (self.double_answers - 1) + self.gold_share

    @property
    def price_per_candidate(self) -> float | None:
        """None without a price per label."""
        return None if self.price is None else self.price * self.answers_per_candidate
