"""Which samples are worth a label, and what a cycle may spend on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from service.settings.section import Section

PERIOD_DAYS = 30


class SelectionSettings(Section):
    """Which samples are worth a label, and what may be spent on them beside `annotation.budget`, the candidates of a cycle."""

    rounds: int = Field(
        5, ge=1, le=50, description="Batches in which a cycle's candidates go out; each is chosen by what the ones before taught."
    )
    challenge: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Rows drawn at random from the drifted traffic to verify the new model with, beside the candidates and never trained "
        "on; 0: there is a challenge set already.",
    )
    risk_limit: float = Field(
        0.5, gt=0, le=1, description="Largest probability of turning out unusable or harmful that a candidate may have; 1: no limit."
    )
    audit_share: float = Field(
        0.05, ge=0, le=0.5, description="Share of the candidates drawn without regard to `risk_limit`, to hold risks against outcomes."
    )
    label_checks: bool = Field(
        True,
        description="Ask again about answers in doubt, and leave labels untrained that stay so or whose risk is too high; false: every "
        "usable label trains.",
    )
    cycle_cost: float | None = Field(None, gt=0, description="Most that a cycle's labels may cost, at `annotation.price`; unset: no limit.")
    period_labels: int | None = Field(None, ge=1, description=f"Most labels asked for in any {PERIOD_DAYS} days; unset: no limit.")
    period_cost: float | None = Field(
        None, gt=0, description=f"Most that the labels of any {PERIOD_DAYS} days may cost, at `annotation.price`; unset: no limit."
    )


def with_challenge_apart(document: Any) -> Any:
    """A monitor's document that says with `refresh.challenge_share` how much of a batch is drawn for the challenge set, as one that has a
    budget for each: the same number of labels as before."""
    if not isinstance(document, Mapping) or "challenge_share" not in (refresh := _part(document, "refresh")):
        return document
    annotation, selection = _part(document, "annotation"), _part(document, "selection")
    share, budget = refresh.pop("challenge_share"), annotation.get("budget", 100)
    if "challenge" not in selection and isinstance(share, int | float) and isinstance(budget, int):
        selection["challenge"] = min(round(share * budget), budget - 1)
        annotation["budget"] = budget - selection["challenge"]
    return {**document, "refresh": refresh, "annotation": annotation, "selection": selection}


def _part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name)
    return dict(part) if isinstance(part, Mapping) else {}
