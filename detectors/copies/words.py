"""Texts as words: without case and punctuation, in any script."""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeAlias

Words: TypeAlias = tuple[str, ...]

LONG = 48
"""Words beyond which a text is long: it is not laid beside others word by word."""

_UNSPACED = ((0x0E00, 0x0EFF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF))
"""Scripts that set no spaces, or whose syllables say enough: each letter is a word."""


class _Spacing(dict[int, str]):
    """What each letter becomes, as far as letters have come: a text of any length is translated at once."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        alone = any(first <= code <= last for first, last in _UNSPACED)
        self[code] = " " if not letter.isalnum() else f" {letter} " if alone else letter
        return self[code]


_SPACING = _Spacing()


def words_of(text: str) -> Words:
    """Of the whole text; of one that holds nothing but punctuation, that.

    Examples
    --------
    >>> words_of("Where's my REFUND?!")
    ('where', 's', 'my', 'refund')
    """
    looked = text.casefold()
    return tuple(looked.translate(_SPACING).split() or looked.split())


def content_of(words: Words) -> str:
    """What makes texts the same, '' of a text that holds nothing; of a long one a hash, as there may be many."""
    joined = " ".join(words)
    return joined if len(words) <= LONG else blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
