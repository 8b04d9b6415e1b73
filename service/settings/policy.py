"""What an installation asks of every monitor: defaults that they inherit, and checks that they must pass."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self, TypeAlias, get_args

from pydantic import Field, model_validator

from service.settings.privacy import Kind
from service.settings.section import Name, Section

CheckName: TypeAlias = Literal[
    "team",
    "notify",
    "active",
    "segments",
    "annotation",
    "refresh",
    "reference_rows",
    "reference_days",
    "golden_rows",
    "report_days",
    "label_days",
    "redaction",
    "retention_days",
]
CHECKS: tuple[CheckName, ...] = get_args(CheckName)

_DEPTH = 8
"""Of a document that defaults are laid under; settings are half as deep."""


class RequireSettings(Section):
    """The checks; what is not set is not asked for."""

    team: bool = Field(False, description="It has an owner.")
    notify: bool = Field(False, description="Its alarms reach somebody, by `notify` or by a route of its team.")
    active: bool = Field(False, description="It takes part in the budget: `detection.mode` is not `shadow`.")
    segments: bool = Field(False, description="It has segments.")
    annotation: bool = Field(False, description="Its batches go somewhere, at a known price.")
    refresh: bool = Field(False, description="Its refresh requests go somewhere.")
    reference_rows: int | None = Field(None, ge=1, description="Rows of the reference in force, at least.")
    reference_days: float | None = Field(None, gt=0, description="Its age, at most.")
    golden_rows: int | None = Field(None, ge=1, description="Rows of the newest golden set, at least.")
    report_days: float | None = Field(None, gt=0, description="Age of the newest blind-spot report, at most.")
    label_days: float | None = Field(None, gt=0, description="Age of the newest label that came late, at most.")
    redaction: tuple[Kind, ...] = Field((), description="What `privacy.redact` has to name, unless no payload is kept.")
    retention_days: float | None = Field(None, gt=0, description="`privacy.retention_days`, at most.")


class ExemptionSettings(Section):
    """A monitor that need not pass a check."""

    monitor: Name = Field(description="Its name.")
    check: CheckName = Field(description="Which one.")
    why: str = Field(min_length=1, max_length=300, description="Shown wherever the check is.")
    until: date | None = Field(None, description="The last day that it counts; null: for good.")


class PolicySettings(Section):
    """Every change of it is a version, kept in the store."""

    defaults: dict[str, Any] = Field({}, description="Settings that every monitor has unless it says otherwise, as an entry of `monitors`.")
    require: RequireSettings = RequireSettings()
    exempt: tuple[ExemptionSettings, ...] = Field((), max_length=10_000)

    @model_validator(mode="after")
    def _no_identity(self) -> Self:
        for field in ("name", "team"):
            if field in self.defaults:
                raise ValueError(f"defaults: {field} is each monitor's own")
        return self


def inherited(defaults: Mapping[str, Any], document: Mapping[str, Any], *, depth: int = _DEPTH) -> dict[str, Any]:
    """The document over the defaults: sections are laid into each other, any other value replaces the default's, null too."""
    merged = dict(defaults)
    for name, own in document.items():
        default = merged.get(name)
        both = isinstance(default, Mapping) and isinstance(own, Mapping)
        merged[name] = inherited(default, own, depth=depth - 1) if both and depth else own  # type: ignore[arg-type]  # both are mappings
    return merged
