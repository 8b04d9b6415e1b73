"""Finds hyper-parameters on the training side alone: every row is answered by a head that has not seen it.

Of a recipe and a caution (what is taken off the logits of classes that grow) the best is worth most: the share of fresh rows that it gets
right, less `COST` times the share of all rows that it breaks beyond `allowed`. What a head breaks on rows held out here is close to what
it breaks on golden: in measurements .8 % here were .9 to 1.1 % there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError
from service.training.fitting import Fit, Recipe, Start, fit
from service.training.folds import folds
from service.training.heads import Floats, Kind, TrainedHead
from service.training.material import Figures, Material, Part, joined

Progress = Callable[[str, float], None]

ALLOWED_FLIPS, COST = 0.005, 20.0

EMPHASIS = 2.0
DISTILLATIONS, ANCHORS = (0.0, 1.0), (0.1, 10.0)
"""Tried against each other: an old model that is hardly touched, and one that gives way where what fails is of its own classes."""

_CAUTIONS = np.arange(0.0, 12.0, 0.1)

_LEAST_OLD = 5
"""Rows of each old class in the mean from which a head that stands in for the old one can be trained."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe, and how the heads that it made did on rows held out of them."""

    recipe: Recipe
    validation: Figures
    epochs: int
    """After which the loss on rows held out was least, in the median fold."""
    worth: float


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The head, trained on every row by the recipe that did best, how all recipes did, and the answers (n, c) of the heads of the best
    one to rows that they had not seen."""

    head: TrainedHead
    best: Tried
    tried: tuple[Tried, ...]
    train: Figures


@dataclass(frozen=True, slots=True)
class Search:
    """How it is looked for. `validation`: rows of the material that alone are held out, and what is like them left out; else every row is
    held out in one of `splits` turns."""

    head: Kind = "linear"
    seed: int = 0
    splits: int = 3
    allowed: float = ALLOWED_FLIPS
    validation: NDArray[np.int64] | None = None

    def splits_of(self, material: Material) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows to fit, and rows to hold out."""
        if self.validation is not None:
            alike = np.isin(material.groups, material.groups[self.validation])
            return [(np.flatnonzero(~alike), self.validation)]
        if len(np.unique(material.groups)) < 2 * self.splits:
            raise InputError("too_few", f"nearly all of the {len(material)} rows are copies of one another: none could be held out")
        return folds(material.groups, material.targets, self.splits, np.random.default_rng(self.seed))


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """Rows to fit and rows to hold out, of a material whose old model has seen none of these."""

    material: Material
    start: Start
    kept: NDArray[np.int64]
    held: NDArray[np.int64]

    def fitted(self, recipe: Recipe, seed: int) -> Fit:
        """A head by that recipe."""
        return fit(self.material.part(self.kept), recipe, self.start, seed=seed, held_out=self.material.part(self.held))


def recipes(head: Kind, *, old: bool, fresh: bool) -> list[Recipe]:
    """Those worth trying: there is nothing to hold on to without an old model, and nothing to stress where no row is new."""
    told = product(DISTILLATIONS, ANCHORS) if old else ((0.0, 0.0),)
    return [Recipe(head, emphasis=EMPHASIS if fresh else 1.0, distillation=like, anchor=near) for like, near in told]


def choose(material: Material, start: Start, search: Search, *, progress: Progress = lambda *_: None) -> Chosen:
    """The recipe that is worth most on rows held out. A head is then trained for as many epochs as it took there: on all rows, or on all
    but those that are for validation alone."""
    kind = start.head.kind if start.head.hidden is not None else search.head
    among = recipes(kind, old=material.old is not None, fresh=bool(material.fresh.any()))
    turns = []
    for number, (kept, held) in enumerate(splits := search.splits_of(material)):
        progress("standing in for the old model", number / len(splits))
        turns.append(_turn(material, start, kept, held, search.seed))
    tried: list[Tried] = []
    for number, recipe in enumerate(among):
        made: list[Fit] = []
        for place, turn in enumerate(turns):
            progress("choosing hyper-parameters", (number + place / len(turns)) / len(among))
            made.append(turn.fitted(recipe, search.seed))
        tried.append(_tried(recipe, turns, made, search.allowed))
    best = max(tried, key=lambda each: each.worth)
    kept = np.arange(len(material)) if search.validation is None else splits[0][0]
    whole = material.part(kept)
    progress("training the head", 0.0)
    final = fit(whole, best.recipe, start, seed=search.seed, epochs=best.epochs)
    head = final.head.lowered(material.grown, best.recipe.caution)
    return Chosen(head, best, tuple(tried), Figures.of(whole, head.logits(whole.rows).argmax(1)))


def starting(material: Material, old: TrainedHead | None) -> Start:
    """Where training starts: the head in force with the new classes behind its own, as likely as they are frequent; zeros without one."""
    classes, targets = material.classes, material.targets
    share = np.maximum(np.bincount(targets, minlength=len(classes)), 1) / len(material)
    bias = np.log(share).astype(np.float32)
    if old is None or material.old is None:
        return Start(TrainedHead(classes, np.zeros((len(classes), material.rows.shape[1]), np.float32), bias), 0)
    peak = material.old.max(1)
    level = peak + np.log(np.exp(material.old - peak[:, None]).sum(1))
    return Start(old.widened(classes, (bias + level.mean()).astype(np.float32)), len(old.classes))


def cautious(logits: Floats, part: Part, allowed: float) -> tuple[float, NDArray[np.int64], float]:
    """The caution that is worth most on rows with these logits (n, c), the answers (n,) that it leads to, and what it is worth.

    Without an old model, or without a class that grows, it is 0.
    """
    cautions = _CAUTIONS if part.old is not None and part.grown.any() else _CAUTIONS[:1]
    grown, other = (_best(logits, kept) for kept in (part.grown, ~part.grown))
    answers = [np.where(grown[1] - caution > other[1], grown[0], other[0]) for caution in cautions.tolist()]
    worths = [_worth(Figures.of(part, each), allowed) for each in answers]
    best = int(np.argmax(worths))
    return float(cautions[best]), answers[best], worths[best]


def _best(logits: Floats, kept: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats]:
    """(n,) the likeliest of some classes, and its logit."""
    if not kept.any():
        return np.zeros(len(logits), np.int64), np.full(len(logits), -np.inf, np.float32)
    places = np.flatnonzero(kept)
    likeliest = logits[:, places].argmax(1)
    return places[likeliest], logits[np.arange(len(logits)), places[likeliest]]


def _worth(found: Figures, allowed: float) -> float:
    gained = found.accuracy if found.fresh_accuracy is None else found.fresh_accuracy
    return gained - COST * max(0.0, (found.negative_flips or 0.0) - allowed)


def _tried(recipe: Recipe, turns: Sequence[Turn], made: Sequence[Fit], allowed: float) -> Tried:
    logits = np.concatenate([found.head.logits(turn.material.rows[turn.held]) for turn, found in zip(turns, made, strict=True)])
    part = joined([turn.material.part(turn.held) for turn in turns])
    caution, answers, worth = cautious(logits, part, allowed)
    epochs = int(np.median([found.epochs for found in made]))
    return Tried(replace(recipe, caution=caution), Figures.of(part, answers), epochs, worth)


# --- standing in --------------------------------------------------------------------------------------------------------


def _turn(material: Material, start: Start, kept: NDArray[np.int64], held: NDArray[np.int64], seed: int) -> Turn:
    """With a stand-in where there are old rows enough to train one on."""
    old = ~material.fresh & (material.targets < len(material.known))
    own = kept[old[kept]]
    count = len(material.known)
    if material.old is None or count < 2 or len(own) < _LEAST_OLD * count or not old[held].any():
        return Turn(material, start, kept, held)
    alone = Material(material.rows, material.labels, material.groups, material.known)
    zeros = Start(TrainedHead(material.classes, np.zeros_like(start.head.weights), np.zeros_like(start.head.bias)), 0)
    found = fit(alone.part(own), Recipe(anchor=0.0, distillation=0.0), zeros, seed=seed, held_out=alone.part(held[old[held]])).head
    logits = found.logits(material.rows)[:, :count]
    factor = _sureness(material.old[own], material.targets[own]) / max(_sureness(logits[own], material.targets[own]), 1e-6)
    stand_in = TrainedHead(material.known, found.weights[:count] * np.float32(factor), found.bias[:count] * np.float32(factor))
    own_material = replace(material, old=stand_in.logits(material.rows))
    return Turn(own_material, starting(own_material, stand_in), kept, held)


def _sureness(logits: Floats, targets: NDArray[np.int64]) -> float:
    """By how much the right class's logit lies above the best other one, in the median."""
    at = np.arange(len(targets))
    others = logits.copy()
    others[at, targets] = -np.inf
    return float(max(np.median(logits[at, targets] - others.max(1)), 1e-3))
