"""Whether the test set still tells of today's traffic: one number, what it lacks, and what it holds that nobody sends any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors.coverage import Coverage
from service.budget import DAY
from service.records import Measured
from service.report.gaps import ACT, SHOWN, WATCH, Gaps, contents, gap_table, gaps, share_of
from service.report.material import NONE, TEST, Material
from service.report.parts import Column, Figure, Lines, Missing, Section, Standing, Table, Unit
from service.screens.drawing import interval, percent

_NAME, _TITLE = "freshness", "Freshness of the test set"
_PERIODS, _PER_PERIOD = 10, 50
_LEAST_ANSWERED = 3
_UNITS = (("days", DAY), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0))
"""Of the time before the last sample: the first of which the samples span two."""


@dataclass(frozen=True)
class _Found:
    cover: Coverage
    """Of production by the test set."""
    lacking: Gaps
    seen: Measured | None
    """Share of the test set's rows that traffic still is like."""
    stale: Gaps
    untested: Counter[str]
    """Classes that the model answers and no test sample has, with their samples."""
    thin: Measured
    """Share of the traffic that the test set covers by less than a fifth of what a draw of the traffic would have there."""
    sent: int
    """Samples of the traffic."""

    @property
    def surely_untested(self) -> float:
        """Share of the traffic that is answered with classes of no test sample, at least; what the model gets wrong is among it."""
        return share_of(self.untested.total(), self.sent).low

    @property
    def surely(self) -> float:
        """Share of the traffic that the test set lacks at least."""
        return 1 - self.cover.share.high


def freshness(material: Material) -> Section:
    """The share of production that the test set covers."""
    missing = tuple(_missing(material))
    cover = material.cover("production", "test")
    if isinstance(cover, Missing):
        missing = (*missing, cover) if cover not in missing else missing
        return Section(_NAME, _TITLE, Standing.UNKNOWN, f"Not known: {cover.what}: {cover.why}.", missing=missing)
    back = material.cover("test", "production")
    found = _Found(
        cover,
        gaps(material, "production", "test"),
        None if isinstance(back, Missing) else Measured(*back.share),
        gaps(material, "test", "production"),
        _untested(material),
        share_of(int(cover.thin.sum()), len(cover.thin)),
        len(cover.thin),
    )
    return Section(
        _NAME,
        _TITLE,
        _standing(found),
        " ".join(_said(material, found)),
        todo=_todo(material, found),
        urgency=min(max(found.surely, 0.0), 1.0),
        figures=tuple(_figures(found)),
        tables=tuple(_tables(found)),
        plots=tuple(_plots(material, cover)),
        missing=missing,
    )


def _standing(found: _Found) -> Standing:
    if found.surely >= ACT:
        return Standing.ACT
    return Standing.WATCH if max(found.surely, found.surely_untested) >= WATCH else Standing.FINE


def _said(material: Material, found: _Found) -> Iterator[str]:
    rows, share = material.embeddings("test"), Measured(*found.cover.share)
    size = 0 if rows is None else len(rows)
    yield f"The {size:,} test samples cover {interval(share)} of the traffic."
    if found.lacking.listed:
        yield found.lacking.said
    if found.thin.low >= WATCH:
        yield f"Of {percent(found.thin.estimate)} of the traffic they have little for how much of it is sent."
    yield f"What makes up less than {percent(found.cover.limit)} of the traffic can't be seen to lack."
    if found.seen is not None:
        yield f"Of the test samples {percent(found.seen.estimate)} still are like what is sent."


def _todo(material: Material, found: _Found) -> str:
    adds = f"`driftgate dataset add --monitor {material.monitor} --role golden --input FILE`"
    if found.lacking.listed and found.surely >= WATCH:
        worst = found.lacking.listed[0]
        ids = ", ".join(content.id for content in worst.exemplars)
        return f"Label samples of “{worst.name}”, such as {ids}, and add them to the test set: {adds}."
    if found.surely_untested >= WATCH:
        name, _ = found.untested.most_common(1)[0]
        return f"Label samples that the model answers with “{name}” and add them to the test set: {adds}."
    return ""


def _figures(found: _Found) -> Iterator[Figure]:
    yield Figure("traffic covered by the test set", Measured(*found.cover.share))
    yield Figure("traffic covered by few test samples", found.thin)
    if found.seen is not None:
        yield Figure("test samples still seen in traffic", found.seen)


def _tables(found: _Found) -> Iterator[Table]:
    yield from gap_table("Traffic that the test set lacks", found.lacking, of="traffic", by="test set")
    if found.untested:
        listed = found.untested.most_common(SHOWN)
        columns = (Column("answered as"), Column("share of traffic", Unit.SHARE))
        lines = tuple((name, share_of(count, found.sent)) for name, count in listed)
        yield Table("Classes that no test sample has", columns, lines, len(found.untested) - len(listed))
    yield from gap_table("Test samples of what is no longer sent", found.stale, of="test set", by="traffic")


def _plots(material: Material, cover: Coverage) -> Iterator[Lines]:
    """Over the time that production is kept for, oldest first: when it began to leave the test set behind."""
    times = np.array([row.time for row in material.production])
    if len(times) < _PERIODS * _PER_PERIOD or times[-1] <= times[0]:
        return
    periods = zip(np.array_split(times, _PERIODS), np.array_split(cover.covered, _PERIODS), strict=True)
    name, unit = next(((name, unit) for name, unit in _UNITS if times[-1] - times[0] >= 2 * unit), _UNITS[-1])
    points = tuple(((float(when.mean()) - times[-1]) / unit, float(covered.mean())) for when, covered in periods)
    yield Lines("Covered by the test set", f"{name} before the last sample", "share of traffic", {"traffic": points})


def _untested(material: Material) -> Counter[str]:
    """Answers of three samples at least."""
    test, traffic = material.embeddings("test"), contents(material, "production", np.arange(len(material.production)))
    tested = {content.label for content in contents(material, "test", np.arange(0 if test is None else len(test)))}
    counts = Counter(content.answered for content in traffic if content.answered not in ("", *tested))
    return Counter({name: count for name, count in counts.items() if count >= _LEAST_ANSWERED})


def _missing(material: Material) -> Iterator[Missing]:
    """No golden set, and every set that is there but can't be used; a challenge set need not be."""
    for role in TEST:
        found = material.data_set(role)
        if isinstance(found, Missing) and (role == "golden" or found.why != NONE):
            yield found
