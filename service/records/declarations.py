"""A monitor as it is declared: its settings and the reference in force, the same for every process that works on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.records.alarms import Step


class DeclarationState(StrEnum):
    DECLARED = "declared"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One per monitor, whose name is its id. Each change raises `version`; one that shapes panes raises `shape` as well."""

    id: str
    monitor: str
    settings: Mapping[str, Any]
    """The monitor's section as a JSON document, paths absolute."""
    origin: str
    """The file that declares it, or `api`: only there it is edited."""
    shape: int
    """Version of what shapes panes: embedder, mapping, segments, limits, reference."""
    reference: int | None
    """The version in force."""
    state: DeclarationState
    created: float
    history: tuple[Step, ...] = field(default=())
    version: int = 0
    given: Mapping[str, Any] = field(default_factory=dict)
    """Of one that came by API: as it came, without what it inherits from the policy."""
