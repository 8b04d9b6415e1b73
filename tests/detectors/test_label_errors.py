"""Wrong labels, planted in sets of clouds."""

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import label_errors as module
from detectors.cells import nearest_in_cells
from detectors.clustering import kmeans, nearest
from detectors.label_errors import LabelErrors, label_errors
from detectors.label_noise import NoiseLaw
from detectors.neighbours import nearest_rows

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


def clouds(count: int, classes: int, rng: np.random.Generator, apart: float = 1.5) -> tuple[Rows, Labels]:
    truth = np.arange(count) % classes
    return (apart * rng.standard_normal((classes, 16))[truth] + rng.standard_normal((count, 16))).astype(np.float32), truth


def planted(
    truth: Labels, share: float, rng: np.random.Generator, *, to: Literal["any", "next"] = "any"
) -> tuple[Labels, NDArray[np.bool_]]:
    wrong, classes = rng.random(len(truth)) < share, int(truth.max()) + 1
    step = rng.integers(1, classes, len(truth)) if to == "any" else 1
    return np.where(wrong, (truth + step) % classes, truth), wrong


@pytest.mark.parametrize("to", ["any", "next"])
def test_planted_errors_come_first_and_are_counted(to: Literal["any", "next"]) -> None:
    rng = np.random.default_rng(0)
    rows, truth = clouds(1_200, 6, rng)
    labels, wrong = planted(truth, 0.1, rng, to=to)
    found = label_errors(rows, labels, rng=rng)
    first = found.ranked(int(wrong.sum()))
    assert wrong[first].mean() > 0.9
    assert (found.suggested[first] == truth[first])[wrong[first]].mean() > 0.95
    assert found.rate.low < wrong.mean() < found.rate.high
    assert found.expected(len(rows)) == pytest.approx(len(rows) * found.rate.estimate)
    assert abs(found.expected(100) - wrong[found.ranked(100)].sum()) < 10
    assert np.nanmean(found.neighbours[wrong]) < 0.2
    assert np.nanmean(found.neighbours[~wrong]) > 0.8
    assert found.influence[wrong].mean() > 0.9
    assert found.confident[wrong].mean() > 0.7
    assert found.confident[~wrong].mean() < 0.03
    assert np.allclose(found.held_out.sum(1), 1, atol=1e-4)


def test_a_clean_set_has_hardly_any() -> None:
    rng = np.random.default_rng(1)
    rows, truth = clouds(1_000, 5, rng, apart=2)
    found = label_errors(rows, truth, rng=rng)
    assert found.rate.estimate < 0.01
    assert found.rate.high < 0.03


def test_copies_do_not_vouch_for_each_other() -> None:
    rng = np.random.default_rng(2)
    rows, truth = clouds(600, 4, rng)
    rows[40:60:4] = rows[40]
    labels = truth.copy()
    labels[40:60:4] = (truth[40] + 1) % 4
    found = label_errors(rows, labels, rng=rng)
    assert (found.probability[40:60:4] > 0.9).all()


def test_clean_rare_classes_are_left_alone() -> None:
    rng = np.random.default_rng(3)
    rows, truth = clouds(1_000, 20, rng, apart=1.2)
    kept = (truth < 14) | (np.arange(1_000) < 120)
    rows, truth = rows[kept], truth[kept]
    rare = truth >= 14
    labels, wrong = planted(truth, 0.1, rng)
    wrong &= ~rare & (labels < 14)
    labels = np.where(wrong, labels, truth)
    found = label_errors(rows, labels, rng=rng)
    assert rare[found.ranked(int(wrong.sum()))].mean() < 0.1


def test_a_row_alone_in_its_class_is_as_likely_wrong_as_any() -> None:
    rng = np.random.default_rng(4)
    rows, truth = clouds(200, 4, rng)
    truth[7] = 4
    found = label_errors(rows, truth, rng=rng)
    assert np.flatnonzero(found.alone).tolist() == [7]
    assert found.probability[7] < 0.1


def test_a_large_set_is_looked_at_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    rows, truth = clouds(1_500, 6, rng)
    labels, wrong = planted(truth, 0.1, rng)
    monkeypatch.setattr(module, "EXACT", 1_000)
    told: list[float] = []
    found = label_errors(rows, labels, rng=rng, progress=told.append)
    assert wrong[found.ranked(int(wrong.sum()))].mean() > 0.85
    assert told == sorted(told)
    assert told[-1] <= 1


def test_cells_find_most_of_the_nearest() -> None:
    rng = np.random.default_rng(6)
    rows, _ = clouds(3_000, 10, rng)
    centres = kmeans(rows, 30, rng=rng)
    near = nearest_in_cells(rows, nearest(rows, centres)[1], centres, 5, rng=rng)
    exact = nearest_rows(rows, rows, 5, same=True)
    assert (near.row == exact.row).mean() > 0.8
    assert (near.row != np.arange(3_000)[:, None]).all()
    assert (near.distance >= exact.distance - 1e-3).all()
    with pytest.raises(ValueError, match="k: between 1 and the 9 other rows, found 10"):
        nearest_in_cells(rows[:10], np.zeros(10, np.int64), rows[:1], 10, rng=rng)


@pytest.mark.parametrize("pattern", [False, True])
def test_the_law_is_flat_unless_errors_follow_a_pattern(pattern: bool) -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 10, 20_000)
    step = np.where(rng.random(20_000) < 0.1, 1 if pattern else rng.integers(1, 10, 20_000), 0)
    law = NoiseLaw.of_anchors(truth, (truth + step) % 10, (1 - np.eye(10)) / 9)
    assert np.allclose(law.given.sum(1), 1)
    assert law.wrong / law.anchors == pytest.approx(0.1, abs=0.01)
    at = law.given[np.arange(10), (np.arange(10) + 1) % 10]
    assert (at > 0.06).all() if pattern else np.allclose(at, 0.1 / 9, atol=0.004)


@pytest.mark.parametrize("near", [False, True])
def test_few_anchors_tell_whether_errors_fall_on_classes_alike(near: bool) -> None:
    rng = np.random.default_rng(8)
    alike = np.full((60, 60), 0.1 / 57)
    at = np.arange(60)
    alike[at, (at + 1) % 60] = alike[at, (at + 2) % 60] = 0.45
    np.fill_diagonal(alike, 0)
    alike /= alike.sum(1, keepdims=True)
    truth = rng.integers(0, 60, 600)
    step = rng.integers(1, 3, 600) if near else rng.integers(1, 60, 600)
    label = np.where(rng.random(600) < 0.1, (truth + step) % 60, truth)
    law = NoiseLaw.of_anchors(truth, label, alike).given
    on_alike = (law[at, (at + 1) % 60] + law[at, (at + 2) % 60]).sum() / (1 - np.diag(law)).sum()
    assert on_alike > 0.8 if near else on_alike < 0.1


def test_what_cannot_be_judged_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    rows, truth = clouds(30, 3, rng)
    with pytest.raises(ValueError, match="two classes at least, found 1"):
        label_errors(rows, np.zeros(30, np.int64), rng=rng)
    with pytest.raises(ValueError, match="found 0 to 3, 3 of them"):
        label_errors(rows, np.where(truth == 2, 3, truth), rng=rng)
    with pytest.raises(ValueError, match="as many labels as rows"):
        label_errors(rows, truth[1:], rng=rng)
    with pytest.raises(ValueError, match="no copies of each other; there are 1"):
        label_errors(np.ones((30, 4), np.float32), truth, rng=rng)
    monkeypatch.setattr(module, "MOST_CELLS", 60)
    with pytest.raises(ValueError, match="draw some of the rows"):
        label_errors(rows, truth, rng=rng)


def test_small_sets_are_judged_as_far_as_they_go() -> None:
    rng = np.random.default_rng(9)
    rows, truth = clouds(12, 2, rng, apart=4)
    found: LabelErrors = label_errors(rows, truth, rng=rng)
    assert np.isfinite(found.probability).all()
    assert 0 <= found.rate.low <= found.rate.estimate <= found.rate.high <= 1


@pytest.mark.parametrize(("share", "surely"), [(0.0, 0.0), (0.15, 0.02)])
def test_what_overlapping_classes_explain_is_not_surely_wrong(share: float, surely: float) -> None:
    rng = np.random.default_rng(10)
    truth = rng.integers(0, 4, 1_000)
    rows = (1.5 * np.eye(4, 8)[truth] + rng.standard_normal((1_000, 8))).astype(np.float32)
    labels, wrong = planted(truth, share, rng)
    found = label_errors(rows, labels, rng=rng)
    assert surely <= found.rate.low <= wrong.mean() <= found.rate.high
    assert (found.demanded == 0) == (share == 0)
