"""What an alarm shows: what moved and by how much, samples and words that show it, which segments bring it, and since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detectors.attribution import Group, Witness, distinct, moved_groups
from detectors.kinds import is_quality, name_kind
from detectors.onset import onset
from detectors.summarizer import spoilt
from detectors.terms import class_terms, telling_terms
from service.episodes import Stream
from service.explaining.sides import Kept, Sides, exemplar, known, payload
from service.feed import RARE, Delivery, Schema, findings, news, repeated
from service.losses import Loss
from service.ports import Store
from service.records import WHOLE, Alarm, ClusterChange, Contribution, Exemplar, Family, Measured, Onset, Pane, Pooled, Term, segment_of
from service.reference import Reference
from service.words import ASKED, place_names, words

__all__ = ["NOVEL", "Recent", "exemplar", "explain"]

_EXEMPLARS, _PER_CLUSTER, _SEGMENTS = 10, 3, 10
_LEAST = 50
"""Samples by which it is told how they arrived, at least."""
_ENOUGH = 1_000
"""Samples in a window from which on an alarm is not explained anew."""
_OF_INPUTS = (Family.INPUT, Family.OUTPUT, Family.QUALITY)
_REACH = 4
"""Lengths of the window that are looked back before it, for when the change began."""
_LEVELS = (0.5, 0.8, 0.95, 0.99)
"""Percentiles of the reference between which a scalar's values count as alike."""
_MEANING = ("novelty", "residual")
"""Scalar channels of what samples mean, as the norms are."""
NOVEL = "novel"
"""What a group is called that the reference hardly has, where no words name it."""


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """What is known of the recent past of a monitor: kept samples of any segment, oldest first, and what the alarm's window lost."""

    pool: Sequence[Pooled]
    loss: Loss = field(default_factory=Loss)

    @classmethod
    def of(cls, store: Store, alarm: Alarm, loss: Loss) -> Recent:
        """The alarm's window, and as much before it as may tell when the change began."""
        span = max(alarm.opened - alarm.window_start, 1.0)
        return cls(store.pool(alarm.monitor, since=alarm.window_start - _REACH * span), loss)


def is_due(alarm: Alarm, since: int, count: int) -> bool:
    """Whether the last `count` of the samples `since` the alarm opened have made its window four times as long, or four times that, or
    as long as is looked at: what it shows is then told from more of them."""
    before = alarm.window_samples + since - count
    if alarm.family not in _OF_INPUTS or not alarm.window_samples or not since >= count > 0 or before >= _ENOUGH:
        return False
    return before + count >= _ENOUGH or _fourfold(before, alarm.window_samples) < _fourfold(before + count, alarm.window_samples)


def _fourfold(samples: int, window: int) -> int:
    """How often the window grew to four times its length."""
    return ((samples // window).bit_length() - 1) // 2


def explain(alarm: Alarm, stream: Stream, pane: Pane, recent: Recent, reference: Reference) -> Alarm:
    """The alarm with all that shows what it is about, as of a pane: that which opened it, or one by which there is more to tell it from."""
    pool = known(recent.pool, alarm, pane)
    kept = Kept.of(pool, alarm, reference)
    if not len(kept.rows):
        return alarm
    sides = Sides.of(kept, alarm.segment, reference)
    witness = Witness.of(sides.whitened, sides.is_window, sides.is_reference)
    along = witness.values(sides.whitened)
    surprise, inflation = stream.scan.chosen, reference.model.dependence.inflation
    groups = moved_groups(sides.embeddings, sides.is_window, sides.is_reference, surprise=surprise, inflation=inflation)
    delivery = _delivery(sides, along, alarm, recent.loss)
    kind = name_kind(replace(stream.scan.signs(), repeated=delivery.repeated, lost=news(delivery.loss)))
    schema = Schema(reference.tagged(alarm.segment), reference.answered, reference.classes)
    return replace(
        alarm,
        kind=kind,
        exemplars=_first(sides, -along, sides.is_window),
        missed=_first(sides, along, sides.is_reference),
        clusters=_changes(sides, groups),
        terms=_terms(sides, surprise=surprise, inflation=inflation),
        contributions=_contributions(sides, witness, pool, alarm),
        onset=_onset(sides, alarm, groups),
        findings=findings(delivery, schema),
    )


# --- samples ------------------------------------------------------------------------------------------------------------


def _first(sides: Sides, order_by: NDArray[np.float32], side: NDArray[np.bool_]) -> tuple[Exemplar, ...]:
    """Those of a side with the least of it that are no near-copies of each other."""
    rows = np.flatnonzero(side)
    order = rows[np.argsort(order_by[rows], kind="stable")]
    return tuple(sides.shown(row) for row in distinct(order, sides.described.features, _EXEMPLARS))


def _delivery(sides: Sides, along: NDArray[np.float32], alarm: Alarm, loss: Loss) -> Delivery:
    """How the window's samples arrived, those of the detector's own: samples from before it would thin out copies. New content is written
    anew, too: only what is odd more often than new is told."""
    inside = sides.kept.window & (sides.kept.ago < max(alarm.window_samples, _LEAST))
    at = np.flatnonzero(inside) + len(sides.at)
    rows = [row for row, own in zip(sides.kept.rows, inside, strict=True) if own]
    embeddings, summarizer = sides.embeddings[at], sides.reference.summarizer
    gauge = sides.reference.gauge
    described = summarizer.describe(embeddings, quality=None if gauge is None else gauge.measure([payload(row) for row in rows]))
    copies = repeated(embeddings, sides.reference.rows.embeddings, spoilt=spoilt(summarizer, described))
    rare = dict(zip(summarizer.scalar_names, (described.scalars > -np.log(RARE)).mean(0).tolist(), strict=True))
    beyond = {name: share for name, share in rare.items() if is_quality(name) and share >= rare["novelty"]}
    earlier = [row for row, own in zip(sides.kept.rows, inside, strict=True) if not own]
    return Delivery(rows, along[at], copies, loss, beyond, earlier)


# --- groups -------------------------------------------------------------------------------------------------------------


def _changes(sides: Sides, groups: Sequence[Group]) -> tuple[ClusterChange, ...]:
    """Each group with a name and its most central samples of the side that holds more of it."""
    names = _names(sides, groups)
    return tuple(_change(sides, group, name) for group, name in zip(groups, names, strict=True))


def _change(sides: Sides, group: Group, name: str) -> ClusterChange:
    rows = group.rows[(sides.is_window if group.gained else sides.is_reference)[group.rows]]
    apart = np.square(sides.embeddings[rows] - sides.embeddings[rows].mean(0)).sum(1)
    central = distinct(rows[np.argsort(apart, kind="stable")], sides.described.features, _PER_CLUSTER)
    change = Measured(group.change.estimate, group.change.low, group.change.high)
    return ClusterChange(name, group.before, group.before + change.estimate, tuple(sides.shown(row) for row in central), change)


def _names(sides: Sides, groups: Sequence[Group]) -> list[str]:
    """By the reference's label where half of it carries one, by the words that tell it from the rest of the reference, or by the cluster
    that it lies in."""
    told = [_words(sides, group.rows) for group in groups]
    rest = [_words(sides, np.setdiff1d(np.flatnonzero(sides.is_reference), group.rows)) for group in groups]
    labels, otherwise = [_label(sides, group) for group in groups], [_cluster(sides, group) for group in groups]
    return place_names(labels, class_terms(told, ASKED, rest), otherwise)


def _words(sides: Sides, rows: NDArray[np.int64]) -> list[list[str]]:
    """Of those of the rows that have a text."""
    return [words(text) for row in rows if (text := sides.texts[row])]


def _label(sides: Sides, group: Group) -> str:
    """What half of its reference rows and more are labelled; '' of a group that the reference hardly has."""
    rows = group.rows[sides.is_reference[group.rows]]
    if group.gained and _hardly(group):
        return ""
    labels = [label for row in rows if (label := sides.reference.rows.labels[sides.at[row]])]
    commonest, count = Counter(labels).most_common(1)[0] if labels else ("", 0)
    return commonest if 2 * count >= len(rows) else ""


def _cluster(sides: Sides, group: Group) -> str:
    """The reference cluster that most of it lies in."""
    cluster = int(np.bincount(sides.described.cluster[group.rows]).argmax())
    return NOVEL if _hardly(group) or cluster == sides.reference.summarizer.clusters else sides.reference.cluster_names[cluster]


def _hardly(group: Group) -> bool:
    """Whether it was less than a quarter of what it is."""
    return 3 * group.before < group.change.estimate


# --- words and segments -------------------------------------------------------------------------------------------------


def _terms(sides: Sides, *, surprise: float, inflation: float) -> tuple[Term, ...]:
    """Of texts."""
    window, before = (
        [words(text) for text, inside in zip(sides.texts, side, strict=True) if text and inside]
        for side in (sides.is_window, sides.is_reference)
    )
    found = telling_terms(window, before, surprise=surprise, inflation=inflation)
    return tuple(Term(each.term, each.window, each.reference) for each in found)


def _contributions(sides: Sides, witness: Witness, pool: Sequence[Pooled], alarm: Alarm) -> tuple[Contribution, ...]:
    """What each declared tag value brings of what moved in the whole monitor since the window began, those first that bring most beyond
    their traffic: of a drift of one segment alone also the alarm of another shows where it is."""
    reference, window = sides.reference, {row.id for row, inside in zip(sides.kept.rows, sides.kept.window, strict=True) if inside}
    tags = {tag: values for tag, values in reference.segment_values.items() if values}
    if not tags:
        return ()
    everywhere = sides
    if alarm.segment != WHOLE:
        begins = min(row.time for row in sides.kept.rows if row.id in window)
        everywhere = Sides.of(Kept.since(pool, begins), WHOLE, reference)
    lent = np.array([row.id in window for row in everywhere.kept.rows])
    lent = np.concatenate([np.isin(everywhere.at, sides.at), lent])
    found = [part for tag, values in tags.items() for part in _brought(everywhere, witness, lent, tag, values)]
    found.sort(key=lambda each: (each.traffic - each.share, each.segment))
    return tuple(each for each in found if each.share)[:_SEGMENTS]


def _brought(sides: Sides, witness: Witness, lent: NDArray[np.bool_], tag: str, values: Collection[str]) -> list[Contribution]:
    segments, part = np.unique([segment_of(sides.segments(row), tag, values) for row in range(len(sides))], return_inverse=True)
    shares = witness.contributions(sides.whitened, sides.is_window, sides.is_reference, part, lent=lent)
    traffic = np.bincount(part[sides.is_window], minlength=len(segments)) / max(int(sides.is_window.sum()), 1)
    return [Contribution(*each) for each in zip(segments.tolist(), shares.tolist(), traffic.tolist(), strict=True)]


# --- since when ---------------------------------------------------------------------------------------------------------


def _onset(sides: Sides, alarm: Alarm, groups: Sequence[Group]) -> Onset | None:
    """From which group a sample falls into where the meaning moved, else from how rare its value is in the channel that raised the
    alarm. One group alone: the more are chosen for the window, the more of them lie there by chance."""
    values = None if alarm.channel in _MEANING and groups else sides.scalars(alarm.channel)
    if values is not None or not groups:
        values = sides.described.scalars[:, 0] if values is None else values
        category = np.digitize(values, -np.log1p(-np.array(_LEVELS)))
    else:
        category = np.isin(np.arange(len(sides)), groups[0].rows).astype(np.int64)
    before = np.bincount(category[sides.is_reference], minlength=int(category.max(initial=0)) + 1)
    began = onset(category[~sides.is_reference], before, inflation=sides.reference.model.dependence.inflation)
    if began is None:
        return None
    rows, ago = sides.kept.rows, sides.kept.ago
    after = max(began.earliest - 1, 0)  # the last sample before the change: it began some time after that
    samples = Measured(float(ago[began.row]), float(ago[began.latest]), float(ago[after]))
    return Onset(rows[began.row].time, rows[after].time, rows[began.latest].time, samples)
