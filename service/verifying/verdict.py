"""The verdict on a new model, with its reasons and figures, as it is kept with its cycle.

It is promoted if every test passes: on golden its accuracy surely falls by less than a margin, on the whole and in each segment with
rows enough to tell; gaps between segments do not widen; and on the challenge rows more are right than before. "Surely": of models that
are worse by the margin at most a share δ(k) pass, where k counts the looks that these golden rows have had, δ(k) = δ / (k (k + 1)
3^(k-1)) and δ = 1 - `confidence`. A look has three outcomes, so this is a union over all verdicts that whoever trained the next model can
have learnt; it makes fresh rows per cycle the normal way. The verdict is what is counted, not the figures that are told with it: a next
model that is made by them needs fresh rows. Where golden rows are too few no look is counted, and nothing is told of what the models do
on them. Of a group of near-duplicates one row counts: copies of it say no more.

All that holds for traffic like the golden rows, and for rows that neither selection nor training has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detectors.classical import holm
from detectors.comparison import Comparison, gain_interval, mcnemar, upper_bound, worse
from detectors.noninferiority import joint_power, score_interval
from detectors.performance import MOST_SEGMENTS, share
from service.verifying.answers import Answers
from service.verifying.checks import Check, Outcome, challenge_check, golden_checks
from service.verifying.gate import Gate

FORMAT = 2
"""Raised when what is kept changes its meaning."""

_WORSE = 0.05
"""Family-wise error of the list of segments that got worse."""


def verify(
    golden: Answers, challenge: Answers, gate: Gate, *, tags: Sequence[str] = (), weighted: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The verdict (`promote`, `reject`, `insufficient`) with its reasons and the table per set, ready to be stored with the cycle.

    tags : of the segments that are tested, among those of the golden rows.
    weighted : what the challenge rows say of all that they were drawn from, where their chances are known: `old_accuracy`, `new_accuracy`
    with their intervals, `gain` and more, in the place of the plain figures.
    """
    sets = {name: answers.compared() if len(answers) else None for name, answers in (("golden", golden), ("challenge", challenge))}
    segments = _largest(golden.by_segment(tags)) if sets["golden"] else {}
    drawn = dict(weighted or {}) if sets["challenge"] else {}
    checks = [*golden_checks(sets["golden"], segments, gate), challenge_check(sets["challenge"], drawn)]
    verdict, reasons = judged(checks)
    looked = checks[0].outcome is not Outcome.TOO_FEW
    figures = {name: _figures(found, gate) for name, found in sets.items() if found and (looked or name != "golden")}
    powers = [check.power for check in checks if check.power is not None]
    if drawn:
        figures["challenge"] |= drawn
    return {
        "format": FORMAT,
        "verdict": verdict,
        "passed": verdict == "promote",
        "reasons": reasons,
        **_asked(gate),
        "rows_needed": max(gate.rows_needed, checks[0].needed),
        "rows_missing": checks[0].missing,
        "segment_rows_needed": gate.segment_rows_needed([each.rows for each in segments.values()]),
        "joint_power": joint_power(powers) if powers else None,
        "checks": [check.document() for check in checks],
        **figures,
        "segments": [_segment(name, found, checks, gate) for name, found in segments.items()] if looked else [],
        "worse_segments": list(_worse(segments)) if looked else [],
    }


def unusable_verdict(why: str) -> dict[str, Any]:
    """Of a model that nothing can be asked."""
    none: dict[str, Any] = {"checks": [], "segments": [], "worse_segments": [], "rows_needed": 0, "rows_missing": 0, "joint_power": None}
    return {"format": FORMAT, "verdict": "reject", "passed": False, "reasons": [why], **none}


def judged(checks: Sequence[Check]) -> tuple[str, list[str]]:
    """Too little to judge by comes first, then everything that speaks against the new model, then what more rows would decide."""
    by = {outcome: [check for check in checks if check.outcome is outcome] for outcome in Outcome}
    for verdict, outcome in (("insufficient", Outcome.TOO_FEW), ("reject", Outcome.FAILED), ("insufficient", Outcome.OPEN)):
        if by[outcome]:
            return verdict, [check.says for check in by[outcome]]
    return "promote", [check.says for check in by[Outcome.PASSED]]


def _asked(gate: Gate) -> dict[str, Any]:
    """What the model was held against."""
    names = ("margin", "segment_margin", "expected_flips", "gap", "max_negative_flips", "confidence")
    return {**{name: getattr(gate, name) for name in names}, "attempt": gate.look, "error": gate.spent, "golden_checksum": gate.golden}


def _largest(segments: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """At most 50 of a tag, those with most rows."""
    kept: dict[str, Comparison] = {}
    of_tag: dict[str, int] = {}
    for name, found in segments.items():
        tag = name.partition("=")[0]
        of_tag[tag] = of_tag.get(tag, 0) + 1
        if of_tag[tag] <= MOST_SEGMENTS:
            kept[name] = found
    return kept


def _figures(found: Comparison, gate: Gate) -> dict[str, Any]:
    """The gain's interval has the gate's plain confidence, two-sided; what decides stands with the checks."""
    low, high = gain_interval(found, confidence=gate.confidence)
    return {
        **_accuracies(found),
        "gain": {"estimate": found.gain, "low": low, "high": high},
        "negative_flips": found.negative_flips,
        "positive_flips": found.positive_flips,
        "negative_flip_rate": found.negative_flip_rate,
        "negative_flip_bound": upper_bound(found.negative_flips, found.rows, error=gate.spent),
        "p_value": mcnemar(found),
    }


def _accuracies(found: Comparison) -> dict[str, Any]:
    """Each with its 95 % interval."""
    sides = {"old": share(found.old_right, found.rows), "new": share(found.new_right, found.rows)}
    told: dict[str, Any] = {"rows": found.rows}
    for side, accuracy in sides.items():
        told |= {f"{side}_accuracy": accuracy.estimate, f"{side}_accuracy_interval": [accuracy.low, accuracy.high]}
    return told


def _segment(name: str, found: Comparison, checks: Sequence[Check], gate: Gate) -> dict[str, Any]:
    (check,) = (each for each in checks if each.name == "segment" and each.about == name)
    low, high = score_interval(found.positive_flips, found.negative_flips, found.rows, confidence=gate.confidence)
    return {
        "segment": name,
        **_accuracies(found),
        "gain": {"estimate": found.gain, "low": low, "high": high},
        "negative_flips": found.negative_flips,
        "positive_flips": found.positive_flips,
        "gated": check.outcome is not Outcome.TOLD,
        "outcome": str(check.outcome),
        "rows_needed": check.needed,
    }


def _worse(segments: Mapping[str, Comparison]) -> Iterator[dict[str, Any]]:
    """Segments of any size that surely got worse, over all that were looked at."""
    names = list(segments)
    p_values = [worse(segments[name]) for name in names]
    adjusted: list[float] = holm(p_values).tolist() if names else []
    for name, p_value, by_holm in sorted(zip(names, p_values, adjusted, strict=True), key=lambda each: each[2]):
        if by_holm <= _WORSE:
            yield {"segment": name, "p_value": p_value, "adjusted_p_value": by_holm}
