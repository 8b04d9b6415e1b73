"""Classes that annotators miss: who proposes them, and when they join the label scheme by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import structlog
from numpy.typing import NDArray

from service.annotation.consensus import Agreement, answers
from service.annotation.scheme import NEW, added, folded
from service.annotation.schemes import keep, scheme_of
from service.errors import ConflictError, InputError
from service.ports import Store
from service.records import AnnotationBatch, LabelScheme, SchemeClass

FEWEST = 5
"""Samples that have to be answered with a class before it joins by itself."""

TOGETHER = 0.5
"""Share of them whose nearest other answered sample is one of them, too: what lies about among everything else is no class."""

Vectors: TypeAlias = Mapping[str, NDArray[np.float32]]
"""(d,) embeddings of samples, as far as they are kept."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProposedClass:
    """A class that the scheme has not."""

    name: str
    """As most of those who proposed it write it."""
    samples: tuple[str, ...]
    """Whose answers come to it."""


def proposals(found: Mapping[str, Agreement]) -> Sequence[ProposedClass]:
    """The classes that these answers propose, the most wanted first; ways of writing the same name are one."""
    said: dict[str, dict[str, str]] = {}
    for sample, agreement in found.items():
        word = agreement.label.label or ""
        if word.startswith(NEW):
            said.setdefault(folded(word), {})[sample] = word.removeprefix(NEW)
    made = [ProposedClass(Counter(sorted(names.values())).most_common(1)[0][0], tuple(names)) for names in said.values()]
    return sorted(made, key=lambda each: (-len(each.samples), each.name))


def adopt(
    store: Store, monitor: str, batches: Iterable[AnnotationBatch], vectors: Callable[[Collection[str]], Vectors], *, now: float
) -> LabelScheme | None:
    """Adds to the scheme what enough answers to these batches propose alike, of samples that lie together; None where nothing is."""
    found = answers(store, batches)
    scheme = scheme_of(store, monitor)
    wanted = [each for each in proposals(found) if len(each.samples) >= FEWEST]
    kept = vectors(found.keys()) if wanted else {}
    agreed = [each for each in wanted if _lie_together(each.samples, found, kept)]
    if scheme is None or not agreed:
        return None
    try:
        for each in agreed:
            note = f"{len(each.samples):,} samples that lie together were answered with it"
            scheme = keep(store, added(scheme, SchemeClass(each.name), actor="driftgate", now=now, note=note), after=scheme.number)
            log.info("class joined the label scheme", monitor=monitor, scheme=scheme.number, samples=len(each.samples))
    except (InputError, ConflictError) as error:
        log.warning("proposed class not added", monitor=monitor, reason=str(error))
        return None
    return scheme


def _lie_together(samples: Sequence[str], found: Iterable[str], vectors: Vectors) -> bool:
    ids = [sample for sample in found if sample in vectors]
    own = np.isin(ids, samples)
    if own.sum() < FEWEST:
        return False
    rows = np.stack([vectors[sample] for sample in ids])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    near = rows[own] @ rows.T
    near[np.arange(len(near)), np.flatnonzero(own)] = -np.inf
    return bool(own[near.argmax(1)].mean() >= TOGETHER)
