"""Is it us? What delivers the samples may have changed, and not what they say: copies, losses, gaps, how they are written, lost fields,
another model that answers, one source alone.

A changed embedder needs no check: a reference of another fingerprint is refused, and pool rows of another version are not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import squared_distances
from service.losses import LATE, RETENTION, UNMATCHED, Loss, is_input
from service.records import Finding, Pooled

_COPY = 1e-5
"""Squared distance of two copies, as a share of the typical one: float16 and another batch make no more of it."""
NOT_KEYED = 0.01
"""Share of unmatched responses from which a topic is taken not to be keyed by the event's id."""
_MOST_REASONS = 5
_MOST_ROWS = 2_000
_LEAST_GAP = 60.0
"""Seconds: what came over HTTP in one request came at once."""
_NOTABLE = 0.05
"""Share of the window from which something is told."""
_ERRORS = 3.0
"""Standard errors beyond which a share differs from the reference's."""
RARE = 0.05
"""Share of the reference that lies beyond what counts as rare in a measure of quality."""
_SPOILT = 0.1
"""Share of the window beyond that, from which it is told."""
_QUALITY: Mapping[str, tuple[str, str]] = {
    "length low": ("shorter texts", "see whether the client cuts or splits them"),
    "length high": ("longer texts", "see whether the client joins them or adds to them"),
    "spelling high": ("another language or spelling", "written unlike the reference: see who sends it, and how it is decoded"),
    "symbols high": ("more symbols", "markup, emoji or a wrong decoding: see what the client does to texts"),
}
_OTHERWISE = "inputs are written or exposed otherwise than the reference's: see what the client, codec or camera does to them"
_DRIFTED = 0.1
"""Share of the window's rows, the most drifted, whose source is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """How a window's samples arrived: rows in order of time, how drifted each is, their copies, and what was lost meanwhile."""

    rows: Sequence[Pooled]
    drift: NDArray[np.floating]
    """(n,) larger is more drifted."""
    repeated: float
    loss: Loss = field(default_factory=Loss)
    beyond: Mapping[str, float] = field(default_factory=dict)
    """Side of a measure of quality → share of them beyond the reference's rarest twentieth."""
    earlier: Sequence[Pooled] = ()
    """Samples before the window, as far as they are kept."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What the reference's samples were made of beside their payload."""

    tags: Mapping[str, float]
    """Tag → share of them that carry it."""
    answered: float
    """Share of them with a model output."""
    classes: Collection[str] = ()
    """That those outputs named; none where that is not known."""


def findings(delivery: Delivery, schema: Schema) -> tuple[Finding, ...]:
    """What may be ours, with what to do about it."""
    return (*_arrivals(delivery), *_written(delivery), *_changed(delivery.rows, schema), *_models(delivery), *_sources(delivery))


def _arrivals(delivery: Delivery) -> Iterator[Finding]:
    if delivery.repeated >= _NOTABLE:
        advice = "the same samples came again under other ids: look for retries or a loop in the client"
        yield Finding("repeated samples", delivery.repeated, 0.0, advice)
    loss = delivery.loss
    if news(loss):
        yield Finding(
            "lost samples",
            loss.share,
            loss.before,
            f"part of the input is missing, most of it as `{loss.worst()}`: {_advice(loss.worst())}",
        )
    if loss.unmatched > NOT_KEYED:
        yield Finding("unmatched responses", loss.unmatched, 0.0, _advice(UNMATCHED))
    times = np.array([row.time for row in delivery.rows])
    if len(times) > 2 and times[-1] > times[0]:
        gap = float(np.diff(times).max() / (times[-1] - times[0]))
        if gap > 0.5 and np.diff(times).max() >= _LEAST_GAP:
            yield Finding(
                "gap in time", gap, 0.0, "nothing arrived for most of the window: see whether the source or the network stood still"
            )


def _written(delivery: Delivery) -> Iterator[Finding]:
    """Quality that left the reference's, worst first."""
    for channel, share in sorted(delivery.beyond.items(), key=lambda side: (-side[1], side[0])):
        if share - RARE > _SPOILT and _beyond(share, RARE, len(delivery.rows)):
            what, advice = _QUALITY.get(channel, (channel, _OTHERWISE))
            yield Finding(what, share, RARE, advice)


def news(loss: Loss) -> float:
    """The share that was lost, if it is surely more than before the window: what is always lost explains no change."""
    return loss.share if loss.items and _beyond(loss.share, loss.before, loss.items) else 0.0


def lost(loss: Loss) -> Iterator[Finding]:
    """The reasons that count most, each with its share of what came."""
    for reason in sorted(loss.reasons, key=lambda reason: (-loss.reasons[reason], reason))[:_MOST_REASONS]:
        yield Finding(reason, min(loss.reasons[reason] / max(loss.items, 1), 1.0), 0.0, _advice(reason))


def _advice(reason: str) -> str:
    """What to do about a loss."""
    if reason == RETENTION:
        return "the log let go of records before they were read: add workers, or keep its records for longer"
    if reason == UNMATCHED:
        return "answers that no request waits for: key the topic by the event's id, or raise kserve.response_timeout"
    if reason == LATE:
        return "samples came more than an hour behind the log; they were taken: see the sender's clock and queue"
    return "`driftgate dlq list` shows them" if is_input(reason) else "see whether the model answers, and its logger logs the answers"


def _changed(rows: Sequence[Pooled], schema: Schema) -> Iterator[Finding]:
    """Fields that the reference's samples had and these have not, or the other way round. Another type of payload is refused."""
    n = max(len(rows), 1)
    carried = Counter(tag for row in rows for tag in row.segments)
    for tag, before in schema.tags.items():
        without = 1 - carried[tag] / n
        if _beyond(without, 1 - before, n):
            yield Finding(
                f"no tag {tag}", without, 1 - before, f"samples came without `segments.{tag}`: the sender's schema may have changed"
            )
    for tag in carried.keys() - schema.tags.keys():
        if _beyond(carried[tag] / n, 0.0, n):
            advice = f"the reference's samples had no `segments.{tag}`: the sender's schema may have changed"
            yield Finding(f"new tag {tag}", carried[tag] / n, 0.0, advice)
    yield from _answers(rows, schema)


def _answers(rows: Sequence[Pooled], schema: Schema) -> Iterator[Finding]:
    n, outputs = max(len(rows), 1), [row.output for row in rows if row.output is not None]
    silent = 1 - len(outputs) / n
    if _beyond(silent, 1 - schema.answered, n):
        advice = "samples came without the model's output: see the sender, or the response join"
        yield Finding("no output", silent, 1 - schema.answered, advice)
    unknown = sum(output.label is not None and output.label not in schema.classes for output in outputs) / n
    if schema.classes and _beyond(unknown, 0.0, n):
        yield Finding(
            "unknown classes", unknown, 0.0, "the model names classes that it never named in the reference: see which model answers"
        )


def _models(delivery: Delivery) -> Iterator[Finding]:
    """A version of the model that answers more of the samples than before the window."""
    sides = [Counter(row.output.model_version for row in rows if row.output is not None) for rows in (delivery.rows, delivery.earlier)]
    now, before = ({version: count / of.total() for version, count in of.items()} for of in sides)
    for version in sorted(now.keys() - {None}, key=lambda each: before.get(each, 0.0) - now[each])[:1]:
        if before and _beyond(now[version], before.get(version, 0.0), sides[0].total()):
            advice = "a version of the model answers that answered less before: see what was rolled out, and when"
            yield Finding("another model answers", now[version], before.get(version, 0.0), advice)


def _beyond(share: float, before: float, n: int) -> bool:
    error = np.sqrt(max(before * (1 - before), 1 / n) / n)
    return share - before > max(_NOTABLE, _ERRORS * float(error))


def _sources(delivery: Delivery) -> Iterator[Finding]:
    """Drift that all comes from one of several partitions points at one client, region or release."""
    rows, most = delivery.rows, max(round(_DRIFTED * len(delivery.rows)), 1)
    if len({row.partition for row in rows}) < 2 or len(rows) < 50:
        return
    drifted = Counter(rows[i].partition for i in np.argsort(-delivery.drift, kind="stable")[:most])
    source, count = drifted.most_common(1)[0]
    share, before = count / most, sum(row.partition == source for row in rows) / len(rows)
    if share >= 0.9 and _beyond(share, before, most):
        yield Finding("one source alone", share, before, f"the most drifted samples come from {source}: see who writes there")


def repeated(rows: NDArray[np.floating], reference: NDArray[np.float32], *, spoilt: NDArray[np.bool_] | None = None) -> float:
    """Share of (n, d) rows that are copies of an earlier one, beyond that of as many reference rows; 0 to 1.

    spoilt : (n,) rows beyond the reference in quality, which do not count: blank inputs are alike, and nobody sent them again.
    """
    rows = rows[-_MOST_ROWS:].astype(np.float32)
    own = reference[np.linspace(0, len(reference) - 1, min(len(rows), len(reference))).astype(np.int64)]
    within = _COPY * 2.0 * float(reference[: 20 * _MOST_ROWS].var(axis=0).sum())
    copies = _copies(rows, within)
    if spoilt is not None:
        copies &= ~spoilt[-_MOST_ROWS:]
    return max(float(copies.mean()) - float(_copies(own, within).mean()), 0.0) if len(rows) else 0.0


def _copies(rows: NDArray[np.float32], within: float) -> NDArray[np.bool_]:
    """(n,) whether a row lies within that squared distance of an earlier one."""
    centred = rows - rows.mean(0)
    near = squared_distances(centred, centred) <= max(within, 1e-12)
    return np.asarray(np.tril(near, -1).any(1), np.bool_)
