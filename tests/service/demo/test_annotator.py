import pytest
from scipy.stats import binom

from service.demo.annotator import Annotator

TRUTH: dict[str, str | None] = {f"s{i}": None if i % 4 == 0 else f"intent{i % 7}" for i in range(2_000)}


def test_without_errors_it_says_the_truth_and_marks_junk_unusable() -> None:
    assert Annotator(TRUTH, error=0.0).answer(["s3", "s4"]) == [
        {"id": "s3", "label": "intent3", "unusable": False, "annotator": "simulated"},
        {"id": "s4", "label": None, "unusable": True, "annotator": "simulated"},
    ]


@pytest.mark.parametrize("junk", [True, False])
def test_it_errs_on_its_share_of_the_answers(junk: bool) -> None:
    ids = [sample for sample, intent in TRUTH.items() if (intent is None) == junk]
    labels = Annotator(TRUTH, error=0.1).answer(ids)
    wrong = sum(label["label"] != TRUTH[label["id"]] for label in labels)
    low, high = binom.interval(1 - 2e-6, len(ids), 0.1)
    assert low <= wrong <= high
    assert all(label["unusable"] == (label["label"] is None) for label in labels)
    assert {label["label"] for label in labels} - {None} <= set(TRUTH.values())


def test_classes_that_the_scheme_has_not_are_proposed() -> None:
    answers = Annotator(TRUTH, known=["intent3"], error=0.0).answer(["s3", "s4", "s5"])
    assert [answer["label"] for answer in answers] == ["intent3", None, "new: intent5"]


def test_the_same_sample_gets_the_same_answer_in_any_order() -> None:
    annotator = Annotator(TRUTH, error=0.5, seed=1)
    ids = list(TRUTH)[:200]
    assert annotator.answer(ids) == annotator.answer(ids[::-1])[::-1]
    assert annotator.answer(ids) != Annotator(TRUTH, error=0.5, seed=2).answer(ids)


def test_with_a_single_class_there_is_no_wrong_one() -> None:
    assert Annotator({"a": "only"}, error=1.0).answer(["a"])[0]["label"] == "only"


def test_an_error_rate_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"error: a share is between 0 and 1, found 1\.5"):
        Annotator(TRUTH, error=1.5)
