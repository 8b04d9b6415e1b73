"""When a refresh begins, and what a new model must prove."""

from __future__ import annotations

from pydantic import Field

from service.settings.section import Name, Section


class RefreshSettings(Section):
    """When a cycle opens by itself and what the new model must prove."""

    automatic: bool = Field(True, description="Open a cycle when an alarm opens on the whole stream and none is running.")
    after_samples: int = Field(
        500,
        ge=0,
        description="Samples that a stream takes after an alarm before candidates are selected: a young drift shows little of itself.",
    )
    destination: Name | None = Field(None, description="Where the refresh request goes.")
    max_negative_flips: float = Field(
        0.01, gt=0, lt=0.5, description="Largest share of golden samples that the old model gets right and the new one wrong (upper bound)."
    )
    confidence: float = Field(0.9, gt=0.5, lt=1, description="Of the bound on negative flips.")
