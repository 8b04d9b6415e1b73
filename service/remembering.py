"""What a batch leaves for labels that come later: its answers as blocks, and as judgements where a sample brought its label itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.summarizer import Described
from service.describing import Replies, Taken
from service.records import Answer, AnswerBlock, Judgement, Truths
from service.truth import answers
from service.truth.taking import judged
from service.watched import WatchedMonitor


@dataclass(slots=True)
class Memory:
    """Of one batch, over all its monitors."""

    answers: list[AnswerBlock] = field(default_factory=list)
    truths: list[Truths] = field(default_factory=list)

    def add(self, monitor: WatchedMonitor, taken: Sequence[Taken], replies: Replies, described: Described | None) -> None:
        """One monitor's samples."""
        self.answers.extend(answer_blocks(monitor, taken, replies, described))
        self.truths.extend(truths_brought(monitor, taken, replies, described))


def answer_blocks(monitor: WatchedMonitor, taken: Sequence[Taken], replies: Replies, described: Described | None) -> Iterator[AnswerBlock]:
    """Of the samples that the model answered to; nothing where it answered to none."""
    keep = monitor.settings.truth.keep_answers
    at = [place for place, predicted in enumerate(replies.predicted) if predicted] if keep and replies.confidence is not None else []
    for start in range(max(len(at) - keep, 0), len(at), answers.LARGEST):
        rows = at[start : start + answers.LARGEST]
        body = answers.pack(
            [taken[row].sample.id for row in rows],
            [replies.predicted[row] for row in rows],
            [taken[row].sample.segments for row in rows],
            lambda tags: _streams(monitor, tags),
            numbers=_numbers(taken, replies, described, rows),
            version=monitor.rules.reference_version if monitor.rules else 0,
        )
        yield AnswerBlock(monitor.settings.name, len(rows), body, keep)


def truths_brought(monitor: WatchedMonitor, taken: Sequence[Taken], replies: Replies, described: Described | None) -> Iterator[Truths]:
    """Of samples that came with an answer and with their label: they are judged at once."""
    classes = monitor.settings.classes
    at = [row for row, each in enumerate(taken) if each.sample.label is not None and replies.predicted[row]]
    found = [_judged(monitor, taken, replies, described, row) for row in at if not classes or taken[row].sample.label in classes]
    if found:
        bounds = monitor.settings.truth
        yield Truths(monitor.settings.name, tuple(found), bounds.keep_labels, bounds.remembered)


def _judged(monitor: WatchedMonitor, taken: Sequence[Taken], replies: Replies, described: Described | None, row: int) -> Judgement:
    sample, told = taken[row].sample, taken[row].time
    answer = Answer(
        predicted=replies.predicted[row],
        confidence=float("nan") if replies.confidence is None else float(replies.confidence[row]),
        segments=sample.segments,
        streams=_streams(monitor, sample.segments),
        cluster=-1 if described is None else int(described.cluster[row]),
        reference_version=monitor.rules.reference_version if monitor.rules else 0,
        time=told,
    )
    return judged(sample.monitor, sample.id, sample.label or "", answer, told=told)


def _numbers(
    taken: Sequence[Taken], replies: Replies, described: Described | None, rows: Sequence[int]
) -> Mapping[str, NDArray[np.generic]]:
    sure = np.full(len(taken), np.nan) if replies.confidence is None else replies.confidence
    clusters = np.full(len(taken), -1) if described is None else described.cluster
    times = np.array([taken[row].time for row in rows])
    return {"times": times, "confidence": sure[rows], "clusters": clusters[rows]}


def _streams(monitor: WatchedMonitor, tags: Mapping[str, str]) -> tuple[str, ...]:
    """The segments of a sample with these tags, besides the whole."""
    return () if monitor.rules is None else tuple(monitor.rules.segments(tags)[1:])
