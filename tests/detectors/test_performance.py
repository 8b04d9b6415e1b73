"""Shares with intervals, of classes and segments of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.performance import MOST_SEGMENTS, Confusion, Reliability, by_group, disparity, gap, share

NAMES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=60)


def table(pairs: list[tuple[str, str]]) -> Confusion:
    truth, answer = np.array(pairs, np.str_).T
    return Confusion.of(truth, answer)


@given(NAMES)
def test_counts_are_of_the_rows_and_figures_lie_in_their_intervals(pairs: list[tuple[str, str]]) -> None:
    found = table(pairs)
    assert found.rows == len(pairs)
    assert found.accuracy.estimate == pytest.approx(np.mean([truth == answer for truth, answer in pairs]))
    for figures in found.by_class():
        hits = sum(truth == answer == figures.name for truth, answer in pairs)
        assert figures.rows == sum(truth == figures.name for truth, _ in pairs)
        assert figures.answers == sum(answer == figures.name for _, answer in pairs)
        if figures.rows:
            assert figures.recall.estimate == pytest.approx(hits / figures.rows)
            assert figures.recall.low <= figures.recall.estimate <= figures.recall.high
        assert figures.f1.low <= figures.f1.estimate <= figures.f1.high
        assert figures.f1.estimate == pytest.approx(2 * hits / (figures.rows + figures.answers))
    for mean in found.macro():
        assert 0 <= mean.low <= mean.estimate <= mean.high <= 1


def test_a_class_that_is_only_answered_has_no_recall_and_is_in_no_mean() -> None:
    found = table([("a", "a"), ("a", "b")])
    recall, _ = found.macro()
    assert np.isnan(found.by_class()[1].recall.estimate)
    assert (found.by_class()[1].recall.low, found.by_class()[1].recall.high) == (0, 1)
    assert recall.estimate == 0.5


def test_one_class_alone_is_a_table_too() -> None:
    found = table([("a", "a")])
    assert found.accuracy.low < 0.3
    assert found.macro()[0].estimate == 1


def test_a_mean_over_classes_is_surer_than_its_classes() -> None:
    found = table([(name, name if at % 5 else "a") for name in "abcd" for at in range(50)])
    recall, _ = found.macro()
    widest = max(figures.recall.high - figures.recall.low for figures in found.by_class())
    assert recall.high - recall.low < 0.7 * widest


def test_the_most_confused_classes_are_kept() -> None:
    found = table([("a", "a")] * 9 + [("c", "d")] * 3 + [("b", "b")] * 5).among(2)
    assert found.classes == ("c", "d")
    assert found.counts.toarray().tolist() == [[0, 3], [0, 0]]


def test_labels_that_are_all_different_take_no_more_than_their_rows() -> None:
    names = np.array([f"free {at}" for at in range(100_000)])
    found = Confusion.of(names, names[::-1])
    assert found.rows == 100_000
    assert found.accuracy.estimate == 0
    assert found.among(12).counts.shape == (12, 12)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found \(2,\) and \(1,\)"):
        Confusion.of(np.array(["a", "b"]), np.array(["a"]))


def test_without_rows_nothing_is_known() -> None:
    assert np.isnan(share(0, 0).estimate)
    assert np.isnan(gap(1, 2, 0, 0).estimate)
    assert gap(1, 2, 0, 0).low == -1


def test_a_gap_is_the_difference_of_two_shares() -> None:
    found = gap(190, 200, 160, 200)
    assert found.estimate == pytest.approx(0.15)
    assert 0.05 < found.low < 0.1
    assert 0.2 < found.high < 0.25


def test_confidence_that_says_too_much_is_off_by_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.6, 1, 2000)
    confidence[::10] = np.nan
    honest, boasting = (Reliability.of(confidence, rng.random(2000) < confidence - less) for less in (0.0, 0.2))
    assert honest is not None
    assert boasting is not None
    assert honest.error < 2 * honest.by_chance
    assert boasting.error == pytest.approx(0.2, abs=0.05)
    assert sum(each.rows for each in boasting.bins) == 1800
    assert [each.confidence for each in boasting.bins] == sorted(each.confidence for each in boasting.bins)


def test_few_confidences_say_nothing() -> None:
    assert Reliability.of(np.full(19, 0.5), np.ones(19, np.bool_)) is None
    few = Reliability.of(np.linspace(0.5, 1, 45), np.ones(45, np.bool_))
    assert few is not None
    assert len(few.bins) == 2


def test_equal_confidences_are_one_bin() -> None:
    found = Reliability.of(np.repeat([0.5, 0.9], 100), np.tile([True, False], 100))
    assert found is not None
    assert [(each.confidence, each.rows) for each in found.bins] == [(0.5, 100), (pytest.approx(0.9), 100)]


def test_rows_of_no_group_are_left_out() -> None:
    right, group = np.array([True, False, True, True]), np.array(["a", "a", "b", ""])
    assert by_group(right, group) == {"a": (1, 2), "b": (1, 1)}


def test_segments_of_one_accuracy_hardly_ever_differ_surely() -> None:
    rng = np.random.default_rng(1)
    found = [disparity({str(i): (int(rng.binomial(80, 0.9)), 80) for i in range(12)}) for _ in range(100)]
    gaps = [each.gap for each in found if each is not None]
    assert np.mean([each.low > 0 for each in gaps]) <= 0.05
    assert all(each.low <= each.estimate <= each.high for each in gaps)


def test_over_several_tags_an_interval_is_wider() -> None:
    counts = {"a": (90, 100), "b": (70, 100)}
    alone, among = disparity(counts), disparity(counts, among=5)
    assert alone is not None
    assert among is not None
    assert among.gap.low < alone.gap.low


def test_one_segment_has_no_gap() -> None:
    assert disparity({"a": (50, 60), "b": (1, 9)}) is None


def test_of_very_many_segments_the_largest_are_compared() -> None:
    counts = {f"customer {at}": (at, at) for at in range(10, 20_010)} | {"worst": (10_000, 30_000)} | {"few": (0, 3)}
    found = disparity(counts)
    assert found is not None
    assert (found.worst, found.left_out, found.passed_over) == ("worst", ("few",), 20_001 - MOST_SEGMENTS)
    assert found.gap.estimate == pytest.approx(2 / 3)
