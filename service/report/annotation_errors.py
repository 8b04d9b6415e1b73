"""Wrong labels: those that the model learned from, and those that it is measured by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from service.report.material import Material
from service.report.mislabelled import LabelledSide, Mislabelled, Suspect, mislabelled
from service.report.parts import Bars, Cell, Column, Figure, Missing, Section, Standing, Table, Unit
from service.screens.drawing import count, interval

_NAME, _TITLE = "annotation_errors", "Annotation errors"

_CALLED: Mapping[LabelledSide, str] = MappingProxyType(
    {"train": "training set", "golden": "golden set", "challenge": "challenge set", "returned": "labels that came back"}
)
_ACT, _WATCH = 0.03, 0.01
"""Share of labels that is surely wrong."""
_SHOWN = 20


def annotation_errors(material: Material) -> Section:
    """Every labelled set that there is, each judged by itself."""
    looked = {side: mislabelled(material, side, _SHOWN) for side in _CALLED}
    known = {side: found for side, found in looked.items() if isinstance(found, Mislabelled)}
    missing = (*(found for found in looked.values() if isinstance(found, Missing)), *_unjudged(material, known))
    if not known:
        return Section(_NAME, _TITLE, Standing.UNKNOWN, "Not known: there is no labelled set that can be judged.", missing=missing)
    surely = max(found.rate.low for found in known.values())
    return Section(
        _NAME,
        _TITLE,
        _standing(surely, known),
        " ".join(_said(known)),
        todo=_todo(material, known),
        urgency=surely,
        figures=tuple(_figures(known)),
        tables=tuple(_tables(known)),
        plots=(Bars("Wrong labels", {_CALLED[side]: found.rate for side, found in known.items()}),),
        missing=missing,
    )


def _standing(surely: float, known: Mapping[LabelledSide, Mislabelled]) -> Standing:
    if surely >= _ACT:
        return Standing.ACT
    return Standing.WATCH if surely >= _WATCH or any(found.outside for found in known.values()) else Standing.FINE


def _said(known: Mapping[LabelledSide, Mislabelled]) -> Iterator[str]:
    for side, found in known.items():
        rows = f"{count(found.likely)} rows are" if found.likely else "no row is"
        share = f"{interval(found.rate)} of {count(found.rows)} labels are {_wrong(found)}"
        yield f"Of the {_CALLED[side]}, {share}; {rows} likelier so than right."
        if found.outside:
            yield f"{count(_outside(found))} labels are none of the monitor's classes."


def _wrong(found: Mislabelled) -> str:
    """What can be said of its suspects."""
    return "wrong or ambiguous, as classes overlap" if found.ambiguous and found.likely else "wrong"


def _outside(found: Mislabelled) -> int:
    return sum(map(len, found.outside.values()))


def _todo(material: Material, known: Mapping[LabelledSide, Mislabelled]) -> str:
    """The set with most labels surely wrong; one that measures goes before one that is learned from."""
    side = max(known, key=lambda side: (known[side].rate.low >= _WATCH, side != "train", known[side].rate.low))
    found = known[side]
    if not found.likely or found.rate.low < _WATCH:
        return ""
    lists = f"`driftgate dataset errors --monitor {material.monitor} --role {side} --budget {found.likely}`"
    return f"Review the {count(found.likely)} rows of the {_CALLED[side]} that are likelier wrong than right: {lists} lists them."


def _figures(known: Mapping[LabelledSide, Mislabelled]) -> Iterator[Figure]:
    for side, found in known.items():
        yield Figure(f"wrong labels, {_CALLED[side]}", found.rate)
        yield Figure(f"rows to review, {_CALLED[side]}", found.likely, Unit.COUNT)
        if found.outside:
            yield Figure(f"labels outside the classes, {_CALLED[side]}", _outside(found), Unit.COUNT)


def _tables(known: Mapping[LabelledSide, Mislabelled]) -> Iterator[Table]:
    worst = (Column("id"), Column("text"), Column("label"), Column("suggested"))
    shares = (Column("wrong", Unit.SHARE), Column("heads for the label", Unit.SHARE), Column("neighbours for it", Unit.SHARE))
    by_class = (Column("label"), Column("rows", Unit.COUNT), Column("wrong", Unit.SHARE), Column("mostly"))
    for side, found in known.items():
        rows = tuple(_row(one) for one in found.suspects)
        title = f"Labels most probably wrong, {_CALLED[side]}"
        yield Table(title, (*worst, *shares), rows, max(0, found.likely - len(rows)))
        lines = tuple((one.label[:120], one.rows, one.wrong / one.rows, one.instead[:120]) for one in found.classes[:_SHOWN])
        yield Table(f"Classes with most wrong labels, {_CALLED[side]}", by_class, lines, max(0, len(found.classes) - len(lines)))
        if found.outside:
            yield _outside_table(side, found)


def _row(one: Suspect) -> tuple[Cell, ...]:
    return one.id[:120], one.text, one.label[:120], one.suggested[:120], one.probability, one.heads, one.neighbours


def _outside_table(side: LabelledSide, found: Mislabelled) -> Table:
    columns = (Column("label"), Column("rows", Unit.COUNT), Column("such as"))
    ordered = sorted(found.outside.items(), key=lambda item: -len(item[1]))
    lines = tuple((label[:120], len(ids), ", ".join(ids[:3])[:120]) for label, ids in ordered[:_SHOWN])
    return Table(f"Labels outside the classes, {_CALLED[side]}", columns, lines, max(0, len(ordered) - len(lines)))


def _unjudged(material: Material, known: Mapping[LabelledSide, Mislabelled]) -> Iterator[Missing]:
    for side, found in known.items():
        if found.outside:
            named = f"{count(_outside(found))} labels of the {_CALLED[side]}"
            yield Missing(named, "they are none of the monitor's classes", f"correct them, or add them to `classes` of {material.monitor}")
        if found.single:
            named = ", ".join(found.single[:5])[:120]
            what = f"classes of one row, {_CALLED[side]}: {count(len(found.single))}, such as {named}"
            yield Missing(what, "nothing speaks for or against a row alone in its class", "add rows of these classes")
        if found.unlabelled:
            yield Missing(f"{count(found.unlabelled)} rows of the {_CALLED[side]}", "they have no label", "label them, or leave them out")
