"""Copies are told from what is merely alike, among vectors, texts and images, with a limit that sets full of copies don't move."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.copies import duplicates
from detectors.copies.duplicates import FALSE_FLAGS, limit, near_rows
from detectors.copies.grams import Grams
from detectors.copies.pictures import SIDE, Pictures
from detectors.copies.wording import Wording
from detectors.copies.words import words_of

DRINKS = ("coffee", "tea", "cocoa", "water", "juice", "milk", "lemonade", "soda", "cider", "tonic", "broth", "punch")
PLACES = ("kitchen", "garden", "office", "attic", "cellar", "garage", "library", "hallway", "balcony", "bathroom", "bedroom", "porch")
WORDS = np.array([a + b for a in ("re", "con", "ex", "in", "per", "sub") for b in ("fund", "tract", "port", "form", "ceive", "press")])


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def orders() -> list[str]:
    """Requests that differ in one word or two by nature."""
    return [f"please bring some {drink} to the {place}" for drink in DRINKS for place in PLACES]


def sentences(n: int, seed: int) -> list[str]:
    return [" ".join(seeded(seed + i).choice(WORDS, 7)) for i in range(n)]


# --- limits ------------------------------------------------------------------------------------------------------------


def test_few_natural_rows_lie_beyond_the_limit() -> None:
    natural = seeded().random(10_000)
    assert (natural > limit(natural, np.full(10, 9.0))).mean() == pytest.approx(FALSE_FLAGS, abs=2e-4)


def test_a_set_full_of_copies_does_not_hide_those_of_others() -> None:
    natural, forged = np.concatenate([np.zeros(500), np.full(500, 9.0)]), np.full(100, 8.0)
    assert limit(natural, forged) == 8.0
    assert limit(np.empty(0), forged) == 8.0


# --- vectors -----------------------------------------------------------------------------------------------------------


def cloud(n: int, seed: int) -> NDArray[np.float32]:
    return seeded(seed).standard_normal((n, 12)).astype(np.float32)


def test_vectors_near_to_a_row_are_copies_of_it_wherever_it_lies() -> None:
    known = np.concatenate([cloud(400, 1), 0.01 * cloud(400, 2) + 9])  # a wide group and a narrow one
    asked = np.concatenate(
        [known[:40] + 0.05 * cloud(40, 3), known[400:440] + 0.0005 * cloud(40, 4), cloud(300, 5), 0.01 * cloud(300, 6) + 9]
    )
    found = near_rows(asked, known, rng=seeded())
    assert found.found[:80].mean() > 0.95
    assert found.row[:40].tolist() == list(range(40))
    assert found.found[80:].mean() <= 0.02


def test_equal_vectors_are_copies_even_where_all_are_equal() -> None:
    assert near_rows(np.ones((3, 4), np.float32), np.ones((30, 4), np.float32), rng=seeded()).found.all()


def test_cells_find_what_a_whole_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    centres = 3 * cloud(20, 7)
    known = centres[seeded(1).integers(0, 20, 3_000)] + cloud(3_000, 8)
    asked = np.concatenate([known[:50] + 0.03 * cloud(50, 9), centres[seeded(2).integers(0, 20, 200)] + cloud(200, 10)])
    exact = near_rows(asked, known, rng=seeded())
    monkeypatch.setattr(duplicates, "_EXACT", 1_000)
    monkeypatch.setattr(duplicates, "_FITTED", 1_000)
    monkeypatch.setattr(duplicates, "_CELLS", 16)
    cells = near_rows(asked, known, rng=seeded())
    assert cells.row[:50].tolist() == exact.row[:50].tolist() == list(range(50))
    assert cells.found[:50].all()
    assert cells.found[50:].mean() <= 0.03


# --- texts -------------------------------------------------------------------------------------------------------------


def test_words_of_other_scripts_are_letters_and_symbols_alone_are_kept() -> None:
    assert words_of("东京 2024") == ("东", "京", "2024")
    assert words_of("?! ...") == ("?!", "...")
    assert words_of("   ") == ()


def test_case_punctuation_and_slips_make_copies() -> None:
    texts = sentences(300, 0)
    asked = [texts[3].upper() + "!!", texts[4].replace(" ", ",  "), texts[5].replace("re", "er").replace("in", "ni"), texts[6] + "s"]
    found = Wording(texts, rng=seeded()).copies(asked + sentences(200, 10_000))
    assert found.found[:4].all()
    assert found.row[:4].tolist() == [3, 4, 5, 6]
    assert found.found[4:].mean() <= 0.03


def test_what_differs_in_a_word_by_nature_is_no_copy_and_what_makes_no_sense_is() -> None:
    texts = orders()
    held_out = [text for i, text in enumerate(texts) if i % 5 == 0]
    known = Wording([text for i, text in enumerate(texts) if i % 5] + sentences(100, 0), rng=seeded())
    assert known.copies(held_out).found.mean() <= 0.1
    odd = [sentence.replace(sentence.split()[3], "lemonade", 1) for sentence in sentences(100, 0)]
    assert known.copies(odd).found.mean() > 0.9


@pytest.mark.parametrize("way", ["left out", "put in", "swapped"])
def test_a_word_more_or_less_or_two_swapped_make_copies(way: str) -> None:
    texts = sentences(300, 0)
    changed = {
        "left out": lambda w: [*w[:3], *w[4:]],
        "put in": lambda w: [*w[:3], w[6], *w[3:]],
        "swapped": lambda w: [w[1], w[0], *w[2:]],
    }
    found = Wording(texts, rng=seeded()).copies([" ".join(changed[way](text.split())) for text in texts[:40]] + sentences(200, 10_000))
    assert found.found[:40].mean() > 0.9
    assert found.found[40:].mean() <= 0.03


def test_requests_that_differ_by_nature_are_no_copies_for_being_longer() -> None:
    texts = [f"{opening}{order}" for order in orders() for opening in ("", "hello ")]
    rng = seeded()
    order = rng.permutation(len(texts))
    known, asked = ([texts[i] for i in part] for part in (order[60:], order[:60]))
    assert Wording(known, rng=rng).copies(asked).found.mean() <= 0.1


def test_twins_are_rows_that_differ_by_slips_alone() -> None:
    texts = [*sentences(120, 0), *(f"{text}x" for text in sentences(3, 0))]
    drawn, row = Wording(texts, rng=seeded()).twins
    assert {(a, b) for a, b in zip(drawn.tolist(), row.tolist(), strict=True) if b >= 0 and a >= 120} == {(120, 0), (121, 1), (122, 2)}


def test_sets_too_small_to_learn_from_know_equal_texts_alone() -> None:
    known = Wording(["where is it", "who are you"], rng=seeded())
    found = known.copies(["Where is it?", "where si it", ""])
    assert (found.found.tolist(), found.row[0]) == ([True, False, False], 0)
    assert not len(known.twins.drawn)
    assert not Wording([], rng=seeded()).copies(["a", ""]).found.any()


def prompted(n: int, seed: int) -> list[str]:
    """Long texts that open and close alike and say something else in between."""
    opening, closing = " ".join(f"rule{i} holds" for i in range(60)), " ".join(f"sign{i} here" for i in range(40))
    return [f"{opening} {' '.join(seeded(seed + i).choice(WORDS, 5))} order {seed + i} {closing}" for i in range(n)]


@pytest.mark.parametrize("others", [0, 200])
def test_long_texts_with_one_opening_and_one_closing_are_no_copies(others: int) -> None:
    texts = prompted(120, 0) + sentences(others, 5_000)
    known = Wording(texts, rng=seeded())
    assert known.copies(prompted(100, 1_000)).found.mean() <= 0.02
    assert (known.twins.row[known.twins.drawn < 120] >= 0).mean() <= 0.02


def test_copies_of_long_texts_are_found_wherever_they_were_changed() -> None:
    texts = prompted(120, 0)
    at = [texts[i].split() for i in range(30)]
    changed = [" ".join([*words[:place], "swapped", *words[place + 1 :]]) for words in at for place in (0, 60, 121, len(words) - 1)]
    found = Wording(texts, rng=seeded()).copies([*(text.upper() for text in texts[:30]), *changed])
    assert found.row.tolist() == [*range(30), *(i for i in range(30) for _ in range(4))]
    assert found.found.all()


def test_long_texts_that_are_plain_prose_are_told_apart_and_few_are_enough() -> None:
    prose = [" ".join(seeded(i).choice(WORDS, 40)) + " " + " ".join(f"w{j}" for j in seeded(i).integers(0, 900, 60)) for i in range(90)]
    known = Wording(prose[:10], rng=seeded())
    found = known.copies([prose[3].replace("re", "er", 1), f"well {prose[4]}", *prose[10:]])
    assert found.row[:2].tolist() == [3, 4]
    assert found.found.tolist() == [True, True, *[False] * 80]


def test_the_same_seed_gives_the_same_answer() -> None:
    asked = [text[:-1] for text in sentences(50, 0)]
    one, two = (Wording(sentences(200, 0), rng=seeded(4)).copies(asked) for _ in range(2))
    assert np.array_equal(one.found, two.found)
    assert np.array_equal(one.row, two.row)


def test_what_shares_no_letters_has_no_neighbour_and_none_is_its_own() -> None:
    index = Grams.of(["where is my parcel", "where is my order"])
    assert index.nearest(["qqqq xxxx"], 2).tolist() == [[-1, -1]]
    assert index.nearest(["where is my parcel"], 2, without=np.array([0])).tolist() == [[1, -1]]
    assert Grams.of([]).nearest(["a"], 2).tolist() == [[-1, -1]]


# --- images ------------------------------------------------------------------------------------------------------------


def scenes(n: int, seed: int) -> NDArray[np.float32]:
    """Smooth pictures."""
    rng, waves = seeded(seed), np.arange(SIDE) / SIDE
    down, across, turn, up = rng.uniform((1, 1, 0, 0.1), (5, 5, 6, 0.4), (n, 3, 4)).transpose(2, 0, 1)
    angle = down[..., None, None] * waves[:, None] + across[..., None, None] * waves + turn[..., None, None]
    return np.asarray(np.clip(0.5 + (up[..., None, None] * np.sin(2 * np.pi * angle)).sum(1), 0, 1), np.float32)


def test_cropped_and_noisy_pictures_are_copies() -> None:
    known = scenes(150, 0)
    noisy = known[:15] + 0.04 * seeded(1).standard_normal((15, SIDE, SIDE)).astype(np.float32)
    larger = np.repeat(np.repeat(known[20:30, 1:27, 2:28], 14, 1), 14, 2).reshape(10, 28, 13, 28, 13).mean((2, 4))
    found = Pictures(known, rng=seeded()).copies(np.concatenate([noisy, larger, scenes(100, 9)]))
    assert found.found[:25].mean() > 0.9
    assert found.row[:25].tolist() == [*range(15), *range(20, 30)]
    assert found.found[25:].mean() <= 0.03


def test_few_or_no_pictures_have_no_copies() -> None:
    assert not Pictures(scenes(5, 0), rng=seeded()).copies(scenes(5, 0)).found.any()
    assert len(Pictures(scenes(30, 0), rng=seeded()).copies(scenes(0, 0)).found) == 0
