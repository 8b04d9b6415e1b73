"""What is kept for labels that come late, and when their errors are an alarm."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.settings.section import Section

_BLOCK = 4_096
"""Answers go by whole blocks of at most so many."""


class TruthSettings(Section):
    """Labels that come after the answers that they judge."""

    keep_answers: int = Field(
        200_000,
        ge=0,
        le=1_000_000,
        description="Answers of the model that are kept until their labels come, the newest of a monitor; 0: none, so that no label finds "
        "its sample. About 25 bytes each.",
    )
    keep_labels: int = Field(100_000, ge=1_000, le=2_000_000, description="Labelled answers that are kept, the newest of a monitor.")
    new_classes: tuple[str, ...] = Field(
        (),
        max_length=1_000,
        description="Classes that the model is still to learn: labels and marks may name them beside the model's own, and what it answered "
        "is wrong then. Others are refused, as they may be misspelt.",
    )
    against: Literal["reference", "first"] = Field(
        "first",
        description="What errors are compared with: those of the first labels of production, or (`reference`) those of the reference's "
        "rows, where a stream has 100 with label and answer. Choose the latter only where the model was not trained on the reference: "
        "else every label is an alarm.",
    )
    first_labels: int = Field(
        500, ge=100, le=100_000, description="How many labels of a stream those are; also where the reference's rows are too few."
    )
    tolerance: float = Field(0.01, ge=0, lt=1, description="Increase of the error rate declared harmless.")
    critical: float = Field(0.1, gt=0, le=1, description="Increase of the error rate from which an alarm is critical.")

    @property
    def remembered(self) -> int:
        """Labels of which it is remembered that they came: no fewer may come before the answer that one judged has gone. Those are the
        answers that were kept when it came, and as many that came until it went."""
        return max(2 * (self.keep_answers + _BLOCK), self.keep_labels)
