"""What of the held-out sets was trained on, by id, content or near-copy, and how much of their accuracy stands on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.checking import KINDS, Check, Outcome, Rows, overlaps, shared_rows
from service.report.checked import sets_of, shown, standing_of
from service.report.material import Material
from service.report.parts import Cell, Column, Figure, Missing, Section, Table, Unit

_NAME, _TITLE = "leakage", "Leakage"
_ROWS, _TRAINING = 20, "train"
_HOW = {"shared_ids": "id", "shared": "content", "near_shared": "near-copy"}


@dataclass(frozen=True, slots=True, eq=False)
class _Leak:
    """A held-out set, and which of its rows stand in training: row → row there, and how it was found."""

    rows: Rows
    training: Rows
    pairs: Mapping[int, tuple[int, str]]

    @property
    def share(self) -> float:
        return len(self.pairs) / len(self.rows)

    @property
    def accuracy(self) -> tuple[float, float, float] | None:
        """Of the model's answers: on all rows, on those that leaked, and on the others; None unless it answered some of both."""
        known = np.array([bool(answer and label) for answer, label in zip(self.rows.answers, self.rows.labels, strict=False)], bool)
        leaked = np.isin(np.arange(len(self.rows)), list(self.pairs))
        if len(known) < len(self.rows) or not (known & leaked).any() or not (known & ~leaked).any():
            return None
        right = np.array([answer == label for answer, label in zip(self.rows.answers, self.rows.labels, strict=True)], bool)
        return _mean(right, known), _mean(right, known & leaked), _mean(right, known & ~leaked)


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
        todo=_todo(leaks, checks),
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
        yield f"{len(leak.pairs):,} of {len(leak.rows):,} {leak.rows.name} rows ({leak.share:.1%}) stand in training: {parts}."
        if leak.accuracy is not None:
            whole, _, clean = leak.accuracy
            yield f"The model is right on {whole:.1%} of them, on {clean:.1%} of those that did not leak."
    between = [check for check in checks if check.about == "golden in challenge" and check.value]
    yield from (f"{check.about}: {check.says} ({KINDS[check.kind].title})." for check in between)
    if any(how == _HOW["near_shared"] for leak in leaks for _, how in leak.pairs.values()):
        yield "Fewer than 1 % of rows are taken for near-copies where there are none."


def _todo(leaks: Sequence[_Leak], checks: Sequence[Check]) -> str:
    beyond = [check for check in checks if check.outcome in {Outcome.FAIL, Outcome.WARN}]
    if not beyond:
        return ""
    worst = max(leaks, key=lambda leak: leak.share, default=None)
    if worst is None or not worst.pairs:
        return f"{beyond[0].about}: {beyond[0].todo}"
    return f"Remove the {len(worst.pairs):,} rows of {worst.rows.name} from training, train anew, and measure again"


def _urgency(leaks: Sequence[_Leak], checks: Sequence[Check]) -> float:
    """The share of a test that proves nothing: of the worst set, where a limit is passed."""
    beyond = any(check.outcome in {Outcome.FAIL, Outcome.WARN} for check in checks)
    return max((leak.share for leak in leaks), default=0.0) if beyond else 0.0


def _figures(leaks: Sequence[_Leak]) -> Iterator[Figure]:
    for leak in leaks:
        yield Figure(f"{leak.rows.name} rows that stand in training", leak.share)
        if leak.accuracy is not None:
            yield Figure(f"accuracy on {leak.rows.name}", leak.accuracy[0])
            yield Figure(f"accuracy on {leak.rows.name} rows that did not leak", leak.accuracy[2])


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


def _mean(right: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    return float(right[chosen].mean())
