"""What hands do to text, and text that is no question at all."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from service.demo.grammar import expand, pick, read

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
CARE = ((0.6, 0.0), (0.28, 0.012), (0.12, 0.04))
"""How carefully people type: share of the people, slips per character."""


def _neighbours() -> dict[str, str]:
    near: dict[str, str] = {}
    for row, keys in enumerate(KEYS):
        for column, key in enumerate(keys):
            beside = keys[max(column - 1, 0) : column] + keys[column + 1 : column + 2]
            above = KEYS[row - 1][column : column + 2] if row else ""
            near[key] = beside + above
    return near


NEIGHBOURS: Mapping[str, str] = _neighbours()


def slip(text: str, rng: np.random.Generator) -> str:
    """One typing error: a neighbouring key, a letter left out, doubled or swapped with the next."""
    letters = [i for i, letter in enumerate(text) if letter.lower() in NEIGHBOURS]
    if not letters:
        return text
    at = letters[int(rng.integers(len(letters)))]
    before, letter, after = text[:at], text[at], text[at + 1 :]
    match int(rng.integers(4)):
        case 0:
            return before + pick(NEIGHBOURS[letter.lower()], rng) + after
        case 1:
            return before + after
        case 2:
            return before + letter + letter + after
        case _:
            return before + after[:1] + letter + after[1:]


def type_carelessly(text: str, rng: np.random.Generator) -> str:
    """The text as somebody types it: most people make no slip, a few make many."""
    rate = CARE[int(rng.choice(len(CARE), p=[share for share, _ in CARE]))][1]
    for _ in range(int(rng.binomial(len(text), rate))):
        text = slip(text, rng)
    return text


def recase(text: str, rng: np.random.Generator) -> str:
    """Case and stops as people write in chats: often none."""
    style = rng.random()
    if style < 0.55:
        return text
    if style < 0.75:
        return text.lower()
    if style < 0.97:
        return re.sub(r"[.,:](?=\s|$)", "", text.lower())
    return text.upper()


LINKS = ("http://win~#.example", "http://deal~#.example", "www.best~#.example", "top~#.example/now")
MASHED = 0.25
"""Share of the junk that is keyboard mash; the sections of `phrases/junk.txt` share the rest."""


def junk(rng: np.random.Generator) -> str:
    """A message without any question in it: mash, adverts, other people's auto-replies, machine text, next to nothing."""
    if rng.random() < MASHED:
        return _mash(rng)
    sections = read("junk")
    lines = sections[int(rng.integers(len(sections)))].lines
    return expand(pick(lines, rng), {"link": LINKS}.__getitem__, rng)


def _mash(rng: np.random.Generator) -> str:
    """What a cat on the keyboard, or a bored child, leaves."""
    words = []
    for _ in range(int(rng.integers(1, 6))):
        keys = KEYS[int(rng.choice(3, p=[0.25, 0.6, 0.15]))]
        words.append("".join(pick(keys, rng) for _ in range(int(rng.integers(3, 12)))))
    return " ".join(words) + pick(("", "", ";;", "''"), rng)
