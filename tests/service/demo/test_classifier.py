import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import check_grad
from scipy.optimize import minimize as scipy_minimize

from service.demo.classifier import fit, loss


def blobs(classes: int, rows: int, spread: float, seed: int = 0) -> tuple[NDArray[np.float32], list[str]]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 32))
    which = rng.integers(classes, size=rows)
    points = centres[which] + spread * rng.normal(size=(rows, 32))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), [f"class{i}" for i in which]


def accuracy(predicted: list[str], labels: list[str]) -> float:
    return float(np.mean([a == b for a, b in zip(predicted, labels, strict=True)]))


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(1)
    rows, target = rng.normal(size=(20, 5)), rng.integers(4, size=20)
    at = rng.normal(size=4 * 6)
    error = check_grad(lambda p: loss(p, rows, target, 0.1)[0], lambda p: loss(p, rows, target, 0.1)[1], at)
    assert error < 1e-5


def test_it_reaches_the_minimum_that_a_patient_search_finds() -> None:
    embeddings, labels = blobs(4, 200, 1.0)
    head = fit(embeddings, labels, penalty=1e-2)
    target = np.array([head.classes.index(label) for label in labels])
    reached = loss(np.concatenate([head.weights.ravel(), head.bias]).astype(np.float64), embeddings.astype(np.float64), target, 1e-2)[0]
    best = scipy_minimize(
        loss, np.zeros(4 * 33), args=(embeddings.astype(np.float64), target, 1e-2), jac=True, method="BFGS", options={"gtol": 1e-8}
    )
    assert reached == pytest.approx(best.fun, rel=1e-3)


def test_it_separates_what_can_be_separated() -> None:
    embeddings, labels = blobs(12, 1_000, 0.5)
    unseen, truth = blobs(12, 500, 0.5, seed=1)
    head = fit(embeddings, labels)
    assert accuracy(head.predict(unseen), truth) > 0.97
    assert head.weights.dtype == np.float32


def test_the_same_rows_give_the_same_head() -> None:
    embeddings, labels = blobs(3, 100, 1.0)
    np.testing.assert_array_equal(fit(embeddings, labels).weights, fit(embeddings, labels).weights)


def test_old_classes_keep_their_places_and_new_ones_follow() -> None:
    embeddings, labels = blobs(4, 300, 0.5)
    head = fit(embeddings, labels, classes=("class2", "class0"))
    assert head.classes == ("class2", "class0", "class1", "class3")
    assert accuracy(head.predict(embeddings), labels) > 0.97


def test_a_class_without_samples_keeps_its_place_and_never_wins() -> None:
    embeddings, labels = blobs(3, 200, 1.0)
    head = fit(embeddings, labels, classes=("retired", "class0", "class1", "class2"))
    assert head.classes[0] == "retired"
    assert "retired" not in head.predict(embeddings)
    assert head.bias.argmin() == 0


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "a", "a"]])
def test_too_few_labels_or_classes_are_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="one label per row and two classes"):
        fit(np.zeros((3, 2), np.float32), labels)
