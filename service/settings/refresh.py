"""When a refresh begins, how long its steps may take, and what a new model must prove."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.settings.section import Name, Section

_Hours = Annotated[float, Field(gt=0, le=8_760)]
_Days = Annotated[float, Field(gt=0, le=3_650)]


class RefreshLimits(Section):
    """Hours that a cycle may stay where it is before it counts as stuck: people are told once, and an alert fires until it moves on."""

    approval: _Hours = Field(72.0, description="While a batch or a proven model waits for a person's word.")
    annotating: _Hours = Field(336.0, description="While a batch is with the annotators; one with a deadline has a day more than that.")
    training: _Hours = Field(24.0, description="Until a new model comes back.")
    verifying: _Hours = Field(6.0, description="While a model is judged, or the next step chosen.")
    deployment: _Hours = Field(72.0, description="Until production answers with a promoted model.")


class RefreshSettings(Section):
    """When a cycle opens by itself and what the new model must prove."""

    automatic: bool = Field(
        True,
        description="Open cycles by themselves, one at a time: when an alarm opens on the whole stream, or one of the times below has "
        "come. Else people are told that a refresh is due.",
    )
    after_samples: int = Field(
        500,
        ge=0,
        description="Samples that a stream takes after an alarm before candidates are selected: a young drift shows little of itself.",
    )
    every_days: _Days | None = Field(None, description="Open a cycle when the last one is so many days ago; unset: never for that.")
    max_model_days: _Days | None = Field(
        None, description="Open a cycle when the model in force is so many days old; unset: never for that."
    )
    min_freshness: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Open a cycle when the test set surely covers a smaller share of the traffic; unset: never for that.",
    )
    top_up: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Labels in any 30 days for golden rows drawn at random from all traffic, asked for where the test set covers less than "
        "`min_freshness`; beside all other budgets. 0: none.",
    )
    cool_down_hours: float = Field(
        24.0, ge=0, le=8_760, description="After a cycle has ended, hours in which only a person opens the next one."
    )
    limits: RefreshLimits = RefreshLimits()
    destination: Name | Annotated[tuple[Name, ...], Field(max_length=8)] | None = Field(
        None, description="Where the refresh request goes, and what becomes of the model; a name, or a list of them."
    )
    margin: float = Field(
        0.01, gt=0, lt=0.5, description="A new model is promoted only if its accuracy on golden rows surely falls by less than this."
    )
    segment_margin: float = Field(
        0.03, gt=0, lt=0.5, description="The same of each segment of golden rows (`segments.tags`) that has rows enough to tell."
    )
    expected_flips: float = Field(
        0.02,
        gt=0,
        le=0.5,
        description="Share of golden rows on which only one of the two models is right: what the rows needed are planned with.",
    )
    gap: float = Field(
        0.05, ge=0, lt=1, description="By how much the gap in accuracy between the best and the worst segment of a tag may widen."
    )
    max_negative_flips: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="Largest share of golden samples that may surely be right before and wrong now (upper bound); unset: it is told, and "
        "not held against the model.",
    )
    confidence: float = Field(
        0.9,
        gt=0.5,
        lt=1,
        description="Of what is surely shown, over all looks at the same golden rows: the first spends half of the error.",
    )
    serve: Literal["plain", "switch"] = Field(
        "plain",
        description="What is verified and served: the new model itself, or a switch between the one in force and it, calibrated on "
        "golden's *calibrate* part (needs the extra `model`).",
    )
    switch_fallback: Literal["plain", "reject"] = Field(
        "plain", description="Where no switch can be certified: verify the new model by itself, or reject it."
    )
    promotion: Literal["approval", "automatic"] = Field(
        "approval", description="Whether a proven model waits for a person's word; one that would replace a switch always does."
    )
    rebase: Literal["first_record", "at_once"] = Field(
        "first_record",
        description="When the reference follows a promoted model: at the first record that carries its version, or (where driftgate's own "
        "embedder is the model) at once.",
    )

    @property
    def timed(self) -> bool:
        """Whether cycles open, or are due, without an alarm."""
        return any(each is not None for each in (self.every_days, self.max_model_days, self.min_freshness))

    @property
    def destinations(self) -> tuple[str, ...]:
        """As many as there are."""
        if self.destination is None:
            return ()
        return (self.destination,) if isinstance(self.destination, str) else tuple(dict.fromkeys(self.destination))
