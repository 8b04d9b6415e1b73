from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.demo.noise import NEIGHBOURS, junk, recase, slip, type_carelessly


@given(st.text(max_size=80), st.integers(0, 2**32))
def test_a_slip_changes_the_length_by_one_letter_at_most(text: str, seed: int) -> None:
    assert abs(len(slip(text, np.random.default_rng(seed))) - len(text)) <= 1


def test_slips_are_of_four_kinds() -> None:
    rng = np.random.default_rng(3)
    kinds: Counter[str] = Counter()
    for _ in range(400):
        after = slip("great", rng)
        kinds[
            "left out"
            if len(after) == 4
            else "doubled"
            if len(after) == 6
            else "swapped"
            if sorted(after) == sorted("great")
            else "neighbour"
        ] += 1
    assert len(kinds) == 4
    assert min(kinds.values()) > 50


def test_text_without_letters_cannot_be_mistyped() -> None:
    assert slip("12 34", np.random.default_rng(0)) == "12 34"
    assert type_carelessly("", np.random.default_rng(0)) == ""


def test_neighbours_lie_beside_each_other() -> None:
    assert set(NEIGHBOURS["s"]) == {"a", "d", "w", "e"}
    assert all(NEIGHBOURS[key] for key in "abcdefghijklmnopqrstuvwxyz")


def test_most_people_type_without_a_slip_and_some_make_many() -> None:
    rng = np.random.default_rng(5)
    text = "my parcel has not arrived and nobody answers the phone"
    changed = [type_carelessly(text, rng) != text for _ in range(1_000)]
    assert 0.15 < np.mean(changed) < 0.45


def test_case_varies() -> None:
    rng = np.random.default_rng(6)
    assert {recase("Hi, where is it. Thanks.", rng) for _ in range(300)} == {
        "Hi, where is it. Thanks.",
        "hi, where is it. thanks.",
        "hi where is it thanks",
        "HI, WHERE IS IT. THANKS.",
    }


def test_junk_is_of_many_sorts() -> None:
    rng = np.random.default_rng(7)
    texts = [junk(rng) for _ in range(1_000)]
    assert all(text.strip() for text in texts)
    assert len(set(texts)) > 400
    assert any(".example" in text for text in texts)
    assert any("nicht" in text for text in texts)
    assert any(len(text) == 1 for text in texts)
