"""What an alarm of changed answers shows: which classes are taken for which now, on which segments, and how late the labels came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from detectors.bounds import difference_interval, tail_z
from detectors.onset import onset
from service.explaining.alarms import exemplar
from service.ports import Store
from service.records import WHOLE, Alarm, AlarmState, Confusion, Contribution, Exemplar, Judgement, Measured, Onset

_MOST, _EXEMPLARS = 8, 10
_LEVEL = 0.05

Pair = tuple[str, str]


def explain_answers(alarm: Alarm, store: Store, usual: Iterable[Pair], *, since: int) -> Alarm:
    """The alarm with what the labels of its window, and those `since` it opened, say beside those before and what is
    `usual`; as it is, where it is explained or over."""
    if alarm.label_delay is not None or alarm.state is AlarmState.RESOLVED:
        return alarm
    own = [each for each in store.judgements(alarm.monitor) if _concerns(each, alarm)]
    begins = max(len(own) - alarm.window_samples - since, 0)
    window, before, compared = own[begins:], own[:begins], list(usual)
    if not window:
        return alarm
    return replace(
        alarm,
        onset=_onset(own, compared),
        confusions=tuple(_confusions(window, [*compared, *map(_pair, before)])),
        contributions=tuple(_contributions(window)) if alarm.segment == WHOLE else (),
        exemplars=tuple(_exemplars(window, store)),
        judged=len(window),
        label_delay=_delay(window),
    )


def _concerns(judgement: Judgement, alarm: Alarm) -> bool:
    """Told before it opened, of its stream, under its reference."""
    of_the_stream = alarm.segment == WHOLE or alarm.segment in judgement.streams
    return of_the_stream and judgement.reference_version == alarm.reference_version and judgement.told <= alarm.opened


def _pair(judgement: Judgement) -> Pair:
    return judgement.truth, judgement.predicted


def _onset(own: Sequence[Judgement], usual: Sequence[Pair]) -> Onset | None:
    """Since which sample answers are wrong more often, whenever their labels came."""
    rows = sorted(own, key=lambda each: each.time)
    errors = sum(truth != answer for truth, answer in usual)
    began = onset(np.array([not each.right for each in rows], np.int64), np.array([len(usual) - errors, errors]))
    if began is None:
        return None
    after = max(began.earliest - 1, 0)  # the last sample before the change: it began some time after that
    ago = (float(len(rows) - 1 - at) for at in (began.row, began.latest, after))
    return Onset(rows[began.row].time, rows[after].time, rows[began.latest].time, Measured(*ago))


def _confusions(window: Sequence[Judgement], before: Sequence[Pair]) -> Iterator[Confusion]:
    """The pairs that surely grew, the most grown first; where none surely did, the most grown one."""
    now, then = Counter(map(_pair, window)), Counter(before)
    wrong = sorted(pair for pair in now if pair[0] != pair[1])
    z = tail_z(float(np.log10(2 * max(len(wrong), 1) / _LEVEL)))
    found = [_grown(pair, (now[pair], len(window)), (then[pair], len(before)), z) for pair in wrong]
    ranked = sorted(found, key=lambda each: (each.change.low <= 0, -each.change.estimate, each.truth, each.answer))
    yield from [each for place, each in enumerate(ranked) if each.change.low > 0 or not place][:_MOST]


def _grown(pair: Pair, now: tuple[int, int], then: tuple[int, int], z: float) -> Confusion:
    share, was = now[0] / now[1], then[0] / max(then[1], 1)
    low, high = difference_interval(np.array(share), now[1], np.array(was), max(then[1], 1), z)
    return Confusion(*pair, share, was, Measured(share - was, float(low), float(high)))


def _contributions(window: Sequence[Judgement]) -> Iterator[Contribution]:
    """Each segment's share of the errors beside its share of the labels, those first that bring most more than they are."""
    labels = Counter(stream for each in window for stream in each.streams)
    errors = Counter(stream for each in window if not each.right for stream in each.streams)
    wrong = max(sum(not each.right for each in window), 1)
    found = [Contribution(stream, errors[stream] / wrong, labels[stream] / len(window)) for stream in sorted(labels)]
    yield from sorted(found, key=lambda each: each.traffic - each.share)[:_MOST]


def _exemplars(window: Sequence[Judgement], store: Store) -> Iterator[Exemplar]:
    """Wrong answers that the model was most sure of; with their text, where that is kept."""
    wrong = sorted((each for each in window if not each.right), key=lambda each: -np.nan_to_num(each.confidence))[:_EXEMPLARS]
    if not wrong:
        return
    pooled = {row.id: row for row in store.pool(wrong[0].monitor, since=min(each.time for each in wrong))}
    for each in wrong:
        shown = exemplar(pooled[each.sample]) if each.sample in pooled else Exemplar(each.sample, "", 0.0)
        said = f"{each.truth} taken for {each.predicted}"
        yield replace(shown, text=f"{said}: {shown.text}" if shown.text else said)


def _delay(window: Iterable[Judgement]) -> Measured:
    delays = [max(each.told - each.time, 0.0) for each in window]
    low, median, high = np.quantile(delays, (0.1, 0.5, 0.9)).tolist()
    return Measured(median, low, high)
