"""What a check found: a figure beside its limits, examples, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from service.errors import InputError

EXAMPLES = 5
"""Shown of each check."""


class Outcome(StrEnum):
    """Worst last."""

    SKIPPED = "not checked"
    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest figures that pass, and that are only warned of."""

    warn: float
    fail: float


@dataclass(frozen=True, slots=True)
class Kind:
    """What is looked at, the limits of its figure, and what to do beyond them."""

    title: str
    limit: Limit
    todo: str
    counted: bool = False
    """The figure is a number of things, not a share of the rows."""


_NEVER = math.inf

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "empty": Kind("empty set", Limit(0, 0), "give rows, or leave the set out", counted=True),
        "embedder": Kind(
            "embedded by another model",
            Limit(0, _NEVER),
            "add the set again with `driftgate dataset add`: its vectors can't be compared",
            counted=True,
        ),
        "unreadable": Kind("lines that can't be read", Limit(0, 0.01), "mend or remove these lines: `driftgate dataset add` refuses them"),
        "unlabelled": Kind("rows without label", Limit(0, 0.01), "label them, or move them to the pool"),
        "untimed": Kind("rows without time", Limit(0, _NEVER), "give every row its time, or none of them"),
        "untagged": Kind(
            "rows without a tag", Limit(0.01, _NEVER), "give every row every tag: a segment is judged by the rows that carry it"
        ),
        "repeated_ids": Kind("repeated ids", Limit(0, 0), "give every row an id of its own: versions are compared by them"),
        "repeated": Kind("repeated contents", Limit(0.01, 0.1), "keep one row of each content, or as many as traffic has"),
        "near_repeated": Kind("near-copies of each other", Limit(0.02, 0.2), "keep one row of each: copies weigh more than their share"),
        "contradicted": Kind("same content, other label", Limit(0, 0.01), "decide which label is right, or write down that both are"),
        "near_contradicted": Kind("near-copies with other labels", Limit(0.005, 0.05), "decide which label is right"),
        "one_class": Kind(
            "one class only", Limit(0, 0), "add rows of the other classes: nothing can be learned or measured from one", counted=True
        ),
        "rare_classes": Kind(
            "classes with fewer than 10 rows",
            Limit(0, _NEVER),
            "add rows to these classes, or merge them: nothing sure can be said of so few",
            counted=True,
        ),
        "imbalance": Kind(
            "largest class over the median one", Limit(20, _NEVER), "add rows to the small classes, or weigh them", counted=True
        ),
        "unknown_labels": Kind("labels outside the scheme", Limit(0, 0), "mend the labels, or add the classes to the monitor's `classes`"),
        "absent_classes": Kind(
            "classes that the other set lacks", Limit(0, _NEVER), "add rows of these classes to the other set", counted=True
        ),
        "blank": Kind("blank contents", Limit(0, 0.01), "remove the rows that hold nothing"),
        "garbled": Kind("garbled contents", Limit(0.001, 0.01), "read the source anew with the encoding that it was written in"),
        "unlike": Kind(
            "contents written or exposed unlike training's", Limit(0.1, 0.5), "make sure that the set comes from where training's came"
        ),
        "language": Kind(
            "language or spelling unlike training's",
            Limit(0.1, 0.5),
            "look whether rows are in a language that training lacks: add training rows in it, or leave them out; else mend their spelling",
        ),
        "scripts": Kind("scripts unlike training's", Limit(0.05, 0.5), "add training rows in these scripts, or leave the rows out"),
        "empty_cells": Kind(
            "clusters that a tag's value never reaches",
            Limit(0, _NEVER),
            "add rows of these values there: by their shares there should be some",
            counted=True,
        ),
        "shared_ids": Kind("ids in both sets", Limit(0, 0.001), "remove the rows from one of the sets"),
        "shared": Kind("contents in both sets", Limit(0, 0.01), "remove the rows from training: what was trained on is no test"),
        "near_shared": Kind("near-copies in both sets", Limit(0.02, 0.05), "look at the pairs, and remove the copies from training"),
    }
)
"""By name, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of finding in one set, or between two. `value` is None where it could not be looked for."""

    kind: str
    about: str
    """The set: `train`; or two: `golden in train`."""
    value: float | None
    says: str
    examples: tuple[str, ...] = ()
    limit: Limit = Limit(0, 0)
    pairs: tuple[tuple[str, str], ...] = ()
    """Between two sets: the ids of all rows found, and of what they stand beside."""

    @property
    def outcome(self) -> Outcome:
        """Beyond which limit the figure lies."""
        if self.value is None:
            return Outcome.SKIPPED
        return Outcome.FAIL if self.value > self.limit.fail else Outcome.WARN if self.value > self.limit.warn else Outcome.PASS

    @property
    def todo(self) -> str:
        """'' where nothing has to be done."""
        return KINDS[self.kind].todo if self.outcome in {Outcome.WARN, Outcome.FAIL} else ""


def limits_of(asked: Iterable[str]) -> Mapping[str, Limit]:
    """Those of every kind, some as asked: `near_shared=0.05` moves the limit of a failure, `near_shared=0.01:0.05` both.

    InputError says what may be given.
    """
    found = {name: kind.limit for name, kind in KINDS.items()}
    for each in asked:
        name, _, figures = each.partition("=")
        if name not in KINDS:
            raise InputError("use", f"--limit {each}: no check {name!r}; there are {', '.join(KINDS)}")
        first, separator, second = figures.partition(":")
        fail = _figure(each, second if separator else first)
        found[name] = Limit(_figure(each, first) if separator else min(found[name].warn, fail), fail)
        if found[name].warn > found[name].fail:
            raise InputError(
                "use", f"--limit {each}: the limit of a warning lies above that of a failure; write WARN:FAIL, the smaller first"
            )
    return found


def worst(checks: Iterable[Check]) -> Outcome:
    """Of all checks; not checked if there is none."""
    order = list(Outcome)
    return max((check.outcome for check in checks), key=order.index, default=Outcome.SKIPPED)


def _figure(asked: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise InputError(
            "use", f"--limit {asked}: expected NAME=FAIL or NAME=WARN:FAIL with figures of at least 0, like near_shared=0.01:0.05"
        )
    return value
