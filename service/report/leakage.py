"""What of the held-out sets was trained on, by id, content or near-copy, and how much of their accuracy stands on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.copies import FALSE_FLAGS
from detectors.performance import share
from service.checking import KINDS, Check, Outcome, Rows, overlaps, shared_rows
from service.records import Measured
from service.report.checked import sets_of, shown, standing_of
from service.report.material import Material
from service.report.parts import Cell, Column, Figure, Missing, Section, Table, Unit

_NAME, _TITLE = "leakage", "Leakage"
_ROWS, _TRAINING = 20, "train"
_Z = 1.96
_HOW = {"shared_ids": "id", "shared": "content", "near_shared": "near-copy"}


@dataclass(frozen=True, slots=True, eq=False)
class _Leak:
    """A held-out set, and which of its rows stand in training: row → row there, and how it was found."""

    rows: Rows
    training: Rows
    pairs: Mapping[int, tuple[int, str]]

    @property
    def near(self) -> int:
        """Found by likeness alone, of which some are no copies."""
        return sum(how == _HOW["near_shared"] for _, how in self.pairs.values())

    @property
    def surely(self) -> int:
        """Found by id or content."""
        return len(self.pairs) - self.near

    @property
    def share(self) -> Measured:
        """Of rows that leaked, less the near-copies that are found where there are none: at the lower end the most that chance finds."""
        rows = len(self.rows)
        false = FALSE_FLAGS * rows
        found, least = (_share(self.surely + max(0.0, self.near - by_chance), rows) for by_chance in (false, false + _Z * math.sqrt(false)))
        return Measured(found.estimate, least.low, found.high)

    @property
    def accuracy(self) -> tuple[Measured, Measured] | None:
        """Of the model's answers: on all rows, and on those that did not leak; None unless it answered some of both."""
        known = np.array([bool(answer and label) for answer, label in zip(self.rows.answers, self.rows.labels, strict=False)], bool)
        leaked = np.isin(np.arange(len(self.rows)), list(self.pairs))
        if len(known) < len(self.rows) or not (known & leaked).any() or not (known & ~leaked).any():
            return None
        right = np.array([answer == label for answer, label in zip(self.rows.answers, self.rows.labels, strict=True)], bool)
        return _mean(right, known), _mean(right, known & ~leaked)


def leakage(material: Material) -> Section:
    """Training against the golden set and the challenge set, and these against each other."""
    sets, missing = sets_of(material)
    checks = overlaps(sets, material.likeness)
    leaks = list(_leaks(sets, material))
    if not checks:
        why = f"{missing[0].what}: {missing[0].why}" if missing else "no set holds rows"
        said = f"Not known: needs training and a held-out set; {why}."
        return Section(_NAME, _TITLE, standing_of(checks), said, missing=tuple(missing))
    return Section(
        _NAME,
        _TITLE,
        standing_of(checks),
        " ".join(_said(leaks, checks)),
        todo=_todo(leaks, checks, material.monitor),
        urgency=_urgency(leaks, checks),
        figures=tuple(_figures(leaks)),
        tables=tuple(_tables(leaks, checks)),
        missing=(*missing, *_unchecked(checks)),
    )


def _leaks(sets: Sequence[Rows], material: Material) -> Iterator[_Leak]:
    named = {rows.name: rows for rows in sets if len(rows)}
    training = named.pop(_TRAINING, None)
    if training is not None:
        yield from (_Leak(rows, training, _pairs(rows, training, material)) for rows in named.values())


def _pairs(rows: Rows, training: Rows, material: Material) -> Mapping[int, tuple[int, str]]:
    """The surest way of finding each counts."""
    found = shared_rows(rows, training, material.likeness)
    return {i: (there, _HOW[kind]) for kind in ("shared_ids", "near_shared", "shared") for i, there in found[kind].items()}


def _said(leaks: Sequence[_Leak], checks: Sequence[Check]) -> Iterator[str]:
    for leak in leaks:
        ways = [how for _, how in leak.pairs.values()]
        parts = ", ".join(f"{ways.count(how):,} by {how}" for how in _HOW.values())
        share = f"{leak.share.estimate:.1%}, {leak.share.low:.1%} to {leak.share.high:.1%}"
        yield f"Of {len(leak.rows):,} {leak.rows.name} rows, {share}, stand in training: found were {parts}."
        if leak.near:
            yield f"Some {FALSE_FLAGS * len(leak.rows):,.0f} near-copies are found where there are none, and not counted in the share."
        if leak.accuracy is not None:
            whole, clean = leak.accuracy
            yield f"The model is right on {whole.estimate:.1%} of them, on {clean.estimate:.1%} of those that did not leak."
    between = [check for check in checks if check.about == "golden in challenge" and check.value]
    yield from (f"{check.about}: {check.says} ({KINDS[check.kind].title})." for check in between)


def _todo(leaks: Sequence[_Leak], checks: Sequence[Check], monitor: str) -> str:
    """What is surely a copy is to be removed, what is probably one to be looked at."""
    beyond = [check for check in checks if check.outcome in {Outcome.FAIL, Outcome.WARN}]
    if not beyond:
        return ""
    worst = max(leaks, key=lambda leak: leak.share.low, default=None)
    if worst is None or not worst.pairs:
        return f"{beyond[0].about}: {beyond[0].todo}"
    name = worst.rows.name
    steps = [f"remove the {worst.surely:,} rows of {name} that stand in training by id or content from it"] if worst.surely else []
    steps += [f"look at the {worst.near:,} near-copies"] if worst.near else []
    steps += ["train anew and measure again"] if worst.surely else []
    said = ", ".join(steps)
    return f"{said[0].upper()}{said[1:]}; all pairs: `driftgate dataset check --monitor {monitor} --json`"


def _urgency(leaks: Sequence[_Leak], checks: Sequence[Check]) -> float:
    """The share of a test that proves nothing, at least: of the worst set, where a limit is passed."""
    beyond = any(check.outcome in {Outcome.FAIL, Outcome.WARN} for check in checks)
    return max((leak.share.low for leak in leaks), default=0.0) if beyond else 0.0


def _figures(leaks: Sequence[_Leak]) -> Iterator[Figure]:
    for leak in leaks:
        yield Figure(f"{leak.rows.name} rows that stand in training", leak.share)
        if leak.accuracy is not None:
            yield Figure(f"accuracy on {leak.rows.name}", leak.accuracy[0])
            yield Figure(f"accuracy on {leak.rows.name} rows that did not leak", leak.accuracy[1])


def _tables(leaks: Sequence[_Leak], checks: Sequence[Check]) -> Iterator[Table]:
    heads = (Column("sets"), Column("by"), Column("share", Unit.SHARE), Column("found"), Column(""))
    found = tuple((check.about, KINDS[check.kind].title, check.value, check.says, str(check.outcome)) for check in checks)
    yield Table("Overlaps", heads, found)
    for leak in leaks:
        if leak.pairs:
            named = ("id", "in training", "by", "content", "content in training")
            rows = tuple(_row(leak, at) for at in sorted(leak.pairs, key=lambda at: list(_HOW.values()).index(leak.pairs[at][1]))[:_ROWS])
            title = f"Rows of {leak.rows.name} that stand in training"
            yield Table(title, tuple(map(Column, named)), rows, max(0, len(leak.pairs) - _ROWS))


def _row(leak: _Leak, at: int) -> tuple[Cell, ...]:
    other, how = leak.pairs[at]
    ours, theirs = leak.rows.samples[at], leak.training.samples[other]
    return ours.id, theirs.id, how, *(shown(s.payload) if isinstance(s.payload, str) else None for s in (ours, theirs))


def _unchecked(checks: Sequence[Check]) -> Iterator[Missing]:
    for check in checks:
        if check.outcome == Outcome.SKIPPED:
            yield Missing(f"{KINDS[check.kind].title}: {check.about}", check.says, "add the sets again with one model, and rows enough")


def _mean(right: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> Measured:
    return _share(float((right & chosen).sum()), int(chosen.sum()))


def _share(hits: float, rows: int) -> Measured:
    found = share(hits, rows)
    return Measured(found.estimate, found.low, found.high)
