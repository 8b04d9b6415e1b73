"""Which program may work on which keys: the whole rule of upgrades in Redis.

The keys stand at a *level*, a whole number in `prefix:schema`. A program knows the newest level that it can write, and works at the one
before that as well, in the form of that level: so it can be rolled out process by process beside the program before it, and back.
Nothing raises the level by itself: `driftgate migrate` does, once no older process is left.

A step that only adds says so by its `oldest`: programs from there on go on at the new level, without what was added. Each script reads
both numbers before it does anything (`parts/common.lua`), so a program that may not is refused at once, in the middle of its work too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

NEWEST = 2
"""The newest level that this program writes."""


@dataclass(frozen=True, slots=True)
class Step:
    """Leads keys of a level up to the next one."""

    lua: str
    """Sees what `parts/common.lua` defines, and runs whole or not at all; what newer programs wrote before it is there too."""
    oldest: int
    """The newest level of the oldest program that may work on the keys afterwards."""


def _written(name: str) -> str:
    return files(__package__).joinpath(f"scripts/upgrades/{name}.lua").read_text(encoding="utf-8")


STEPS: dict[int, Step] = {1: Step(_written("counted"), oldest=2)}
"""By the level that each begins at."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an installation's keys stand; level 0 is that of none."""

    level: int
    oldest: int

    @property
    def fits(self) -> bool:
        """Whether this program may work on them, as the scripts decide it."""
        if self.level > NEWEST:
            return self.oldest <= NEWEST
        return self.level > 0 and self.level >= NEWEST - 1

    @property
    def leads_up(self) -> bool:
        """Whether every step is known from here to this program's newest level."""
        return 0 < self.level <= NEWEST and all(level in STEPS for level in range(self.level, NEWEST))

    @property
    def steps(self) -> Mapping[int, Step]:
        """Those that are left, in their order; none where there are no keys."""
        return {level: STEPS[level] for level in range(self.level or NEWEST, NEWEST) if level in STEPS}


def newest_level() -> int:
    """What this program leads keys up to."""
    return NEWEST


def oldest() -> int:
    """Who may work on keys that this program begins."""
    step = STEPS.get(NEWEST - 1)
    return NEWEST if step is None else step.oldest
