"""One refresh from candidates to the artefact that is served: choose, annotate, check, train, switch, measure."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.public_sets import CLINC_HELD_OUT, column, public_sets
from benchmarks.selection.annotator import answers
from benchmarks.selection.head import Components, Head
from benchmarks.selection.scenarios import Labelled, Scenario, World, drawn
from benchmarks.selection.sources import Source, clinc150, new_garments
from detectors.comparison import spent
from detectors.selection import Known, Pool
from detectors.selection.assessment import Verdict, verdicts
from detectors.selection.base import REJECTED
from detectors.selection.duplicates import duplicate_groups
from detectors.switch import OUTCOMES, calibrate, margins, takes_new
from service.training.choosing import Search, choose, starting
from service.training.fitting import Recipe
from service.training.folds import groups_of
from service.training.heads import TrainedHead
from service.training.material import Material

TRAINING, CHALLENGE = 200, 100
"""Labels to train on, and to judge by."""

ALPHA, DELTA = 0.01, 0.1
"""Of the switch, as `driftgate switch build` has them."""

OTHER_DOMAINS = ("banking", "work", "auto_and_commute")


def _domains(held_out: tuple[str, ...]) -> Callable[[], Source]:
    """CLINC150 whose requests of these domains the old model has never seen."""

    def source() -> Source:
        path = public_sets() / "text/clinc150.parquet"
        intents, domains = (np.array(column(path, name), np.str_) for name in ("label", "domain"))
        names = np.unique(intents[domains != "oos"])
        there = np.isin(names, intents[np.isin(domains, held_out)])
        return replace(clinc150(), held_out=tuple(np.flatnonzero(there).tolist()))

    return source


SCENARIOS: Mapping[str, Scenario] = {
    "CLINC150, travel, cards, kitchen": Scenario(_domains(CLINC_HELD_OUT), 45),
    "CLINC150, banking, work, cars": Scenario(_domains(OTHER_DOMAINS), 45),
    "Fashion-MNIST, bag and boot": Scenario(new_garments, 2),
}


@lru_cache(maxsize=2)
def world(name: str, seed: int) -> World:
    """A fresh draw, with an old model that the reference trainer made of the other classes."""
    found = drawn(SCENARIOS[name], np.random.default_rng([seed, zlib.crc32(name.encode())]))
    train = found.train
    material = Material(train.rows, _names(train.labels), np.arange(len(train)), _names(np.arange(found.old.weights.shape[1])))
    old = choose(material, starting(material, None), Search(seed=seed))
    return replace(found, old=_as_head(old.head))


def _names(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Names that sort as the numbers do."""
    return tuple(f"{label:03d}" for label in labels.tolist())


def _as_head(head: TrainedHead) -> Head:
    """On the embedding as it is."""
    dimension = head.weights.shape[1]
    plain = Components(np.zeros(dimension, np.float32), np.eye(dimension, dtype=np.float32))
    return Head(plain, np.asarray(np.vstack([head.weights.T, head.bias]), np.float32))
