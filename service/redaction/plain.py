"""Texts as detectors read them: what only looks like a digit, an at sign or a space is one, and what nobody sees is not there."""

from __future__ import annotations

import re
import unicodedata

_ODD = re.compile(
    "[\u00a0\u00ad\u034f\u061c\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\u180e\u2000-\u2015\u2024\u2027-\u202f\u205f-\u206f\u2070-\u209c"
    "\u2212\u2460-\u249b\u3000\u3002\ufe00-\ufe0f\ufe52-\ufe6b\ufeff\uff01-\uff61\U0001d7ce-\U0001d7ff\U000e0000-\U000e01ef]"
)
"""Characters that make the closer look worth while."""

_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-")
_DOTS = dict.fromkeys("\u2024\u3002\uff61\uff0e\ufe52", ".")
_UNSEEN = frozenset("\u034f\u180e") | {chr(code) for code in range(0xFE00, 0xFE10)}


def plain(text: str) -> tuple[str, list[int] | None]:
    """(the text in plain characters, for each of them where it came from); None where it is the text itself."""
    if text.isascii() or _ODD.search(text) is None:
        return text, None
    folded, origin = list[str](), list[int]()
    for at, character in enumerate(text):
        made = character if character < "\x80" else _folded(character)
        folded.append(made)
        origin.extend([at] * len(made))
    return "".join(folded), origin


def _folded(character: str) -> str:
    if character in _UNSEEN or unicodedata.category(character) == "Cf":
        return ""
    if (dash := _DASHES.get(character) or _DOTS.get(character)) is not None:
        return dash
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(character) == "Zs":
        return " "
    return unicodedata.normalize("NFKC", character)
