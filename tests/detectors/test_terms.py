"""Words are told where their shares surely differ, and in their order."""

import numpy as np

from detectors.terms import class_terms, telling_terms

COMMON = ["i", "want", "to", "know"]


def texts(n: int, seed: int, *, new: float = 0.0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    own = [f"w{i}" for i in range(30)]
    return [[*COMMON, *rng.choice(own, 3).tolist(), *(["flight"] if rng.random() < new else [])] for _ in range(n)]


def test_a_new_word_is_told_with_its_shares() -> None:
    (found,) = telling_terms(texts(200, 1, new=0.2), texts(800, 2))
    assert (found.term, found.reference) == ("flight", 0.0)
    assert 0.1 < found.window < 0.3


def test_texts_that_are_alike_have_no_telling_words() -> None:
    assert sum(bool(telling_terms(texts(100, seed), texts(300, seed + 50))) for seed in range(20)) <= 2


def test_a_chosen_window_and_sessions_leave_less_to_tell() -> None:
    window, reference = texts(60, 1, new=0.2), texts(200, 2)
    assert telling_terms(window, reference)
    assert not telling_terms(window, reference, surprise=40.0)
    assert not telling_terms(window, reference, inflation=8.0)


def test_a_side_without_texts_has_nothing_to_tell() -> None:
    assert telling_terms([], [["a"]]) == telling_terms([["a"]], []) == telling_terms([["a"]], [["b"]]) == []


def test_what_every_class_says_stands_for_none() -> None:
    classes = [[[*COMMON, "flight", "visa"]] * 5, [[*COMMON, "loan", "rate"]] * 5, []]
    assert class_terms(classes, 2) == [("flight", "visa"), ("loan", "rate"), ()]
    assert class_terms([], 3) == []


def test_a_word_of_the_language_tells_only_where_no_other_does() -> None:
    beside = [["to", "a", "card"]] * 10 + [["my", "card"]] * 90
    assert class_terms([[["to", "luggage"]] * 4 + [["to", "a", "flight"]] * 4], 3, [beside]) == [("flight", "luggage")]
    assert class_terms([[["to", "card"]] * 4], 3, [beside]) == [("to",)]
    assert class_terms([[["my", "card"]] * 4], 3, [beside]) == [()]


def test_a_plural_and_a_word_of_one_text_are_left_out() -> None:
    mine = [["meetings", "noon"], ["meeting", "today"], ["meetings", "today"], ["meeting"]]
    assert class_terms([mine], 3, [[["card"]] * 50]) == [("meeting", "today")]


def test_words_that_were_common_before_do_not_tell_what_came() -> None:
    reference = [["to", "pay", "card"]] * 30 + [["pay", "card"]] * 70
    window = [["to", "pay", "flight"]] * 50 + [["to", "pay", "card"]] * 50
    assert [each.term for each in telling_terms(window, reference)] == ["flight"]
    assert [each.term for each in telling_terms([["to", "pay", "card"]] * 100, reference)] == ["to"]
