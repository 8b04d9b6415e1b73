"""The small grammar that the phrases of the demo are written in.

A file in `phrases/` holds sections (`== name`) of lines; a line that starts with `+ ` is something people add to the matter.
`[a|b|]` picks one alternative (the empty one drops it) and may nest; then each `{slot}` is filled, and at last `#` becomes any
digit and `~` one that is not 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{([a-z]+)\}")
DIGIT = re.compile(r"[#~]")
LOOSE = re.compile(r"\s+([,.;:?!])")
SPACES = re.compile(r"\s{2,}")


@dataclass(frozen=True, slots=True)
class Intent:
    """What a customer may want: `lines` state the matter, `extras` are what people add to it."""

    name: str
    lines: tuple[str, ...]
    extras: tuple[str, ...]


@cache
def read(name: str) -> tuple[Intent, ...]:
    """The sections of one file of phrases."""
    text = files("service.demo").joinpath("phrases", f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_section(block) for block in text.split("\n== ")[1:])


def _section(block: str) -> Intent:
    name, *lines = block.strip().split("\n")
    extras = tuple(line.removeprefix("+ ") for line in lines if line.startswith("+ "))
    return Intent(name, tuple(line for line in lines if not line.startswith("+ ")), extras)


def pick(options: Sequence[str], rng: np.random.Generator) -> str:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def expand(line: str, slots: Callable[[str], Sequence[str]], rng: np.random.Generator) -> str:
    """One sentence of the grammar; `slots` gives a slot's fillings, which may hold slots themselves."""
    while "[" in line:
        line = CHOICE.sub(lambda found: pick(found[1].split("|"), rng), line)
    while "{" in line:
        line = SLOT.sub(lambda found: pick(slots(found[1]), rng), line)
    line = DIGIT.sub(lambda found: str(int(rng.integers(found[0] == "~", 10))), line)
    return SPACES.sub(" ", LOOSE.sub(r"\1", line)).strip()
