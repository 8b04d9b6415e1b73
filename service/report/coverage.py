"""Which places of production the reference, the training set and the test set cover, and what of them production no longer sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.bounds import difference_interval
from detectors.coverage import Coverage
from detectors.evenly import evenly
from service.records import Measured
from service.report.gaps import ACT, BESIDE, SHOWN, WATCH, Gaps, contents, gap_table, gaps, names_of, share_of
from service.report.material import Material, Side
from service.report.parts import Bars, Column, Figure, Missing, Section, Standing, Table, Unit
from service.screens.drawing import interval, percent

_NAME, _TITLE = "coverage", "Coverage"
_SPARSE = 2.0
"""Times as much of the traffic as of the training set, from which a region is one that was sampled too little."""
_SURE = 0.05
"""Chance that any region is named so wrongly."""
_BEYOND = 0.99
_CENTRAL = 5

_PAIRS: tuple[tuple[Side, Side], ...] = (
    ("production", "reference"),
    ("production", "train"),
    ("production", "test"),
    ("test", "train"),
    ("reference", "production"),
    ("train", "production"),
    ("test", "production"),
)
_CALLED: Mapping[Side, str] = MappingProxyType(
    {"production": "traffic", "reference": "reference", "train": "training set", "test": "test set"},
)


@dataclass(frozen=True, slots=True)
class _Region:
    """That the training set was sampled too little from."""

    name: str
    traffic: Measured
    training: Measured
    test: Measured | None


@dataclass(frozen=True, slots=True)
class _Sparse:
    """Regions, most traffic first; how many there are."""

    listed: tuple[_Region, ...] = ()
    count: int = 0


def coverage(material: Material) -> Section:
    """Sampling gaps of the training set first: nothing there was learned."""
    known = {pair: found for pair in _PAIRS if isinstance(found := material.cover(*pair), Coverage)}
    missing = tuple(dict.fromkeys(found for pair in _PAIRS if isinstance(found := material.cover(*pair), Missing)))
    learned: Side = "train" if ("production", "train") in known else "reference"
    main = known.get(("production", learned))
    if main is None:
        why = f"{missing[0].what}: {missing[0].why}"
        return Section(_NAME, _TITLE, Standing.UNKNOWN, f"Not known: {why}.", figures=tuple(_figures(known)), missing=missing)
    lacking, sparse = gaps(material, "production", learned), _sparse(material)
    surely = 1 - main.share.high
    return Section(
        _NAME,
        _TITLE,
        _standing(surely, sparse),
        " ".join(_said(main, _CALLED[learned], lacking, sparse)),
        todo=_todo(material, surely, lacking, sparse),
        urgency=min(max(surely, 0.0), 1.0),
        figures=(*_figures(known), *_beyond(material)),
        tables=tuple(_tables(material, learned, lacking, sparse)),
        plots=(Bars("Covered", {_pair(pair): Measured(*found.share) for pair, found in known.items()}),),
        missing=missing,
    )


def _standing(surely: float, sparse: _Sparse) -> Standing:
    if surely >= ACT:
        return Standing.ACT
    return Standing.WATCH if surely >= WATCH or sparse.count else Standing.FINE


def _said(main: Coverage, by: str, lacking: Gaps, sparse: _Sparse) -> Iterator[str]:
    share = Measured(*main.share)
    yield f"The {by} covers {interval(share)} of the traffic."
    if lacking.listed:
        yield lacking.said
    if sparse.listed:
        first = sparse.listed[0]
        shares = f"{percent(first.training.estimate)} of the training set, {percent(first.traffic.estimate)} of the traffic"
        yield f"Sampled too little: {sparse.count} regions, first “{first.name}” ({shares})."
    yield f"What makes up less than {percent(main.limit)} of the traffic can't be seen to lack."


def _todo(material: Material, surely: float, lacking: Gaps, sparse: _Sparse) -> str:
    adds = f"`driftgate dataset add --monitor {material.monitor} --role train --input FILE`"
    if lacking.listed and surely >= WATCH:
        worst = lacking.listed[0]
        ids = ", ".join(content.id for content in worst.exemplars)
        return f"Label samples of “{worst.name}”, such as {ids}, and train on them too: {adds}."
    return f"Add training samples of “{sparse.listed[0].name}”: {adds}." if sparse.listed else ""


def _figures(known: Mapping[tuple[Side, Side], Coverage]) -> Iterator[Figure]:
    for pair, found in known.items():
        yield Figure(_pair(pair), Measured(*found.share))


def _beyond(material: Material) -> Iterator[Figure]:
    """As the worker told it of each sample, so only where there is a reference."""
    if material.reference is not None and material.production:
        count = sum(row.novelty > _BEYOND for row in material.production)
        yield Figure(f"traffic beyond {percent(_BEYOND)} of the reference", share_of(count, len(material.production)))


def _tables(material: Material, learned: Side, lacking: Gaps, sparse: _Sparse) -> Iterator[Table]:
    yield from gap_table(f"Traffic that the {_CALLED[learned]} lacks", lacking, of="traffic", by=_CALLED[learned])
    if sparse.listed:
        columns = (Column("region"), *(Column(f"share of {side}", Unit.SHARE) for side in ("traffic", "training set", "test set")))
        lines = tuple((each.name, each.traffic, each.training, each.test) for each in sparse.listed)
        yield Table("Regions that the training set was sampled too little from", columns, lines, sparse.count - len(lines))
    sides: tuple[tuple[Side, Side], ...] = (("test", "train"), ("train", "production"), ("reference", "production"))
    for of, by in sides:
        title = f"Of the {_CALLED[of]}, what the {_CALLED[by]} lacks"
        yield from gap_table(title, gaps(material, of, by), of=_CALLED[of], by=_CALLED[by])


def _pair(pair: tuple[Side, Side]) -> str:
    of, by = (_CALLED[side] for side in pair)
    return f"{of} covered by {by}"


# --- regions ----------------------------------------------------------------------------------------------------------------


def _sparse(material: Material) -> _Sparse:
    """At least twice the share in traffic that they have in training, surely more over all regions."""
    training, traffic, test = (material.embeddings(side) for side in ("train", "production", "test"))
    if training is None or traffic is None:
        return _Sparse()
    sent, learned = _counts(material, traffic), _counts(material, training)
    tested = None if test is None else _counts(material, test)
    before, now = learned / len(training), sent / len(traffic)
    z = float(-special.ndtri(_SURE / 2 / len(sent)))
    low, _ = difference_interval(now, len(traffic), before, len(training), z)
    found = np.flatnonzero((low > 0) & (now >= _SPARSE * before))
    first = found[np.argsort(before[found] - now[found], kind="stable")][:SHOWN]
    listed = [
        _Region(
            name,
            share_of(int(sent[region]), len(traffic)),
            share_of(int(learned[region]), len(training)),
            None if tested is None else share_of(int(tested[region]), int(tested.sum())),
        )
        for region, name in _region_names(material, first).items()
    ]
    return _Sparse(tuple(listed), len(found))


def _counts(material: Material, rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """(k,) rows of each region."""
    return np.bincount(material.region_of(rows), minlength=0 if material.regions is None else len(material.regions))


def _region_names(material: Material, regions: NDArray[np.int64]) -> Mapping[int, str]:
    """By the training rows nearest to each centre."""
    rows, centres = material.embeddings("train"), material.regions
    if rows is None or centres is None:
        return {}
    drawn = material.drawn("train")
    near = [drawn[np.square(rows[drawn] - centres[region]).sum(1).argsort(kind="stable")[:_CENTRAL]] for region in regions]
    beside = drawn[evenly(len(drawn), BESIDE)]
    names = names_of([contents(material, "train", each) for each in near], contents(material, "train", beside))
    return dict(zip(regions.tolist(), names, strict=True))
