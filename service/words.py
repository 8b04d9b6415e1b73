"""Texts as words, of any script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_TOKEN = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+|[^\W_]+(?:['’][^\W_]+)*")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_LONGEST = 40


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
