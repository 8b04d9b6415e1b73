"""A verification as sections of sentences, figures, tables and plots: the verdict first, then what it stands on, then samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from service.records import Measured
from service.report.parts import Bars, Cell, Column, Figure, Lines, Missing, Picture, Section, Standing, Table, Unit
from service.report.pictures import small_png
from service.screens.drawing import percent, points
from service.verifying.gallery import KINDS, MOST, Exhibit, Shown, gallery

_SEGMENTS = 50
_STANDING: Mapping[str, Standing] = MappingProxyType(
    {"promote": Standing.FINE, "reject": Standing.ACT, "unusable": Standing.ACT, "insufficient": Standing.UNKNOWN}
)
_SETS: Mapping[str, str] = MappingProxyType({"golden": "golden: must not regress", "challenge": "challenge: what drifts"})


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """All that a report is made of. `old` and `new`: how each model is named (file, checksum, number of classes)."""

    made: float
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    verification: Mapping[str, Any]
    """With `calibration`, `latency` and `fitting` where they were measured."""
    shown: Sequence[Shown] = field(default=())
    """Sets whose rows may be looked at one by one. Not golden's *verify* part: its rows judge the next model too."""


def sections(verified: Verified) -> list[Section]:
    """In the order in which they are read."""
    found = verified.verification
    return [_verdict(found), _accuracy(found), _segments(found), *_beside(found), *_samples(verified.shown)]


# --- the verdict --------------------------------------------------------------------------------------------------


def _verdict(found: Mapping[str, Any]) -> Section:
    verdict = str(found["verdict"])
    checks = tuple(
        (_check_name(each), each["outcome"], each["says"], each["rows"] or None, each["needed"] or None)
        for each in found.get("checks") or ()
    )
    columns = (Column("test"), Column("ended"), Column("found"), Column("rows", Unit.COUNT), Column("rows needed", Unit.COUNT))
    lost, correction = found.get("lost_classes") or (), found.get("correction")
    tables = [Table("Tests, all of which must pass", columns, checks)]
    if correction:
        tables.append(_corrected(found, correction))
    return Section(
        "verdict",
        f"Verdict: {verdict}",
        _STANDING.get(verdict, Standing.UNKNOWN),
        " ".join((_sentence(found["reasons"]), _power(found), f"The new model does not know {_listed(lost)}." if lost else "")).strip(),
        todo=_todo(found),
        figures=tuple(_figures(found)),
        tables=tuple(tables),
    )


def _sentence(reasons: Sequence[str]) -> str:
    return "; ".join(reasons).rstrip(".") + "."


def _check_name(check: Mapping[str, Any]) -> str:
    return f"{str(check['name']).replace('_', ' ')} {check['about']}".strip()


def _todo(found: Mapping[str, Any]) -> str:
    missing = int(found.get("rows_missing") or 0)
    if found["verdict"] != "insufficient" or not missing:
        return ""
    return f"label {missing:,} more rows of traffic drawn at random, and add them to the golden set's verify part"


def _power(found: Mapping[str, Any]) -> str:
    """What to expect of a model that is as good as the old one."""
    power, tests = found.get("joint_power"), sum(each.get("power") is not None for each in found.get("checks") or ())
    if power is None or not tests:
        return ""
    among = "the test" if tests == 1 else f"all {tests} tests"
    return f"A model as good as the old one passes {among} on golden with probability {power:.2f}, where flips are as planned."


def _figures(found: Mapping[str, Any]) -> Iterator[Figure]:
    for name in _SETS:
        if found.get(name):
            yield Figure(f"gain on {name}", _measured(found[name]["gain"]))
    if found.get("golden"):
        golden = found["golden"]
        rate, bound = golden["negative_flip_rate"], golden["negative_flip_bound"]
        yield Figure("broken on golden, and at most", Measured(rate, 0.0, bound))
        yield Figure("golden rows", float(golden["rows"]), Unit.COUNT)
    if "rows_needed" in found:
        yield Figure("golden rows needed", float(found["rows_needed"]), Unit.COUNT)


def _corrected(found: Mapping[str, Any], correction: Mapping[str, Any]) -> Table:
    """The same rows with the labels that they had before."""
    columns = (
        Column("golden labels"),
        Column("verdict"),
        Column("old", Unit.SHARE),
        Column("new", Unit.SHARE),
        Column("relabelled", Unit.COUNT),
    )
    rows = []
    for name, each, changed in (("corrected", found, correction["relabelled"]), ("before", correction, None)):
        golden = each.get("golden") or {}
        rows.append((name, str(each["verdict"]), golden.get("old_accuracy"), golden.get("new_accuracy"), changed))
    return Table("With and without the correction of golden labels", columns, tuple(rows))


# --- accuracy -----------------------------------------------------------------------------------------------------


def _accuracy(found: Mapping[str, Any]) -> Section:
    names = ("old", "new", "gain")
    columns = (Column("set"), Column("rows", Unit.COUNT), *(Column(name, Unit.SHARE) for name in names))
    flips = (Column("mended", Unit.COUNT), Column("broken", Unit.COUNT), Column("McNemar's p"))
    there = {meaning: found[name] for name, meaning in _SETS.items() if found.get(name)}
    rows = tuple((meaning, *_row(each), f"{each['p_value']:.3g}") for meaning, each in there.items())
    bars = {f"{name}, {side}": _side(found[name], side) for name in _SETS if found.get(name) for side in ("old", "new")}
    says = "; ".join(
        f"{name}: {percent(found[name]['old_accuracy'])} before, {percent(found[name]['new_accuracy'])} now "
        f"({points(found[name]['gain']['estimate'])} points), {found[name]['positive_flips']:,} rows mended, "
        f"{found[name]['negative_flips']:,} broken"
        for name in _SETS
        if found.get(name)
    )
    table = Table("Old model against new, on the same rows", (*columns, *flips), rows)
    plots = (Bars("Accuracy", bars),) if bars else ()
    return Section("accuracy", "Accuracy", Standing.FINE, f"{says}." if says else "No rows.", tables=(table,), plots=plots)


def _row(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        found["rows"],
        _side(found, "old"),
        _side(found, "new"),
        _measured(found["gain"]),
        found["positive_flips"],
        found["negative_flips"],
    )


def _side(found: Mapping[str, Any], side: str) -> Measured | float:
    """One model's accuracy, with its interval where that was told."""
    estimate, interval = float(found[f"{side}_accuracy"]), found.get(f"{side}_accuracy_interval")
    return estimate if interval is None else Measured(estimate, *map(float, interval))


def _measured(found: Mapping[str, float]) -> Measured:
    return Measured(found["estimate"], found["low"], found["high"])


def _segments(found: Mapping[str, Any]) -> Section:
    segments, worse = found.get("segments") or (), found.get("worse_segments") or ()
    if not segments:
        return Section("segments", "Segments", Standing.UNKNOWN, "Golden rows have no segments that are tested.")
    listed = sorted(segments, key=lambda each: each["gain"]["estimate"])
    columns = (Column("segment"), Column("rows", Unit.COUNT), *(Column(name, Unit.SHARE) for name in ("old", "new", "gain")))
    more = (Column("mended", Unit.COUNT), Column("broken", Unit.COUNT), Column("ended"), Column("rows needed", Unit.COUNT))
    rows = tuple((each["segment"], *_row(each), each["outcome"], each["rows_needed"]) for each in listed[:_SEGMENTS])
    table = Table("Segments of golden, worst first", (*columns, *more), rows, max(len(listed) - _SEGMENTS, 0))
    gated = sum(each["gated"] for each in segments)
    surely = f"Surely worse (Holm): {_listed([each['segment'] for each in worse])}." if worse else "None surely got worse (Holm, 5 %)."
    says = f"{gated:,} of {len(segments):,} have the rows that a test takes; the others are told and not gated. {surely}"
    bars = Bars("Gain by segment", {each["segment"]: _measured(each["gain"]) for each in listed[:_SEGMENTS]})
    return Section("segments", "Segments", Standing.WATCH if worse else Standing.FINE, says, tables=(table,), plots=(bars,))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown


# --- beside it ----------------------------------------------------------------------------------------------------


def _beside(found: Mapping[str, Any]) -> Iterator[Section]:
    yield _calibration(found.get("calibration"))
    yield _fitting(found.get("fitting"))
    yield _latency(found.get("latency"))


def _calibration(found: Mapping[str, Any] | None) -> Section:
    if not found:
        missing = Missing("calibration", "fewer than 20 rows with a confidence", "add golden rows")
        return Section("calibration", "Calibration", Standing.UNKNOWN, "Not known.", missing=(missing,))
    change = found["change"]
    says = (
        f"The expected calibration error goes from {percent(found['old']['error'])} to {percent(found['new']['error'])} "
        f"({points(change['estimate'])}, {points(change['low'])} to {points(change['high'])} points)."
    )
    figures = tuple(
        Figure(f"calibration error, {side}", Measured(found[side]["error"], found[side]["low"], found[side]["high"]))
        for side in ("old", "new")
    )
    series = {side: tuple((each[0], each[1]) for each in found[side]["bins"]) for side in ("old", "new")}
    plot = Lines("Confidence and how often it is right, on golden", "confidence", "right", series, diagonal=True)
    return Section(
        "calibration", "Calibration", Standing.WATCH if change["low"] > 0 else Standing.FINE, says, figures=figures, plots=(plot,)
    )


def _fitting(found: Mapping[str, Any] | None) -> Section:
    title = "Training, validation and golden"
    if not found:
        return Section("fitting", title, Standing.UNKNOWN, "Not known.")
    standing = {"well": Standing.FINE, "not known": Standing.UNKNOWN}.get(found["fits"], Standing.WATCH)
    known = {name: found[name] for name in ("train", "validation", "golden") if name in found}
    bars = {name: Measured(each["accuracy"], *each["interval"]) for name, each in known.items()}
    rows = tuple((name, each["rows"], bars[name]) for name, each in known.items())
    table = Table("Accuracy of the new model", (Column("on"), Column("rows", Unit.COUNT), Column("accuracy", Unit.SHARE)), rows)
    says = f"{found['says'][:1].upper()}{found['says'][1:]}."
    return Section("fitting", title, standing, says, tables=(table,), plots=(Bars("Accuracy of the new model", bars),) if bars else ())


def _latency(found: Mapping[str, Any] | None) -> Section:
    if not found:
        return Section("latency", "Latency", Standing.UNKNOWN, "Not measured.")
    old, new, ratio = (found[name] for name in ("old_seconds", "new_seconds", "ratio"))
    says = (
        f"One sample takes the old model {1000 * old:.2f} ms and the new one {1000 * new:.2f} ms (medians of {found['rows']:,}, by turns): "
        f"{ratio['estimate']:.2f} times as long ({ratio['low']:.2f} to {ratio['high']:.2f}), measured on the machine that verified."
    )
    return Section("latency", "Latency", Standing.FINE, says)


# --- samples ------------------------------------------------------------------------------------------------------


def _samples(shown: Sequence[Shown]) -> Iterator[Section]:
    if not shown:
        return
    among = " and ".join(f"{len(each.answers):,} rows of {each.name}" for each in shown)
    for kind, found in gallery(shown).items():
        columns = (
            Column("sample"),
            Column("id"),
            Column("of"),
            Column("label"),
            Column("old"),
            Column("new"),
            Column("confidence", Unit.SHARE),
        )
        rows = tuple(_exhibit(each) for each in found[:MOST])
        table = Table(f"{KINDS[kind].capitalize()}, surest first", columns, rows, max(len(found) - MOST, 0))
        says = f"{len(found):,} of {among}. Golden rows that judge are not shown: they judge the next model too."
        yield Section(kind, f"Samples: {KINDS[kind]}", Standing.FINE, says, tables=(table,) if rows else ())


def _exhibit(found: Exhibit) -> tuple[Cell, ...]:
    return _payload(found), found.id, found.of, found.label, found.old, found.new, found.confidence


def _payload(found: Exhibit) -> Cell:
    if isinstance(found.payload, str):
        return found.payload
    png = small_png(found.payload) if isinstance(found.payload, bytes) else None
    return found.id if png is None else Picture(png, f"picture of sample {found.id}")
