"""What answered batches teach about risks."""

from dataclasses import replace

import numpy as np

from detectors.selection.assessment import Parts, Verdict
from detectors.selection.risk import Risk
from service import annotation, risks
from service.records import AnnotationBatch, Candidate, Outcome, Purpose
from service.refresh import Opening, opened

CYCLE = opened(Opening("chat", 3, "alarm-1"), now=100.0)


def candidate(name: str, junk: float, purpose: Purpose = Purpose.PROBE) -> Candidate:
    return Candidate(name, "new content", 0.2 + junk / 2, "all", purpose=purpose, junk=junk)


def batch(*items: Candidate) -> AnnotationBatch:
    return annotation.propose(CYCLE, items, now=101.0)


def test_outcomes_are_kept_as_first_judged() -> None:
    sent = batch(candidate("a", 0.1), candidate("b", 0.9), candidate("c", 0.5))
    once = risks.judged(sent, {"a": Verdict.USABLE, "b": Verdict.REJECTED})
    assert [item.outcome for item in once.items] == [Outcome.USABLE, Outcome.REJECTED, None]
    again = risks.judged(once, {"a": Verdict.HARMFUL, "c": Verdict.REFUSED})
    assert [item.outcome for item in again.items] == [Outcome.USABLE, Outcome.REJECTED, Outcome.REFUSED]
    assert risks.judged(again, {"a": Verdict.HARMFUL, "stranger": Verdict.HARMFUL}) is again


def test_challenge_rows_have_no_outcome() -> None:
    sent = batch(candidate("a", 0.0, Purpose.CHALLENGE))
    assert risks.judged(sent, {"a": Verdict.REJECTED}) is sent


def test_every_verdict_is_an_outcome() -> None:
    names = [each.name for each in Verdict]
    found = risks.judged(batch(*(candidate(name, 0.5) for name in names)), {name: Verdict[name] for name in names})
    assert [item.outcome for item in found.items] == [Outcome[name] for name in names]


def test_without_outcomes_the_measured_risk_and_an_empty_curve() -> None:
    assert risks.calibrated([]) == risks.calibrated([batch(candidate("a", 0.5))]) == Risk()
    assert risks.curve([batch(candidate("a", 0.5))]).count == 0


def test_a_stream_of_its_own_moves_the_risk() -> None:
    items = [candidate(f"s{i}", i % 10 / 10) for i in range(200)]
    clean = risks.judged(batch(*items), {item.id: Verdict.USABLE for item in items})
    half = np.full(1, 0.5, np.float32)
    parts = Parts(half, half, half, np.zeros((1, 0), np.int64))
    assert risks.calibrated([clean]).of(parts)[0] < 0.3 * Risk().of(parts)[0]
    assert risks.calibrated([clean]).outcomes == 200


def test_the_curve_is_of_the_risks_that_were_told() -> None:
    items = [replace(candidate(f"s{i}", 0.0), risk=0.25 if i < 40 else 0.75) for i in range(80)]
    bad = {item.id: Verdict.REFUSED if i % 4 == 0 or i >= 60 else Verdict.USABLE for i, item in enumerate(items)}
    found = risks.curve([risks.judged(batch(*items), bad)])
    assert [(one.count, one.mean_risk) for one in found.bins] == [(40, 0.25), (40, 0.75)]
    assert found.bins[0].share == 0.25
    assert found.count == 80
