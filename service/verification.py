"""New model against old on labelled rows: the gate that a refresh has to pass.

The new model is promoted if the share of golden rows that only the old model gets right is surely at most `max_negative_flips`,
and if it gets no fewer challenge rows right. "Surely": the one-sided Clopper-Pearson bound at confidence 1 - δ(k), where k counts
the looks that these golden rows have had, δ(k) = δ / (k (k + 1) 3^(k-1)) and δ = 1 - `confidence`. A look has three outcomes, so
this is a union over all verdicts that whoever trained the next model can have learnt; it makes fresh rows per cycle the
normal way. The verdict is what is counted, not the flips that are listed with it: a next model that is made by them needs fresh rows.
Of a group of near-duplicates one row counts: copies of it say no more. With no flip at all n rows suffice when
n ≥ log δ(k) / log(1 - max_negative_flips): 299 for 1 % at confidence .9, k = 1.
The bound holds for traffic like the golden rows, and for rows that neither selection nor training has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.comparison import Comparison, compare, gain_interval, least_rows, mcnemar, spent, upper_bound
from service.datasets import DataSets
from service.errors import InputError
from service.golden import Promise
from service.looks import Attempt, attempt
from service.ports import Embedder, Store
from service.records import Payload
from service.settings import RefreshSettings

VERDICTS = ("promote", "reject", "insufficient")

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Answers:
    """What both models say of the same labelled rows."""

    labels: Sequence[str]
    old: Sequence[str]
    new: Sequence[str]

    def compared(self) -> Comparison:
        """Paired counts; ValueError unless all three have the same length, at least 1."""
        truth = np.array(self.labels, object)
        return compare(np.array(self.old, object) == truth, np.array(self.new, object) == truth)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a new model must prove on which golden rows; `look` counts the times that they judged a model, this one included."""

    golden: str
    """Checksum of the golden rows (`DataSet.checksum`)."""
    max_negative_flips: float
    confidence: float
    look: int = 1

    @classmethod
    def of(cls, attempt: Attempt, settings: RefreshSettings) -> Gate:
        """For a look at golden's *verify* part."""
        return cls(attempt.checksum, settings.max_negative_flips, settings.confidence, attempt.drawn.use)

    @property
    def spent(self) -> float:
        """δ(k), the error that this look may make."""
        return spent(1 - self.confidence, self.look, outcomes=len(VERDICTS))

    @property
    def rows_needed(self) -> int:
        """Golden rows below which no model can pass, not even one without a flip."""
        return least_rows(self.max_negative_flips, error=self.spent)


def promise(settings: RefreshSettings) -> Promise:
    """What a look at golden's *verify* part is to show."""
    return Promise(settings.max_negative_flips, 1 - settings.confidence, len(VERDICTS))


def next_look(store: Store, data_sets: DataSets, monitor: str, settings: RefreshSettings, *judged: object) -> Attempt:
    """The golden rows that judge next, one of each group of near-duplicates. `judged`: what decides the verdict beside them."""
    golden = data_sets.load(monitor, "golden")
    return attempt(store, golden, data_sets, "verify", judged=judged, promise=promise(settings))


def predict(model: Embedder, payloads: Sequence[Payload], classes: Sequence[str]) -> list[str]:
    """The model's answers; InputError if it gives no logits, or not one per class."""
    answers: list[str] = []
    for start in range(0, len(payloads), _BATCH):
        logits = model.embed(payloads[start : start + _BATCH]).logits
        if logits is None or logits.shape[1] != len(classes):
            found = "none" if logits is None else str(logits.shape[1])
            raise InputError("no_logits", f"the model must give one logit for each of its {len(classes)} classes; found {found}")
        answers += [classes[i] for i in logits.argmax(1)]
    return answers


def verify(golden: Answers, challenge: Answers, gate: Gate, *, weighted: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The verdict (`promote`, `reject`, `insufficient`) with its reasons and the table per set, ready to be stored with the cycle.

    weighted : what the challenge rows say of all that they were drawn from, where their chances are known: `old_accuracy`, `new_accuracy`,
    `gain` and more, in the place of the plain figures.
    """
    sets = {name: answers.compared() if len(answers.labels) else None for name, answers in (("golden", golden), ("challenge", challenge))}
    drawn = dict(weighted or {}) if sets["challenge"] else {}
    verdict, reasons = _judge(sets["golden"], sets["challenge"], gate, drawn)
    figures = {name: _figures(found, gate) for name, found in sets.items() if found}
    if drawn:
        figures["challenge"] |= drawn
    return {
        "verdict": verdict,
        "passed": verdict == "promote",
        "reasons": reasons,
        "max_negative_flips": gate.max_negative_flips,
        "confidence": gate.confidence,
        "attempt": gate.look,
        "golden_checksum": gate.golden,
        "rows_needed": gate.rows_needed,
        **figures,
    }


def _judge(golden: Comparison | None, challenge: Comparison | None, gate: Gate, weighted: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Too little to judge by comes first, then everything that speaks against the new model."""
    missing = _missing(golden, challenge, gate)
    if golden is None or challenge is None or missing:
        return "insufficient", missing
    bound, allowed = upper_bound(golden.negative_flips, golden.rows, error=gate.spent), gate.max_negative_flips
    against = []
    if bound > allowed:
        flips = f"{golden.negative_flips} of {golden.rows} golden rows broke"
        against.append(f"negative flips: {flips}, so up to {bound:.2%} may; allowed are {allowed:.2%}")
    before, after = (weighted.get(name, getattr(challenge, name)) for name in ("old_accuracy", "new_accuracy"))
    if after < before:
        against.append(f"challenge accuracy fell from {before:.1%} to {after:.1%}")
    if against:
        return "reject", against
    return "promote", [f"negative flips: at most {bound:.2%} (allowed {allowed:.2%})", f"challenge accuracy: {after - before:+.1%}"]


def _missing(golden: Comparison | None, challenge: Comparison | None, gate: Gate) -> list[str]:
    rows, needed = (golden.rows if golden else 0), gate.rows_needed
    missing = []
    if rows < needed:
        missing.append(
            f"golden rows to verify with: {rows}, needed are {needed} to show at most {gate.max_negative_flips:.2%} negative flips "
            f"at look {gate.look}; add labelled rows to the golden set"
        )
    if challenge is None:
        missing.append(
            "challenge rows: none that this refresh drew or that were added since it opened (an earlier drift's say nothing of this one); "
            "label some of the drifted traffic, drawn at random, and add them with `driftgate dataset add --role challenge`"
        )
    return missing


def _figures(found: Comparison, gate: Gate) -> dict[str, Any]:
    """The gain's interval has the gate's plain confidence, two-sided; only the negative-flip bound decides and spends."""
    low, high = gain_interval(found, confidence=gate.confidence)
    return {
        "rows": found.rows,
        "old_accuracy": found.old_accuracy,
        "new_accuracy": found.new_accuracy,
        "gain": {"estimate": found.gain, "low": low, "high": high},
        "negative_flips": found.negative_flips,
        "positive_flips": found.positive_flips,
        "negative_flip_rate": found.negative_flip_rate,
        "negative_flip_bound": upper_bound(found.negative_flips, found.rows, error=gate.spent),
        "p_value": mcnemar(found),
    }
