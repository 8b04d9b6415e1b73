"""The steps of a cycle from a model that came back to one that serves, each with its reason and what leaves with it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from service.records import Artefact, CycleState, RefreshCycle, Step
from service.transitions import advance

VERIFIED, PROMOTED, REVERTED, SHORTFALL = "refresh.verified", "refresh.promoted", "refresh.reverted", "refresh.shortfall"
"""Outbox kinds of what is told of a cycle's model; types of the events follow from them."""

UNUSABLE = "unusable"
"""The verdict on a model that can't be judged at all."""

_UNUSABLE = "the model can't be used: "


class Reason(StrEnum):
    """Why a cycle took a step."""

    RETURNED = "the new model came back"
    REPLACED = "another model came back before a verdict"
    UNUSABLE = "the model can't be used"
    CHOSEN = "what would be served is there"
    PROVEN = "the new model passed verification"
    NOT_PROVEN = "the new model failed verification"
    UNDECIDED = "too few rows to verify with"
    APPROVED = "a person approved its promotion"
    AUTOMATIC = "promoted by itself, as configured"
    DECLINED = "a person declined its promotion"
    SEEN = "production answers with it"
    SAID = "a person said that it is deployed"
    AT_ONCE = "the reference follows at once, as configured"
    REBASED = "the reference is rebased on it"
    SHORT = "late labels fall short of what verification promised"
    REVERTED = "the model before is asked back"


DEPLOYED = frozenset({Reason.SEEN, Reason.SAID, Reason.AT_ONCE})
"""Steps after which the reference follows."""


def registered(cycle: RefreshCycle, model: Artefact, *, actor: str, now: float) -> RefreshCycle:
    """A model came back; one that came before it without a verdict is no longer looked at."""
    reason = Reason.REPLACED if cycle.state is CycleState.VERIFYING else Reason.RETURNED
    step = Step(CycleState.VERIFYING, reason, now, actor, f"version {model.version}, sha256 {model.checksum[:12]}")
    return advance(cycle, step, model=model, served=None, verification=None)


def refused(cycle: RefreshCycle, why: str, *, now: float) -> RefreshCycle:
    """It can't be judged: another one is waited for, as before it came."""
    why = why.removeprefix(_UNUSABLE)
    reasons = [f"{_UNUSABLE}{why}"]
    verification = {"verdict": UNUSABLE, "passed": False, "reasons": reasons, "model": cited(cycle.model)}
    step = Step(CycleState.TRAINING, Reason.UNUSABLE, now, note=why)
    return advance(cycle, step, model=None, served=None, verification=verification)


def chosen(cycle: RefreshCycle, model: Artefact, served: Artefact, note: str, *, now: float) -> RefreshCycle:
    """What would be served, and is therefore what is verified; the model's classes are known by now."""
    return advance(cycle, Step(CycleState.VERIFYING, Reason.CHOSEN, now, note=note), model=model, served=served)


def judged(cycle: RefreshCycle, verification: Mapping[str, Any], *, now: float) -> RefreshCycle:
    """Verified or rejected by the verdict; an insufficient one leaves the cycle waiting for more rows."""
    state, reason = {
        "promote": (CycleState.VERIFIED, Reason.PROVEN),
        "reject": (CycleState.REJECTED, Reason.NOT_PROVEN),
        "insufficient": (CycleState.VERIFYING, Reason.UNDECIDED),
    }[verification["verdict"]]
    note = "; ".join(verification.get("reasons", ()))
    return advance(cycle, Step(state, reason, now, note=note), verification=verification)


def promoted(cycle: RefreshCycle, reason: Reason, *, actor: str, now: float, note: str = "") -> RefreshCycle:
    """Its promotion is announced."""
    return advance(cycle, Step(CycleState.DEPLOYING, reason, now, actor, note))


def declined(cycle: RefreshCycle, *, actor: str, now: float, note: str = "") -> RefreshCycle:
    """Proven, and not wanted all the same."""
    return advance(cycle, Step(CycleState.REJECTED, Reason.DECLINED, now, actor, note))


def deployed(cycle: RefreshCycle, step: Step, *, in_force: int | None) -> RefreshCycle:
    """Production answers with it: the reference is to follow that is in force now, and may be gone back to."""
    return advance(cycle, step, verification={**(cycle.verification or {}), "replaced_reference": in_force})


def rebased(cycle: RefreshCycle, outcome: Mapping[str, Any], *, now: float) -> RefreshCycle:
    """The reference has followed; `outcome` says which version came into force, and what is to be known of it."""
    verification = {**(cycle.verification or {}), **outcome}
    note = f"reference {outcome['reference_version']}, in the place of {verification.get('replaced_reference')}"
    others = outcome.get("answered_by_others")
    note += f"; {others:,} recent samples that another model answered count without their answers" if others else ""
    note += f"; {outcome['warning']}" if "warning" in outcome else ""
    return advance(cycle, Step(CycleState.PROMOTED, Reason.REBASED, now, note=note), verification=verification)


def fell_short(cycle: RefreshCycle, note: str, *, now: float) -> RefreshCycle:
    """A revert is proposed, once."""
    return advance(cycle, Step(CycleState.PROMOTED, Reason.SHORT, now, note=note))


def reverted(cycle: RefreshCycle, *, actor: str, now: float, note: str = "") -> RefreshCycle:
    """The model before is asked back."""
    return advance(cycle, Step(CycleState.REVERTED, Reason.REVERTED, now, actor, note))


def is_deployed(cycle: RefreshCycle) -> bool:
    """Whether the reference may follow."""
    return cycle.state is CycleState.DEPLOYING and cycle.history[-1].reason in DEPLOYED


def has_shown_itself(cycle: RefreshCycle) -> bool:
    """Whether records carried the model's version, so that it is known to tell its answers from others'."""
    return any(step.reason == Reason.SEEN for step in cycle.history)


def has_rebased(cycle: RefreshCycle) -> bool:
    """Whether its reference came into force, as far as the store knows."""
    return any(step.reason == Reason.REBASED for step in cycle.history)


def announced(cycle: RefreshCycle) -> float:
    """When its promotion was announced."""
    return next((step.time for step in cycle.history if step.state == CycleState.DEPLOYING), cycle.created)


def has_fallen_short(cycle: RefreshCycle) -> bool:
    """Whether its revert was proposed already."""
    return any(step.reason == Reason.SHORT for step in cycle.history)


# --- what is told -------------------------------------------------------------------------------------------------


def cited(model: Artefact | None) -> Mapping[str, Any] | None:
    """How events name a model."""
    if model is None:
        return None
    named = {"path": model.path, "sha256": model.checksum, "version": model.version, "classes": list(model.classes)}
    return {**named, **({"uri": model.uri} if model.uri else {})}


def verdict_content(cycle: RefreshCycle) -> Mapping[str, Any]:
    """The report's summary: the verdict, its reasons and figures, no samples."""
    found = cycle.verification or {}
    told = {name: found[name] for name in _TOLD if name in found}
    sets = {name: _figures(found[name]) for name in ("golden", "challenge") if found.get(name)}
    return {"model": found.get("model") or cited(cycle.model), "served": cited(cycle.served), **told, **sets}


def promoted_content(cycle: RefreshCycle, *, url: str | None) -> Mapping[str, Any]:
    """What production is to serve, where it is fetched, and how it is known again."""
    found = cycle.verification or {}
    promised = {name: found[name] for name in _PROMISED if name in found}
    return {"model": cited(cycle.model), "served": cited(cycle.served), "url": url, **promised}


def _figures(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in found.items() if name == "gain" or isinstance(value, int | float | str | None)}


_PROMISED = ("switch", "full_replacement")
_TOLD = ("verdict", "reasons", "attempt", "rows_needed", *_PROMISED)
