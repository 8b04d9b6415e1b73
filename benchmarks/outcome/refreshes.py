"""One refresh from candidates to what is served: choose, annotate, check, train, switch, measure."""

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
from benchmarks.selection.switch import Pair
from benchmarks.selection.trials import TOLD, chosen, known_failures
from detectors.comparison import spent
from detectors.selection import Known, Pool, Selector
from detectors.selection.assessment import Verdict, verdicts
from detectors.selection.duplicates import duplicate_groups
from detectors.switch import OUTCOMES, calibrate
from service.training.choosing import Chosen, Search, choose, starting
from service.training.fitting import repeatable
from service.training.folds import groups_of
from service.training.heads import TrainedHead
from service.training.material import Material

TRAINING, CHALLENGE = 200, 100
"""Labels to train on, and to judge by."""

ALPHA, DELTA, CALIBRATED = 0.01, 0.1, 1_000
"""Of the switch, as `driftgate switch build` has them, and the golden rows that calibrate it."""

OTHER_DOMAINS = ("banking", "work", "auto_and_commute")

Rows = NDArray[np.float32]


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
    "CLINC150 without credit cards, travel, kitchen": Scenario(_domains(CLINC_HELD_OUT), 45),
    "CLINC150 without banking, work, cars": Scenario(_domains(OTHER_DOMAINS), 45),
    "Fashion-MNIST without bags and boots": Scenario(new_garments, 2),
}


@dataclass(frozen=True, slots=True)
class Served:
    """What is served after a refresh: points and per cent."""

    challenge: float
    """Gain on the challenge rows, as they were annotated."""
    slice: float
    """Gain on many rows of the slice, by their true classes."""
    fall: float
    """Of accuracy on golden rows."""
    flips: float
    """Of golden rows, right before and wrong now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one refresh: as the trainer gave it, and behind the switch."""

    plain: Served
    switched: Served
    threshold: float | None
    trained_on: int
    """Labels that the annotators gave and the checks let through."""
    wrong: int
    """Of these."""
    validation_flips: float
    """Per cent that the trainer itself counted on rows held out."""


@lru_cache(maxsize=2)
def world(name: str, seed: int) -> World:
    """A fresh draw, with an old model that the reference trainer made of the other classes."""
    repeatable(1)
    found = drawn(SCENARIOS[name], np.random.default_rng([seed, zlib.crc32(name.encode())]))
    train = found.train
    known = _names(np.arange(found.old.weights.shape[1]))
    material = Material(train.rows, _names(train.labels), groups_of(train.rows), known)
    return replace(found, old=_as_head(choose(material, starting(material, None), Search(seed=seed)).head))


def refresh(name: str, seed: int, selector: Selector, rounds: int) -> Outcome:
    """The same for the same seed, whatever other refreshes there are."""
    given = world(name, seed)
    failures = known_failures(given, TOLD, np.random.default_rng([seed, 1]))
    asked = chosen(given, selector, TRAINING, situation=TOLD, failures=failures, rounds=rounds, rng=np.random.default_rng([seed, 2]))
    used = asked[believed(given, asked, failures)]
    made = trained(given, used, failures, seed)
    new = _as_head(made.head)
    threshold = _threshold(given, new)
    wrong = int((given.pool.answers[used] != given.pool.truth[used]).sum())
    flips = 100 * (made.best.validation.negative_flips or 0.0)
    plain, switched = (_served(given, new, each, np.random.default_rng([seed, 4])) for each in (-1.0, _or_old(threshold)))
    return Outcome(plain, switched, threshold, len(used), wrong, flips)


def believed(given: World, asked: NDArray[np.int64], failures: Labelled) -> NDArray[np.bool_]:
    """(n,) the answers that the service's label checks let through."""
    chances, select = given.old.probabilities(given.pool.rows[asked]), given.old.probabilities(given.select.rows)
    known = Known(
        given.select.rows,
        given.select.labels,
        predicted=_places(select),
        probabilities=select,
        failures=failures.rows,
        failure_labels=failures.labels,
    )
    found = verdicts(Pool(given.pool.rows[asked], chances, _places(chances)), given.pool.answers[asked], known)
    return np.asarray((found != Verdict.REJECTED) & (found != Verdict.REFUSED), np.bool_)


def trained(given: World, used: NDArray[np.int64], failures: Labelled, seed: int) -> Chosen:
    """By the reference trainer, from the head of the old model."""
    rows = np.concatenate([given.train.rows, failures.rows, given.pool.rows[used]])
    labels = np.concatenate([given.train.labels, failures.labels, given.pool.answers[used]])
    known = _names(np.arange(given.old.weights.shape[1]))
    head = TrainedHead(known, np.ascontiguousarray(given.old.weights[:-1].T), given.old.weights[-1].copy())
    fresh = np.arange(len(rows)) >= len(given.train)
    material = Material(rows, _names(labels), groups_of(rows), known, head.logits(rows), fresh)
    made = choose(material, starting(material, head), Search(seed=seed))
    return replace(made, head=_over_all(made.head, given.classes))


# --- measuring ----------------------------------------------------------------------------------------------------------


def _served(given: World, new: Head, threshold: float, rng: np.random.Generator) -> Served:
    """Where the new model's answer is served above the threshold."""
    slice_, golden = Pair.of(given.old, new, given.held_out[CHALLENGE:]), Pair.of(given.old, new, given.test)
    rows = given.held_out[:CHALLENGE]
    means = np.stack([_mean(given, label) for label in range(given.classes)])
    annotated = Pair.of(given.old, new, Labelled(rows.rows, answers(rows.rows, rows.labels, means, rng=rng)))
    right = golden.served(threshold)
    return Served(
        _gain(annotated, threshold),
        _gain(slice_, threshold),
        100 * float(golden.old_right.mean() - right.mean()),
        100 * float((golden.old_right & ~right).mean()),
    )


def _mean(given: World, label: int) -> Rows:
    """Where a class lies, for an annotator who mistakes it for one nearby."""
    own = [part.rows[part.labels == label] for part in (given.train, given.held_out)]
    return np.asarray(np.concatenate(own).mean(0), np.float32)


def _gain(pair: Pair, threshold: float) -> float:
    return 100 * float(pair.served(threshold).mean() - pair.old_right.mean())


def _threshold(given: World, new: Head) -> float | None:
    groups = duplicate_groups(given.calibrate.rows)
    rows = np.flatnonzero(groups == np.arange(len(groups)))[:CALIBRATED]
    pair = Pair.of(given.old, new, given.calibrate[rows])
    return calibrate(pair.margin, pair.old_right, pair.new_right, alpha=ALPHA, error=spent(DELTA, 1, outcomes=OUTCOMES)).threshold


def _or_old(threshold: float | None) -> float:
    """No margin is above 2: the old model stays."""
    return 2.0 if threshold is None else threshold


# --- between numbers and names ------------------------------------------------------------------------------------------


def _names(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Names that sort as the numbers do."""
    return tuple(f"{label:03d}" for label in labels.tolist())


def _places(chances: Rows) -> NDArray[np.int64]:
    return np.asarray(chances.argmax(1), np.int64)


def _over_all(head: TrainedHead, classes: int) -> TrainedHead:
    """With every class at the place of its number; those that nobody named get no answer."""
    places = [int(name) for name in head.classes]
    weights = np.zeros((classes, head.weights.shape[1]), np.float32)
    bias = np.full(classes, -1e4, np.float32)
    weights[places], bias[places] = head.weights, head.bias
    return TrainedHead(_names(np.arange(classes)), weights, bias)


def _as_head(head: TrainedHead) -> Head:
    """On the embedding as it is."""
    dimension = head.weights.shape[1]
    plain = Components(np.zeros(dimension, np.float32), np.eye(dimension, dtype=np.float32))
    return Head(plain, np.asarray(np.vstack([head.weights.T, head.bias]), np.float32))
