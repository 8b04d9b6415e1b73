import numpy as np
import pytest

from service.heads import Head

HEAD = Head(("yes", "no", "maybe"), np.array([[1, 0], [0, 1], [-1, -1]], np.float32), np.array([0, 0, 0.5], np.float32))
ROWS = np.array([[2, 0], [0, 3], [-1, -2]], np.float32)


def test_logits_are_linear_in_the_embedding() -> None:
    np.testing.assert_array_equal(HEAD.logits(ROWS), np.array([[2, 0, -1.5], [0, 3, -2.5], [-1, -2, 3.5]], np.float32))
    assert HEAD.logits(ROWS).dtype == np.float32


def test_it_predicts_the_class_of_the_largest_logit() -> None:
    assert HEAD.predict(ROWS) == ["yes", "no", "maybe"]
    assert HEAD.predict(ROWS[:0]) == []


def test_probabilities_sum_to_one_even_for_huge_logits() -> None:
    shares = HEAD.probabilities(ROWS * 1e4)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(shares.argmax(axis=1), [0, 1, 2])
    ratio = HEAD.probabilities(ROWS)[0, 0] / HEAD.probabilities(ROWS)[0, 1]
    assert ratio == pytest.approx(np.exp(2))


@pytest.mark.parametrize(
    ("classes", "weights", "bias"),
    [((), (0, 2), 0), (("a", "a"), (2, 2), 2), (("a", "b"), (3, 2), 2), (("a", "b"), (2, 2), 3), (("a", "b"), (2,), 2)],
)
def test_shapes_and_names_must_fit(classes: tuple[str, ...], weights: tuple[int, ...], bias: int) -> None:
    with pytest.raises(ValueError, match="a head"):
        Head(classes, np.zeros(weights, np.float32), np.zeros(bias, np.float32))
