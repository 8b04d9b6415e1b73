"""Regular expressions that people configure: taken only where matching them is sure to take time in proportion to the text."""

from __future__ import annotations

import re
from importlib import import_module
from math import prod
from typing import Any

codes, parser = (import_module(f"re.{name}") for name in ("_constants", "_parser"))
"""Nothing public tells how an expression is made."""

MOST_STEPS = 1_000
"""Ways in which an expression may go on from one place of a text."""

LONGEST = 500
"""Characters of an expression."""


def bounded(text: str) -> re.Pattern[str]:
    """The expression, compiled; ValueError where it may match nothing, or take long on a text made for that."""
    if len(text) > LONGEST:
        raise ValueError(f"an expression of {len(text)} characters; at most {LONGEST} are taken")
    try:
        steps = _of_sequence(parser.parse(text))
        compiled = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r:.80} is no regular expression: {error}") from error
    if compiled.match(""):
        raise ValueError(f"{text!r:.80} matches the empty text; let it match something")
    if steps > MOST_STEPS:
        raise ValueError(
            f"{text!r:.80} may go on in {steps:g} ways from one place of a text, at most {MOST_STEPS:,} are taken: "
            "give repetitions smaller ends, and put none inside another"
        )
    return compiled


def _of_sequence(items: Any) -> float:
    return prod(_of_item(code, value) for code, value in items)


def _of_item(code: Any, value: Any) -> float:
    """In how many ways an item may match at one place."""
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        return _of_repeat(*value)
    if code is codes.BRANCH:
        return float(sum(_of_sequence(each) for each in value[1]))
    if code is codes.SUBPATTERN:
        return _of_sequence(value[-1])
    if code is codes.ATOMIC_GROUP:
        return _of_sequence(value)
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return _of_sequence(value[1])
    if code in (codes.GROUPREF, codes.GROUPREF_EXISTS, codes.GROUPREF_IGNORE):
        raise ValueError("references to groups are not taken: they can't be bounded")
    return 1.0


def _of_repeat(least: int, most: int, inner: Any) -> float:
    if most == codes.MAXREPEAT:
        raise ValueError("`*`, `+` and `{n,}` are not taken, as they have no end: write {1,64} or the like")
    ways = _of_sequence(inner)
    if ways <= 1.0:
        return float(most - least + 1)
    return float(ways ** min(most, 400)) if ways < 1e3 else float("inf")
