"""A promoted model in production: when it first answers, and whether late labels bear out what its verification promised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from detectors.comparison import upper_bound
from service.ports import Store
from service.promotion.steps import announced
from service.records import Artefact, RefreshCycle

FIRST_LABELS = 64
"""Labels at the first look; each further one takes twice as many."""

ERROR = 0.05
"""Chance that a model which keeps its promise is said to fall short, over all looks: half for what was promised, half for the labels."""


def answers(store: Store, cycle: RefreshCycle, model: Artefact) -> bool:
    """Whether a record since the promotion carries the model's version."""
    rows = store.pool(cycle.monitor, since=announced(cycle))
    return any(row.output is not None and row.output.model_version == model.version for row in rows)


def shortfall(store: Store, cycle: RefreshCycle) -> str:
    """How late labels fall short of what was promised; '' while they do not surely.

    The model may be as bad as the worse of golden and challenge, at the lower bound of either. Labels of answers under the cycle's own
    reference are looked at when there are 64, 128, 256, …; the k-th look may err by ERROR / (2 k (k + 1)).
    """
    found = cycle.verification or {}
    promised = min(_promised(found), default=0.0)
    labels = store.judgements(cycle.monitor, since=announced(cycle))
    own = [judgement.right for judgement in labels if judgement.reference_version == found.get("reference_version")]
    if not promised or len(own) < FIRST_LABELS:
        return ""
    look = int(math.log2(len(own) / FIRST_LABELS)) + 1
    count = FIRST_LABELS << (look - 1)
    right = sum(own[:count])
    most = upper_bound(right, count, error=ERROR / (2 * look * (look + 1)))
    if most >= promised:
        return ""
    share = f"{right:,} of {count:,} late labels bear its answers out ({right / count:.1%}, at most {most:.1%})"
    return f"{share}; promised were at least {promised:.1%}"


def _promised(found: Mapping[str, Any]) -> Iterator[float]:
    """The lower bound of its accuracy on each set that it was verified on."""
    sets = [found[name] for name in ("golden", "challenge") if found.get(name)]
    for each in sets:
        rows = int(each.get("effective_rows") or each["rows"])
        if rows:
            wrong = min(max(round((1 - each["new_accuracy"]) * rows), 0), rows)
            yield 1 - upper_bound(wrong, rows, error=ERROR / (2 * len(sets)))
