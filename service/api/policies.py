"""What the installation asks of its monitors, and how each stands beside it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from service.api.context import Served
from service.api.schemas import Problem, StepView, Time, View
from service.errors import NotFoundError
from service.records.policies import Compliance, Finding
from service.settings import CheckName

router = APIRouter(prefix="/v1/policy", tags=["policy"])


class PolicyView(View):
    """The policy in force."""

    version: int
    created: Time
    settings: dict[str, Any] = Field(description="The section `policy` of the configuration.")
    before: tuple[dict[str, Any], ...] = Field(description="What earlier versions said, oldest first, as many as are kept.")
    history: tuple[StepView, ...]


class CheckView(View):
    """One check of one monitor."""

    name: CheckName
    finding: Finding
    found: str = Field(examples=["3,200 rows"])
    wanted: str = Field(examples=["at least 4,000 rows"])
    remedy: str = Field(description="What to do; of an exemption, why it was made.")


class ComplianceView(View):
    """A monitor beside the policy."""

    monitor: str
    team: str | None
    policy: int = Field(description="The version that it was held against.")
    unmet: tuple[CheckName, ...]
    checks: tuple[CheckView, ...]


class CompliancesView(View):
    """Monitors beside the policy."""

    monitors: tuple[ComplianceView, ...]
    next: str | None = Field(description="`cursor` of the next page; null on the last one.")


@router.get("", responses={404: {"model": Problem, "description": "No process that decides has published it yet."}})
def get_policy(service: Served) -> PolicyView:
    """The defaults and the checks, with their versions."""
    stored = service.policies.stored()
    if stored is None:
        raise NotFoundError("no policy is published yet; `driftgate serve` or a controller does so when it starts")
    return PolicyView.model_validate(stored)


@router.get("/compliance")
def list_compliance(
    service: Served,
    team: str | None = None,
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="At most so many monitors, by name.")] = 50,
) -> CompliancesView:
    """Which checks each monitor passes, monitors by name."""
    declared = service.declaring.declared
    names = sorted(name for name, known in declared.items() if team in (None, known.settings.team) and (cursor is None or name > cursor))
    page = names[:limit]
    found = [compliance_view(each) for each in service.policies.compliance(page, now=service.clock())]
    return CompliancesView(monitors=tuple(found), next=page[-1] if len(names) > limit else None)


def compliance_view(compliance: Compliance) -> ComplianceView:
    """As it is shown."""
    return ComplianceView.model_validate(compliance)
