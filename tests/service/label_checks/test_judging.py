"""Which answered candidates a model is not trained on."""

from __future__ import annotations

from dataclasses import replace

from service.label_checks.judging import untrainable
from service.records import Candidate, Outcome, Purpose
from service.settings import SelectionSettings


def candidate(name: str, outcome: Outcome | None, purpose: Purpose = Purpose.EXPAND) -> Candidate:
    return Candidate(name, "", 0.1, "all", purpose=purpose, outcome=outcome)


def test_labels_that_the_checks_refuse_are_not_trained_on_unless_the_checks_are_off() -> None:
    items = [candidate(outcome, outcome) for outcome in Outcome] + [candidate("unjudged", None)]
    assert untrainable(items, SelectionSettings()) == {"refused"}
    assert untrainable(items, SelectionSettings(label_checks=False)) == set()


def test_an_audit_that_the_checks_refuse_stays_out_either_way() -> None:
    audit = replace(candidate("audit", Outcome.REFUSED, Purpose.AUDIT), known_risk=0.2)
    assert untrainable([audit], SelectionSettings()) == untrainable([audit], SelectionSettings(label_checks=False)) == {"audit"}
