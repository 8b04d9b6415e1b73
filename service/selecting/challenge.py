"""The challenge set: rows of a slice drawn with known chances, by which models are judged and which no model is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.selection.survey import draw, inclusion_probabilities, weighted_share
from service.datasets import DataSet, DataSets
from service.ports import Store
from service.records import Candidate, Label, Pooled, Purpose, RefreshCycle
from service.selecting.asking import CHALLENGE, MAX_TEXT, batches_of, is_challenge

MOST_DRIFTED = 20.0
"""How much likelier than the most ordinary row the most novel one is drawn: models differ there, and ordinary rows still count."""

_TOLD = 0.95
"""Confidence of each model's accuracy, which is told and decides nothing."""


def drift_weights(novelty: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) 1 / (1 - p + 1/20) of the novelty percentiles p: from 1 for the most ordinary to 20 beyond the reference."""
    return 1 / (1 - np.clip(novelty.astype(np.float64), 0, 1) + 1 / MOST_DRIFTED)


def drawn(rows: Sequence[Pooled], size: int, segment: str, rng: np.random.Generator) -> tuple[Candidate, ...]:
    """`size` of a slice's distinct rows, likelier the more novel they are, each with its chance; in random order, so that a batch
    that is closed early leaves rows unanswered that were as likely as others to be.

    No prediction, score or reason is shown with them: it would colour the answer.
    """
    if not rows or size < 1:
        return ()
    chances = inclusion_probabilities(drift_weights(np.array([row.novelty for row in rows], np.float32)), size)
    return tuple(_candidate(rows[i], float(chances[i]), segment) for i in rng.permutation(draw(chances, rng)).tolist())


def _candidate(row: Pooled, inclusion: float, segment: str) -> Candidate:
    text = row.payload[:MAX_TEXT] if isinstance(row.payload, str) else ""
    return Candidate(row.id, CHALLENGE, 0.0, segment, text, purpose=Purpose.CHALLENGE, inclusion=inclusion, time=row.time)


def of_cycle(store: Store, data_sets: DataSets, cycle: RefreshCycle) -> DataSet | None:
    """The newest challenge set that judges this cycle's model: rows that its batches drew, or that were added by hand since it opened.

    Those of another cycle are of another drift, and candidates were chosen by them since.
    """
    made = [each for each in data_sets.versions(cycle.monitor, "challenge") if _time(each) >= cycle.created]
    drawn = {item.id: batch.id in cycle.batches for batch in batches_of(store, cycle.monitor) for item in batch.items if is_challenge(item)}
    for manifest in reversed(made):
        rows = data_sets.load(cycle.monitor, "challenge", int(manifest["version"]))
        origins = {drawn.get(sample.id, True) for sample in rows.samples}
        if True in origins:
            return rows
    return None


def _time(manifest: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(manifest["created"])).timestamp()


@dataclass(frozen=True, slots=True)
class Design:
    """How the rows of a challenge set were drawn, and what became of them."""

    inclusion: Mapping[str, float]
    """By sample id; of rows that were added by hand there is none."""
    rejected: frozenset[str] = frozenset()
    """Rows drawn that the annotators could not use."""
    unanswered: int = 0
    """Rows drawn that nobody answered: those of a batch that was closed early."""

    @classmethod
    def of(cls, items: Iterable[Candidate], answers: Mapping[str, Label]) -> Design:
        """Of the challenge rows among a cycle's candidates, and the answers to them by sample id."""
        rows = [item for item in items if is_challenge(item)]
        inclusion = {item.id: item.inclusion for item in rows if item.inclusion is not None}
        rejected = frozenset(item.id for item in rows if item.id in answers and answers[item.id].unusable)
        return cls(inclusion, rejected, sum(item.id not in answers for item in rows))

    def knows(self, ids: Iterable[str]) -> bool:
        """Whether the chances of all these rows are known; where they are not, rows count alike."""
        return all(sample in self.inclusion for sample in ids)


def weighted(
    design: Design, ids: Sequence[str], right: tuple[NDArray[np.bool_], NDArray[np.bool_]], *, confidence: float
) -> Mapping[str, Any] | None:
    """What the challenge rows with these ids say of the slice that they were drawn from: accuracies of the old and the new model with
    95 % intervals and the gain with its own, weighted by the design. None where a row's chance is not known.

    right : (n,) whether the old, and whether the new model gets each row right.
    """
    if not ids or not design.knows(ids):
        return None
    rejected = sorted(design.rejected.difference(ids) & design.inclusion.keys())
    chances = np.array([design.inclusion[sample] for sample in (*ids, *rejected)])
    usable = np.arange(len(chances)) < len(ids)
    old, new = (np.concatenate([each.astype(np.float64), np.zeros(len(rejected))]) for each in right)
    before, after = (weighted_share(values, chances, confidence=_TOLD, usable=usable) for values in (old, new))
    gain = weighted_share(new - old, chances, confidence=confidence, usable=usable)
    return {
        "old_accuracy": before.estimate,
        "old_accuracy_interval": [before.low, before.high],
        "new_accuracy": after.estimate,
        "new_accuracy_interval": [after.low, after.high],
        "gain": {"estimate": gain.estimate, "low": gain.low, "high": gain.high},
        "effective_rows": round(gain.effective, 1),
        "rejected": len(design.rejected),
        "unanswered": design.unanswered,
        "weighted": True,
    }
