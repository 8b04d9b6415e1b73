"""What may be sent to annotators, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.settings.section import Name, Section


class AnnotationSettings(Section):
    """What may be sent to annotators, and where."""

    budget: int = Field(100, ge=1, le=10_000, description="Candidates per cycle, in as many batches as `selection.rounds`.")
    price: float | None = Field(None, ge=0, description="Price per label, for the estimate.")
    quota: float = Field(1.0, gt=0, le=1, description="Share of a batch's candidates whose answers close it.")
    destination: Name | None = Field(None, description="A destination's name; without one batches wait as proposed.")
    approval: Literal["automatic", "operator"] = Field("automatic", description="`operator`: a batch waits until a person approves it.")
