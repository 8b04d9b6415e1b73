"""The tests that a new model must pass, each with what it found in words: all of them must, so none is corrected for the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

import numpy as np

from detectors.bounds import difference_interval
from detectors.comparison import Comparison, upper_bound
from service.verifying.gate import Gate, Need

_Z = 1.96


class Outcome(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    TOO_FEW = "too few rows"
    """To be held at all."""
    OPEN = "not decided"
    """It was held, and more of its rows change sides than was planned with: more rows would decide it."""
    TOLD = "not gated"
    """A segment too small to be tested, whose figures are told."""


@dataclass(frozen=True, slots=True)
class Check:
    """One test. `missing`: rows of its own that it lacks."""

    name: str
    """`accuracy`, `negative_flips`, `segment`, `gap` or `challenge`."""
    about: str
    outcome: Outcome
    says: str
    rows: int = 0
    needed: int = 0
    missing: int = 0
    power: float | None = None
    """Of a model as good as the old one, where flips are as planned."""

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        told = {"name": self.name, "about": self.about, "outcome": str(self.outcome), "says": self.says}
        return {**told, "rows": self.rows, "needed": self.needed, "missing": self.missing, "power": self.power}


def golden_checks(found: Comparison | None, segments: Mapping[str, Comparison], gate: Gate) -> Iterator[Check]:
    """On golden's *verify* part. Where it has too few rows nothing else of it is tested or told but how many there are: that would be a
    look, and decide nothing."""
    accuracy = _accuracy(found, gate)
    yield accuracy
    if found is None or accuracy.outcome is Outcome.TOO_FEW:
        yield from (_counted(name, each) for name, each in segments.items())
        return
    if gate.max_negative_flips is not None:
        yield _flips(found, gate.max_negative_flips, gate)
    needed = gate.segment_rows_needed([each.rows for each in segments.values()])
    for name, each in segments.items():
        yield _segment(name, each, needed, gate)
    for tag, names in groupby(sorted(segments), key=lambda name: name.partition("=")[0]):
        large = {name: segments[name] for name in names if segments[name].rows >= needed}
        if len(large) > 1:
            yield _gap(tag, large, gate)


def challenge_check(found: Comparison | None, weighted: Mapping[str, Any]) -> Check:
    """On rows of what drifts: more of them must be right than before. `weighted`: figures of all that they were drawn from."""
    if found is None:
        return Check("challenge", "", Outcome.TOO_FEW, _NO_CHALLENGE, needed=1, missing=1)
    before, after = (float(weighted.get(name, getattr(found, name))) for name in ("old_accuracy", "new_accuracy"))
    if after > before:
        return Check("challenge", "", Outcome.PASSED, f"challenge accuracy: {points(after - before)}", found.rows)
    moved = "fell" if after < before else "did not rise"
    return Check("challenge", "", Outcome.FAILED, f"challenge accuracy {moved} from {before:.1%} to {after:.1%}", found.rows)


_NO_CHALLENGE = (
    "challenge rows: none that this refresh drew or that were added since it opened (an earlier drift's say nothing of this one); "
    "label some of the drifted traffic, drawn at random, and add them with `driftgate dataset add --role challenge`"
)


def points(difference: float) -> str:
    """A difference of accuracies."""
    return f"{100 * difference:+.1f} points"


# --- no worse by more than a margin -------------------------------------------------------------------------------


def _accuracy(found: Comparison | None, gate: Gate) -> Check:
    needed, rows = gate.rows_needed, found.rows if found else 0
    if found is None or rows < needed:
        stated = needed if found is None or gate.counted else max(needed, gate.needed(found, gate.margin).stated)
        says = (
            f"golden rows to verify with: {rows:,}, needed are {stated:,} to show that accuracy falls by less than "
            f"{_margin(gate.margin)} at look {gate.look}; add labelled rows to the golden set: {stated - rows:,} more of its verify part"
        )
        return Check("accuracy", "", Outcome.TOO_FEW, says, rows, stated, stated - rows)
    return _tested("accuracy", "golden accuracy", found, gate.margin, gate)


def _segment(name: str, found: Comparison, needed: int, gate: Gate) -> Check:
    """Which segments are tested is decided by their rows alone: one that breaks does not escape by what it shows."""
    if found.rows < needed:
        return _told(name, found, f"not gated: a test takes {needed:,}", needed)
    return _tested("segment", name, found, gate.segment_margin, gate)


def _told(name: str, found: Comparison, why: str, needed: int = 0) -> Check:
    says = f"{name}: {points(found.gain)} on {found.rows:,} rows, {why}"
    return Check("segment", name, Outcome.TOLD, says, found.rows, needed, max(needed - found.rows, 0))


def _counted(name: str, found: Comparison) -> Check:
    says = f"{name}: {found.rows:,} rows, not tested while golden has too few"
    return Check("segment", name, Outcome.TOLD, says, found.rows)


def _tested(name: str, subject: str, found: Comparison, margin: float, gate: Gate) -> Check:
    test, need = gate.test(found.rows, margin), gate.needed(found, margin)
    low, high = test.limits(found.positive_flips, found.negative_flips)
    about = subject if name == "segment" else ""
    figures = f"{subject}: {points(found.gain)} ({100 * low:+.2f} to {100 * high:+.2f})"
    power = round(gate.power(found.rows, margin), 4)
    outcome, says = _decided(found, margin, need, shown=test.shows(found.positive_flips, found.negative_flips))
    missing = max(need.stated - found.rows, 0) if outcome is Outcome.OPEN else 0
    return Check(name, about, outcome, f"{figures}, {says}", found.rows, need.stated, missing, power)


def _decided(found: Comparison, margin: float, need: Need, *, shown: bool) -> tuple[Outcome, str]:
    """A model that changes many rows needs many to be told from one that is worse by the margin; one that looks that bad is out."""
    allowed = f"allowed is a fall of less than {_margin(margin)}"
    flips = found.negative_flips + found.positive_flips
    if shown and found.rows >= need.least:
        return Outcome.PASSED, allowed
    if found.gain <= -margin or found.rows >= need.stated:
        broke = f"{found.negative_flips:,} of {found.rows:,} golden rows broke, {found.positive_flips:,} were mended"
        return Outcome.FAILED, f"{broke}; {allowed}"
    more = f"{need.stated - found.rows:,} more rows would decide it"
    return Outcome.OPEN, f"{allowed}; {flips:,} rows changed sides, more than planned (refresh.expected_flips): {more}"


def _margin(margin: float) -> str:
    return f"{100 * margin:g} point{'s' * (margin != 0.01)}"


# --- beside it ----------------------------------------------------------------------------------------------------


def _flips(found: Comparison, allowed: float, gate: Gate) -> Check:
    bound = upper_bound(found.negative_flips, found.rows, error=gate.spent)
    broke = f"{found.negative_flips:,} of {found.rows:,} golden rows broke"
    says = f"negative flips: {broke}, so up to {bound:.2%} may; allowed are {allowed:.2%}"
    return Check("negative_flips", "", Outcome.PASSED if bound <= allowed else Outcome.FAILED, says, found.rows, gate.rows_needed)


def _gap(tag: str, segments: Mapping[str, Comparison], gate: Gate) -> Check:
    """From the best to the worst segment that is large enough to be tested."""
    before, after = (
        max(values) - min(values)
        for values in ([each.old_accuracy for each in segments.values()], [each.new_accuracy for each in segments.values()])
    )
    worst, best = (choose(segments, key=lambda name: segments[name].new_accuracy) for choose in (min, max))
    low, high = _gap_interval(segments[best], segments[worst])
    now = f"{100 * after:.1f} now from {worst} to {best} ({100 * low:.1f} to {100 * high:.1f})"
    widened = f"gap of {tag}: {100 * before:.1f} points before, {now}"
    outcome = Outcome.FAILED if after - before > gate.gap else Outcome.PASSED
    rows = sum(each.rows for each in segments.values())
    return Check("gap", tag, outcome, f"{widened}; it may widen by {_margin(gate.gap)}", rows)


def _gap_interval(best: Comparison, worst: Comparison) -> tuple[float, float]:
    shares = (np.array(each.new_accuracy) for each in (best, worst))
    low, high = difference_interval(next(shares), best.rows, next(shares), worst.rows, _Z)
    return float(low), float(high)
