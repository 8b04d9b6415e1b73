"""What is chosen on rows held out, and what stands in for the old model meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from service.errors import InputError
from service.training.choosing import Search, cautious, choose, recipes, starting
from service.training.fitting import Recipe, Start, fit, repeatable, row_weights
from service.training.folds import groups_of
from service.training.heads import TrainedHead
from service.training.material import Material

RNG = np.random.default_rng(11)
KNOWN = ("a", "b", "c")


def material(*, wide: float = 1.0, old: bool = True) -> Material:
    """Three old classes in a plane of their own, and a new one halfway between two of them."""
    rng = np.random.default_rng(1)
    centres = 2 * np.eye(6, dtype=np.float32)[:3]
    centres = np.concatenate([centres, [(centres[0] + centres[1]) / 2 + [0, 0, 0, 1.5, 0, 0]]])
    places = np.repeat([0, 1, 2, 3], [150, 150, 150, 40])
    rows = (centres[places] + wide * 0.4 * rng.standard_normal((len(places), 6))).astype(np.float32)
    labels = tuple("abcd"[place] for place in places)
    logits = (3 * rows @ centres[:3].T).astype(np.float32) if old else None
    return Material(rows, labels, groups_of(rows), KNOWN, logits, np.asarray(places == 3))


OLD = TrainedHead(KNOWN, 6 * np.eye(3, 6, dtype=np.float32), np.zeros(3, np.float32))


def test_training_starts_at_the_old_answers() -> None:
    made = material()
    start = starting(made, OLD)
    assert start.own == 3
    assert made.old is not None
    np.testing.assert_allclose(start.head.logits(made.rows)[:, :3], made.old, atol=1e-4)
    unmoved = fit(made.part(np.arange(len(made))), Recipe(), start, seed=0, epochs=0).head
    np.testing.assert_allclose(unmoved.logits(made.rows), start.head.logits(made.rows), atol=1e-4)


def test_a_strong_pull_keeps_old_logits_and_a_weak_one_does_not() -> None:
    made = material(wide=1.5)
    start, whole = starting(made, OLD), made.part(np.arange(len(made)))
    moved = {}
    for anchor in (1e-4, 1e3):
        found = fit(whole, Recipe(anchor=anchor, distillation=0.0), start, seed=0, epochs=15).head
        moved[anchor] = float(np.abs(found.logits(made.rows)[:, :3] - start.head.logits(made.rows)[:, :3]).mean())
    assert moved[1e3] < 0.1 * moved[1e-4]


def test_rare_classes_and_fresh_rows_count_more() -> None:
    part = material().part(np.arange(490))
    weights = row_weights(part, Recipe(balance=0.5, emphasis=2.0))
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights[-1] / weights[0] == pytest.approx(2 * np.sqrt(150 / 40), rel=1e-5)


def test_caution_trades_what_is_new_for_what_holds() -> None:
    made = material(wide=2.0)
    part = made.part(np.arange(len(made)))
    logits = fit(part, Recipe(anchor=10.0), starting(made, OLD), seed=0, epochs=30).head.logits(made.rows)
    found = {allowed: cautious(logits, part, allowed) for allowed in (0.001, 0.01, 0.5)}
    assert found[0.5][0] == 0
    assert found[0.001][0] > found[0.01][0] > 0
    for allowed, (_, answers, _) in found.items():
        assert (part.old_right & (answers != part.targets)).mean() <= allowed + 0.005


def test_without_an_old_model_there_is_no_caution() -> None:
    made = material(old=False)
    part = made.part(np.arange(len(made)))
    assert cautious(RNG.standard_normal((len(made), 4)).astype(np.float32), part, 0.0)[0] == 0
    assert [recipe.anchor for recipe in recipes("linear", old=False, fresh=True)] == [0.0]
    assert len(recipes("mlp", old=True, fresh=True)) == 4


def test_what_breaks_is_foreseen_though_the_old_model_knows_the_rows_by_heart() -> None:
    """An old model that is sure of every row it was trained on, wide of the others: on rows held out of all, as on golden."""
    repeatable(1)
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((12, 40)).astype(np.float32)

    places, truth, brought = rng.integers(0, 10, 400), rng.integers(0, 10, 1_500), np.repeat([10, 11], 25)
    rows, golden, new = (
        (centres[kinds] + 1.1 * rng.standard_normal((len(kinds), 40))).astype(np.float32) for kinds in (places, truth, brought)
    )
    known = tuple(f"{place:02d}" for place in range(10))
    alone = Material(rows, tuple(known[place] for place in places), np.arange(400), known)
    zeros = Start(TrainedHead(known, np.zeros((10, 40), np.float32), np.zeros(10, np.float32)), 0)
    heart = fit(alone.part(np.arange(400)), Recipe(anchor=0.0, distillation=0.0, decay=0.0, rate=0.05), zeros, seed=0, epochs=150).head
    both = np.concatenate([rows, new])
    labels = (*alone.labels, *["10"] * 25, *["11"] * 25)
    made = Material(both, labels, np.arange(450), known, heart.logits(both), np.arange(450) >= 400)
    found = choose(made, starting(made, heart), Search(allowed=0.02))
    right = heart.logits(golden).argmax(1) == truth
    broken = float((right & (found.head.logits(golden).argmax(1) != truth)).mean())
    foreseen = found.best.validation.negative_flips or 0.0
    assert abs(broken - foreseen) < 0.03
    assert broken < 0.05


def test_a_turn_without_rows_of_the_old_classes_keeps_the_old_model() -> None:
    made = material()
    assert made.old is not None
    few = Material(made.rows[-60:], made.labels[-60:], np.arange(60), KNOWN, made.old[-60:], made.fresh[-60:])
    found = choose(few, starting(few, OLD), Search(splits=2))
    assert found.head.classes == ("a", "b", "c", "d")


def test_hidden_units_add_nothing_at_first() -> None:
    made = material()
    start, whole = starting(made, OLD), made.part(np.arange(len(made)))
    still = fit(whole, Recipe("mlp"), start, seed=3, epochs=0).head
    assert still.kind == "mlp"
    np.testing.assert_allclose(still.logits(made.rows), start.head.logits(made.rows), atol=1e-4)
    again = fit(whole, replace(Recipe("mlp"), hidden=16), Start(still, 3), seed=3, epochs=2).head
    assert again.hidden is not None
    assert len(again.hidden.inner) == 128


def test_a_head_with_hidden_units_keeps_them() -> None:
    made = material()
    start, whole = starting(made, OLD), made.part(np.arange(len(made)))
    hidden = fit(whole, Recipe("mlp", hidden=8), start, seed=3, epochs=3).head
    found = choose(made, Start(hidden, 3), Search("linear", splits=2))
    assert found.head.kind == found.best.recipe.head == "mlp"


def test_copies_of_one_row_can_not_be_held_out() -> None:
    made = material()
    alike = Material(made.rows, made.labels, np.zeros(len(made), np.int64), KNOWN, made.old, made.fresh)
    with pytest.raises(InputError, match="copies of one another"):
        choose(alike, starting(alike, OLD), Search())


def test_an_old_class_that_looks_otherwise_now_is_learnt_too() -> None:
    """The old classes give way then, where nearness to the old head would keep them from it."""
    rng = np.random.default_rng(2)
    centres = np.concatenate([2 * np.eye(6)[:3], [[0.5, 1.2, 0, 1.5, 0, 0]]])
    places = np.repeat([0, 1, 2, 3], [150, 150, 150, 60])
    rows = (centres[places] + 0.4 * rng.standard_normal((len(places), 6))).astype(np.float32)
    labels = tuple("abca"[place] for place in places)
    made = Material(rows, labels, np.arange(len(rows)), KNOWN, OLD.logits(rows), np.asarray(places == 3))
    assert made.grown.tolist() == [False] * 3
    assert made.old_right[places == 3].mean() < 0.5
    found = choose(made, starting(made, OLD), Search(splits=2))
    after = found.head.logits(rows).argmax(1) == made.targets
    assert found.best.recipe.caution == 0
    assert after[places == 3].mean() > 0.85
    assert after[places < 3].mean() > 0.95
