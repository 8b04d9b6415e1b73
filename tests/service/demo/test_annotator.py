import pytest
from scipy.stats import binom

from service.demo.annotator import Annotator
from service.records import AnnotationBatch, BatchState, Candidate, Label

TRUTH: dict[str, str | None] = {f"s{i}": None if i % 4 == 0 else f"intent{i % 7}" for i in range(2_000)}


def batch(ids: list[str]) -> AnnotationBatch:
    items = tuple(Candidate(sample, "novel", 0.1, "all") for sample in ids)
    return AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, items, 0.0)


def answers(annotator: Annotator, ids: list[str]) -> list[Label]:
    return annotator.answer(batch(ids), now=9.0)


def test_without_errors_it_says_the_truth_and_marks_junk_unusable() -> None:
    labels = answers(Annotator(TRUTH, error=0.0), ["s3", "s4"])
    assert labels == [
        Label("chat", "b1", "s3", "intent3", 9.0, "simulated"),
        Label("chat", "b1", "s4", None, 9.0, "simulated", unusable=True),
    ]


@pytest.mark.parametrize("junk", [True, False])
def test_it_errs_on_its_share_of_the_answers(junk: bool) -> None:
    ids = [sample for sample, intent in TRUTH.items() if (intent is None) == junk]
    labels = answers(Annotator(TRUTH, error=0.1), ids)
    wrong = sum(label.label != TRUTH[label.sample] for label in labels)
    low, high = binom.interval(1 - 2e-6, len(ids), 0.1)
    assert low <= wrong <= high
    assert all(label.unusable == (label.label is None) for label in labels)
    assert {label.label for label in labels} - {None} <= set(TRUTH.values())


def test_the_same_sample_gets_the_same_answer_in_any_order() -> None:
    annotator = Annotator(TRUTH, error=0.5, seed=1)
    ids = list(TRUTH)[:200]
    assert {v.sample: v for v in answers(annotator, ids)} == {v.sample: v for v in answers(annotator, ids[::-1])}
    assert answers(annotator, ids) != answers(Annotator(TRUTH, error=0.5, seed=2), ids)


def test_with_a_single_class_there_is_no_wrong_one() -> None:
    assert answers(Annotator({"a": "only"}, error=1.0), ["a"])[0].label == "only"


def test_an_error_rate_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"error: a share is between 0 and 1, found 1\.5"):
        Annotator(TRUTH, error=1.5)
