"""Which answered candidates a model is not trained on."""

from __future__ import annotations

from dataclasses import replace

from service.label_checks.checks import due_opinions, oddest
from service.label_checks.judging import untrainable
from service.label_checks.people import Person
from service.records import Candidate, Outcome, Purpose
from service.selecting.spending import Purse
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


def test_labels_whose_risk_is_too_high_by_now_are_held_back_but_for_rows_that_judge_models() -> None:
    risky = replace(candidate("risky", Outcome.USABLE), known_risk=0.6)
    safe = replace(candidate("safe", Outcome.USABLE), known_risk=0.4)
    drawn = replace(candidate("drawn", None, Purpose.CHALLENGE), known_risk=0.9, doubt=0.9)
    assert untrainable([risky, safe, drawn], SelectionSettings()) == {"risky"}
    assert untrainable([risky, safe, drawn], SelectionSettings(risk_limit=0.7)) == set()
    assert untrainable([risky, safe, drawn], SelectionSettings(label_checks=False)) == set()


def test_the_oddest_annotators_are_told_of_first() -> None:
    people = [Person(f"p{at:03}", 20, at / 1_000, None) for at in range(150)] + [Person("guesses", 20, 0.0, None, random=True)]
    told = oddest(people)
    assert [person.name for person in told[:2]] == ["guesses", "p149"]
    assert len(told) == 100


def test_second_opinions_are_spread_over_the_rounds() -> None:
    purse = Purse("second opinions", "", 15.0, 0.0)
    assert [due_opinions(replace(purse, spent=float(spent)), number, 5) for number, spent in ((1, 0), (2, 1), (5, 3), (7, 15))] == [
        3,
        5,
        12,
        0,
    ]
