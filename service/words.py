"""Texts as words, of any script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

_TOKEN = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+|[^\W_]+(?:['’][^\W_]+)*")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_LONGEST = 40
_NAMING = 3
"""Words of a name."""
ASKED = 8
"""Words of a place that are asked for, so that there are some left to tell it from another of the same name."""


def words(text: str) -> list[str]:
    """Words, folded for case; of scripts that set no spaces, pairs of neighbouring letters.

    >>> words("Don't PANIC: 東京都 2 naïve_tests")
    ["don't", 'panic', '東京', '京都', '2', 'naïve', 'tests']
    """
    return [word for token in _TOKEN.findall(text) for word in _parts(token)]


def _parts(token: str) -> Iterator[str]:
    if not _UNSPACED.match(token) or len(token) == 1:
        yield token.casefold()[:_LONGEST]
    else:
        yield from map("".join, pairwise(token))


def excerpt(text: str, most: int = 40) -> str:
    """The start of a text, cut after a whole word.

    >>> excerpt("could you tell me what I owe", 20), excerpt("what I owe", 20)
    ('could you tell me…', 'what I owe')
    """
    if len(text) <= most:
        return text
    start, inside = text[: most - 1], not text[most - 1].isspace()
    return (start.rsplit(maxsplit=1)[0] if inside and len(start.split()) > 1 else start.rstrip()) + "…"


def place_names(labels: Sequence[str], terms: Sequence[Sequence[str]], otherwise: Sequence[str]) -> list[str]:
    """A name for each place of a list, no two alike: its label where it has one, else the words that tell it, best first, else what it is
    called otherwise. Places of the same label or words get more words, and a number where there are none.

    >>> place_names(["home", "home", ""], [["list"], ["todo"], ["visa", "trip"]], [""] * 3)
    ['home: list', 'home: todo', 'visa, trip']
    """
    first = [(label,) if label else tuple(sorted(words[:_NAMING])) for label, words in zip(labels, terms, strict=True)]
    shared = Counter(first)
    parts = zip(labels, terms, otherwise, first, strict=True)
    names = [_place_name(label, words, other, shared=shared[key] > 1) for label, words, other, key in parts]
    earlier = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name} ({n + 1})" if n else name for name, n in zip(names, earlier, strict=True)]


def _place_name(label: str, terms: Sequence[str], otherwise: str, *, shared: bool) -> str:
    if label:
        more = ", ".join([word for word in terms if word != label.casefold()][: _NAMING - 1])
        return f"{label}: {more}" if shared and more else label
    return ", ".join(terms[: _NAMING + shared]) or otherwise
