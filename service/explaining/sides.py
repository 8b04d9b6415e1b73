"""The two sides that an alarm is explained by: rows of the reference, and kept samples of its stream before its window and in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors import Described
from detectors.kinds import OUTPUTS, is_quality
from service.quality import LOOK
from service.records import Alarm, Exemplar, Pane, Pooled, belongs
from service.reference import Reference
from service.reference_rows import answer, sureness
from service.words import excerpt

_CUT = 200
_REFERENCE, _WINDOW, _EARLIER = 1_200, 1_000, 600
"""Rows at most: what is done with them takes a fraction of a second, of whatever dimension."""
_FEWEST, _TIMES = 600, 4
"""Rows of the reference: so many, or as many times those of the window."""
_LEAST = 64
"""Samples in the window at least, though the detector's was shorter: fewer show too little."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Samples of one monitor, oldest first, embedded as the reference is and not past the pane that is decided on."""

    rows: Sequence[Pooled]
    ago: NDArray[np.int64]
    """Samples of the stream that came after each."""
    window: NDArray[np.bool_]
    """Which of them are the window's; those before it are thinned."""

    @classmethod
    def of(cls, pool: Sequence[Pooled], alarm: Alarm, reference: Reference) -> Kept:
        """Of the alarm's stream."""
        own = [row for row in pool if belongs(row.segments, alarm.segment, reference.segment_values)]
        inside = sum(row.time >= alarm.window_start for row in own)
        n = min(max(inside, _LEAST), _WINDOW, len(own))
        earlier = np.unique(np.linspace(0, len(own) - n - 1, min(len(own) - n, _EARLIER)).astype(np.int64))
        at = np.concatenate([earlier, np.arange(len(own) - n, len(own))])
        return cls([own[i] for i in at], len(own) - 1 - at, at >= len(own) - n)

    @classmethod
    def since(cls, pool: Sequence[Pooled], begins: float) -> Kept:
        """Of all streams together since a window began, evenly spread."""
        inside = [row for row in pool if row.time >= begins]
        at = np.unique(np.linspace(0, len(inside) - 1, min(len(inside), _WINDOW)).astype(np.int64))
        return cls([inside[i] for i in at], len(inside) - 1 - at, np.ones(len(at), np.bool_))


def known(pool: Sequence[Pooled], alarm: Alarm, pane: Pane) -> Sequence[Pooled]:
    """Of the samples kept those that the decision knows of; the pool may be ahead of it, and hold another embedder's."""
    return [row for row in pool if row.reference_version == alarm.reference_version and _before_end(row, pane)]


def _before_end(row: Pooled, pane: Pane) -> bool:
    return row.offset <= pane.last_offset if row.partition == pane.key.partition else row.time <= pane.last_time


@dataclass(frozen=True, eq=False)
class Sides:
    """Rows of the reference and, after them, kept samples; whatever is asked of one side is asked of both."""

    reference: Reference
    at: NDArray[np.int64]
    """Which rows of the reference."""
    kept: Kept

    @classmethod
    def of(cls, kept: Kept, segment: str, reference: Reference) -> Sides:
        """With rows of the segment's own slice, evenly spread."""
        members, wanted = reference.members(segment), max(_FEWEST, _TIMES * int(kept.window.sum()))
        return cls(reference, members[np.linspace(0, len(members) - 1, min(len(members), wanted, _REFERENCE)).astype(np.int64)], kept)

    def __len__(self) -> int:
        return len(self.at) + len(self.kept.rows)

    @cached_property
    def is_reference(self) -> NDArray[np.bool_]:
        """(n,)"""
        return np.arange(len(self)) < len(self.at)

    @cached_property
    def is_window(self) -> NDArray[np.bool_]:
        """(n,)"""
        return np.concatenate([np.zeros(len(self.at), np.bool_), self.kept.window])

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """(n, d)"""
        kept = np.stack([row.embedding for row in self.kept.rows]).astype(np.float32)
        return np.concatenate([np.asarray(self.reference.rows.embeddings[self.at], np.float32), kept])

    @cached_property
    def described(self) -> Described:
        """As the worker described them, but for answers and quality."""
        return self.reference.summarizer.describe(self.embeddings)

    @cached_property
    def whitened(self) -> NDArray[np.float32]:
        """(n, D) features around the reference's mean, in the norm that is quickest to see what is new."""
        spectrum = self.reference.model.spectrum
        rotated = (self.described.features - self.reference.summarizer.mean) @ spectrum.basis
        return np.asarray(rotated * np.sqrt(spectrum.weights[0]), np.float32)

    @cached_property
    def texts(self) -> Sequence[str]:
        """The start of each text, '' where there is none."""
        kept = (row.payload[:LOOK] if isinstance(row.payload, str) else "" for row in self.kept.rows)
        return [*(self.reference.rows.texts[i][:LOOK] for i in self.at), *kept]

    def segments(self, row: int) -> Mapping[str, str]:
        """Its tags."""
        return self.reference.rows.segments[self.at[row]] if row < len(self.at) else self.kept.rows[row - len(self.at)].segments

    def shown(self, row: int) -> Exemplar:
        """As it is shown: texts cut, images and vectors by id alone."""
        if row >= len(self.at):
            return exemplar(self.kept.rows[row - len(self.at)])
        of = self.reference.rows
        return Exemplar(of.ids[self.at[row]], excerpt(of.texts[self.at[row]], _CUT), float(self.described.novelty[row]))

    def scalars(self, channel: str) -> NDArray[np.float32] | None:
        """(n,) of a scalar channel, the answers and the quality measured where the channel is theirs; None for a norm."""
        summarizer, rows, kept = self.reference.summarizer, self.reference.rows, self.kept.rows
        if channel not in summarizer.scalar_names:
            return None
        column = summarizer.scalar_names.index(channel)
        if channel not in OUTPUTS and not is_quality(channel):
            return self.described.scalars[:, column]
        classes = tuple(self.reference.manifest.get("classes") or ())
        confidence = [*rows.confidence[self.at].tolist(), *(sureness(row.output) for row in kept)]
        predicted = [*(rows.predicted[i] if rows.predicted else "" for i in self.at), *(answer(row.output, None, classes) for row in kept)]
        quality = None
        if is_quality(channel) and self.reference.gauge is not None and rows.quality is not None:
            measured = self.reference.gauge.measure([payload(row) for row in kept])
            quality = np.concatenate([np.asarray(rows.quality[self.at], np.float32), measured])
        described = summarizer.describe(
            self.embeddings, confidence=np.array(confidence, np.float32), predicted=np.array(predicted, np.str_), quality=quality
        )
        return described.scalars[:, column]


def payload(row: Pooled) -> str | bytes | NDArray[np.float32]:
    """What a quality is measured on; an empty vector, which has none, where it was not kept."""
    return np.empty(0, np.float32) if row.payload is None else row.payload


def exemplar(row: Pooled) -> Exemplar:
    """A pooled sample as it is shown: texts cut, images and vectors by id alone."""
    return Exemplar(row.id, excerpt(row.payload, _CUT) if isinstance(row.payload, str) else "", row.novelty)
