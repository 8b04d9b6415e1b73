"""What an installation asks of its monitors, as it stood at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.records.alarms import Step

POLICY = "policy"
"""The id of the one there is."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force; every change of what it says is a version, and the history keeps what each said."""

    settings: Mapping[str, Any]
    """The section as a JSON document."""
    created: float
    id: str = POLICY
    monitor: str = ""
    state: str = "in force"
    before: tuple[Mapping[str, Any], ...] = field(default=())
    """What earlier versions said, oldest first, as many as are kept."""
    history: tuple[Step, ...] = field(default=())
    version: int = 0


class Finding(StrEnum):
    """What a check came to."""

    MET = "met"
    UNMET = "unmet"
    EXEMPT = "exempt"
    """Not met, and it need not be."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check of one monitor."""

    name: str
    finding: Finding
    found: str
    """What there is, in words."""
    wanted: str
    remedy: str
    """What to do, '' where it is met; of an exemption, why."""


@dataclass(frozen=True, slots=True)
class Compliance:
    """A monitor beside the policy."""

    monitor: str
    team: str | None
    policy: int
    """Version."""
    checks: tuple[Checked, ...]

    @property
    def unmet(self) -> Sequence[str]:
        """What is to be done."""
        return [checked.name for checked in self.checks if checked.finding is Finding.UNMET]
