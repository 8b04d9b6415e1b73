"""What is missing, repeated, contradicted, rare or badly written, in every labelled set and in recent traffic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.checking import KINDS, Check, Outcome, Rows, within
from service.report.checked import failing, sets_of, shown, standing_of, traffic_of
from service.report.material import Material
from service.report.parts import Cell, Column, Figure, Missing, Section, Table, Unit

_NAME, _TITLE = "data_quality", "Data quality"
_ROWS = 20
_SPOILT = ("blank", "garbled")
_SHOWN = ("repeated", "near_repeated", "contradicted", "blank", "garbled", "unlike", "language")
"""Shares that every set is shown with."""


def data_quality(material: Material) -> Section:
    """The same checks as `driftgate dataset check`, so that both say the same."""
    sets, missing = sets_of(material)
    traffic = traffic_of(material)
    if isinstance(traffic, Rows):
        sets.append(traffic)
    else:
        missing.append(traffic)
    checks = within(sets, material.likeness, classes=material.settings.classes)
    return Section(
        _NAME,
        _TITLE,
        standing_of(checks),
        _said(sets, checks),
        todo=_todo(checks),
        urgency=_urgency(checks),
        figures=tuple(_figures(checks)),
        tables=tuple(_tables(sets, checks)),
        missing=(*missing, *_unchecked(checks)),
    )


def _said(sets: Sequence[Rows], checks: Sequence[Check]) -> str:
    if not sets:
        return "Not known: there is neither a labelled set nor recent traffic."
    looked = ", ".join(f"{rows.name} ({len(rows):,})" for rows in sets)
    beyond = failing(checks)
    if not beyond:
        return f"All {len(checks)} checks of {looked} pass."
    failed = sum(check.outcome == Outcome.FAIL for check in beyond)
    named = "; ".join(f"{check.about}: {KINDS[check.kind].title}, {check.says}" for check in beyond[:2])
    return f"Of {len(checks)} checks of {looked}, {failed} fail and {len(beyond) - failed} warn. {named}."


def _todo(checks: Sequence[Check]) -> str:
    beyond = failing(checks)
    return f"{beyond[0].about}: {beyond[0].todo}" if beyond else ""


def _urgency(checks: Sequence[Check]) -> float:
    """The largest share of rows concerned, of what fails; a tenth of it of what only warns."""
    weigh = {Outcome.FAIL: 1.0, Outcome.WARN: 0.1}
    shares = ((check.value or 0.0) * weigh[check.outcome] for check in failing(checks) if not KINDS[check.kind].counted)
    counted = (0.01 * weigh[check.outcome] for check in failing(checks) if KINDS[check.kind].counted)
    return min(1.0, max((*shares, *counted), default=0.0))


def _figures(checks: Sequence[Check]) -> Iterator[Figure]:
    if not checks:
        return
    outcomes = [check.outcome for check in checks]
    yield Figure("checks that fail", outcomes.count(Outcome.FAIL), Unit.COUNT)
    yield Figure("checks that warn", outcomes.count(Outcome.WARN), Unit.COUNT)
    spoilt = [check.value for check in checks if check.kind in _SPOILT and check.about == "production" and check.value is not None]
    if spoilt:
        yield Figure("traffic that is blank or garbled", sum(spoilt))


def _tables(sets: Sequence[Rows], checks: Sequence[Check]) -> Iterator[Table]:
    beyond = failing(checks)
    if beyond:
        heads = ("", "set", "check", "found", "examples")
        rows = tuple(_row(check) for check in beyond[:_ROWS])
        yield Table("Checks that do not pass", tuple(map(Column, heads)), rows, max(0, len(beyond) - _ROWS))
    if sets:
        columns = (Column("set"), Column("rows", Unit.COUNT), *(Column(KINDS[kind].title, Unit.SHARE) for kind in _SHOWN))
        yield Table("Sets", columns, tuple(_profile(rows, checks) for rows in sets))


def _row(check: Check) -> tuple[Cell, ...]:
    return str(check.outcome), check.about, KINDS[check.kind].title, check.says, shown("; ".join(check.examples))


def _profile(rows: Rows, checks: Sequence[Check]) -> tuple[Cell, ...]:
    own = {check.kind: check.value for check in checks if check.about.split(" against ", maxsplit=1)[0] == rows.name}
    return rows.name, len(rows), *(own.get(kind) for kind in _SHOWN)


def _unchecked(checks: Sequence[Check]) -> Iterator[Missing]:
    for check in checks:
        if check.outcome == Outcome.SKIPPED:
            yield Missing(f"{KINDS[check.kind].title}: {check.about}", check.says, "add rows, or the payloads that vectors were made of")
