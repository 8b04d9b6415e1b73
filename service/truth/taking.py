"""A delivery of labels: each finds the answer that it judges, or is named with what to do about it. Repeating one changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from service.errors import ConflictError
from service.ports import Store
from service.records import Answer, Judgement, Truths
from service.redaction import Redaction
from service.settings import MonitorSettings

MOST_NAMED = 100
"""Labels that an answer names."""

_ATTEMPTS = 20
"""At those labels whose samples others judge meanwhile."""

_SHOWN_CLASSES = 20


class Fate(StrEnum):
    """What became of a label."""

    TAKEN = "taken"
    REPEATED = "repeated"
    """It says what is known, or its sample was judged so long ago that only this is remembered."""
    CORRECTED = "corrected"
    """It contradicts what was known, and is newer: it stands in its place, and does not count again."""
    OUTDATED = "outdated"
    """It contradicts what is known, and is older."""
    UNKNOWN = "unknown"
    """No answer of the model is kept under its id."""
    OUTSIDE = "outside"
    """No class of the monitor."""
    MALFORMED = "malformed"
    """No label at all."""


STANDING = frozenset({Fate.TAKEN, Fate.REPEATED, Fate.CORRECTED, Fate.OUTDATED})
"""Of labels whose sample's truth is known now."""

_NEED_A_LOOK = frozenset(Fate) - {Fate.TAKEN, Fate.REPEATED}

_ALL = 2**48
"""Judgements that stay where nothing is to make room."""


@dataclass(frozen=True, slots=True)
class Given:
    """A label as it comes. `time`: when it became known; `predicted`: what the model answered, for a sample that is not kept."""

    id: str
    label: str
    time: float | None = None
    predicted: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """One that needs a look."""

    id: str
    fate: Fate
    message: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery; the first hundred that need a look are named."""

    counts: Mapping[Fate, int]
    named: Sequence[Named] = ()
    delays: Sequence[float] = ()
    """Of those taken: seconds from the sample to its label."""

    @property
    def kept(self) -> int:
        """Labels that changed what is known."""
        return self.counts.get(Fate.TAKEN, 0) + self.counts.get(Fate.CORRECTED, 0)

    @property
    def refused(self) -> int:
        """Labels whose sample's truth is not known for it."""
        return sum(count for fate, count in self.counts.items() if fate not in STANDING)

    def plus(self, other: Receipt) -> Receipt:
        """Of both deliveries, however many there are: without the delays."""
        counts = Counter(self.counts)
        counts.update(other.counts)
        return Receipt(counts, (*self.named, *other.named)[:MOST_NAMED])


def take(store: Store, settings: MonitorSettings, given: Sequence[Given], *, now: float) -> Receipt:
    """Matches labels with answers and keeps what is new; in the order of the samples' times, as they are counted.

    Labels of whose samples others tell meanwhile are looked at again, the rest stands.
    """
    delivery = _Delivery(settings, now)
    inside = filter(None, map(delivery.kept, filter(delivery.inside, given)))
    waiting = sorted(inside, key=lambda label: now if label.time is None else label.time)
    for _ in range(_ATTEMPTS):
        attempt = _Attempt(store, settings.name, waiting, now=now)
        overtaken = attempt.keep(store, settings)
        delivery.settle([outcome for outcome in attempt.outcomes if outcome.label.id not in overtaken])
        waiting = [label for label in waiting if label.id in overtaken]
        if not waiting:
            return delivery.receipt()
    raise ConflictError(f"monitor {settings.name}: others told of the samples of {len(waiting)} labels {_ATTEMPTS} times; send these again")


def rematch(store: Store, monitor: str, judgements: Iterable[Judgement]) -> bool:
    """Of labels that brought the answer with them those whose own answer has turned up are matched with it; whether there were any."""
    brought = {each.sample: each for each in judgements if not each.reference_version}
    answers = store.answers(monitor, brought) if brought else {}
    found = [(brought[sample], answer) for sample, answer in answers.items() if answer.reference_version]
    if found:
        anew = sorted((_promoted(before, answer) for before, answer in found), key=lambda judgement: judgement.time)
        store.judge(Truths(monitor, tuple(anew), _ALL, before=brought))
    return bool(found)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Of one label; `delay` where it was taken, `message` where it needs a look."""

    label: Given
    fate: Fate
    message: str = ""
    delay: float | None = None


class _Delivery:
    """What has become of the labels so far."""

    def __init__(self, settings: MonitorSettings, now: float) -> None:
        self._settings = settings
        self._now = now
        self._redaction = Redaction.of(settings.privacy)
        self._counts: Counter[Fate] = Counter()
        self._named: list[Named] = []
        self._delays: list[float] = []

    def inside(self, label: Given) -> bool:
        """Whether it names classes of the monitor, where those are declared."""
        classes, labels = self._settings.classes, self._settings.labels
        named = ((label.label, labels), (label.predicted, classes))
        foreign = [name for name, allowed in named if allowed and name is not None and name not in allowed]
        if foreign:
            allowed = ", ".join(labels[:_SHOWN_CLASSES]) + (f" and {len(labels) - _SHOWN_CLASSES} more" if labels[_SHOWN_CLASSES:] else "")
            mend = "one that the model is still to learn is declared in truth.new_classes"
            self.settle([_Outcome(label, Fate.OUTSIDE, f"{foreign[0]!r:.80} is no class of the monitor; allowed: {allowed}; {mend}")])
        return not foreign

    def kept(self, label: Given) -> Given | None:
        """In the form in which answers are kept, so that the two can be told from each other; None where none may be."""
        if not self._redaction:
            return label
        truth = self._redaction.label(label.label)
        if truth is None:
            self.settle([_Outcome(label, Fate.MALFORMED, "no label is kept of this monitor (privacy.fields, label: drop)")])
            return None
        return replace(label, label=truth, predicted=label.predicted and self._redaction.answer(label.predicted))

    def settle(self, outcomes: Iterable[_Outcome]) -> None:
        """These stand."""
        for outcome in outcomes:
            self._counts[outcome.fate] += 1
            if outcome.delay is not None:
                self._delays.append(outcome.delay)
            if outcome.fate in _NEED_A_LOOK and len(self._named) < MOST_NAMED:
                message = self._redaction.text(outcome.message) or _unknown(self._settings)
                self._named.append(Named(outcome.label.id, outcome.fate, message))

    def receipt(self) -> Receipt:
        """What became of them."""
        return Receipt(dict(self._counts), tuple(self._named), tuple(self._delays))


class _Attempt:
    """What labels, in order of time, make of what is known now."""

    def __init__(self, store: Store, monitor: str, labels: Sequence[Given], *, now: float) -> None:
        ids = list(dict.fromkeys(label.id for label in labels))
        self._monitor = monitor
        self._known = store.known_truth(monitor, ids)
        self._answers = store.answers(monitor, [each for each in ids if self._asks(each)])
        self._changed: dict[str, Judgement] = {}
        self.outcomes = [self._take(label, now if label.time is None else min(label.time, now)) for label in labels]

    def keep(self, store: Store, settings: MonitorSettings) -> Collection[str]:
        """Keeps what is new; returns the samples that others were faster with."""
        if not self._changed:
            return ()
        before = {sample: known for sample, known in self._known.items() if known is not None}
        in_order = tuple(sorted(self._changed.values(), key=lambda judgement: judgement.time))
        return store.judge(Truths(self._monitor, in_order, settings.truth.keep_labels, settings.truth.remembered, before))

    def _asks(self, sample: str) -> bool:
        """Whether its answer is needed: it was not judged, or by a label that had brought the answer with it."""
        known = self._known.get(sample)
        return sample not in self._known or (known is not None and not known.reference_version)

    def _take(self, label: Given, told: float) -> _Outcome:
        answer = self._answers.get(label.id)
        before = self._changed.get(label.id) or self._known.get(label.id)
        if before is None:
            return self._first(label, answer or _brought(label, told), told)
        if answer is None or before.reference_version or not answer.reference_version:
            return self._again(label, before, told)
        self._changed[label.id] = before = _promoted(before, answer)
        again = self._again(label, before, told)
        return replace(again, fate=Fate.TAKEN, delay=max(told - answer.time, 0.0)) if again.fate is Fate.REPEATED else again

    def _first(self, label: Given, answer: Answer | None, told: float) -> _Outcome:
        if label.id in self._known:
            return _Outcome(label, Fate.REPEATED)
        if answer is None:
            return _Outcome(label, Fate.UNKNOWN)
        self._changed[label.id] = judged(self._monitor, label.id, label.label, answer, told=told)
        return _Outcome(label, Fate.TAKEN, delay=max(told - answer.time, 0.0))

    def _again(self, label: Given, before: Judgement, told: float) -> _Outcome:
        if before.truth == label.label:
            return _Outcome(label, Fate.REPEATED)
        if told < before.told:
            message = f"a newer label says {before.truth!r:.80}, not {label.label!r:.80}: that one stands"
            return _Outcome(label, Fate.OUTDATED, message)
        self._changed[label.id] = replace(before, truth=label.label, told=told)
        message = f"it was {before.truth!r:.80} before, and is {label.label!r:.80} now; it is not counted again"
        return _Outcome(label, Fate.CORRECTED, message)


def _promoted(before: Judgement, answer: Answer) -> Judgement:
    """A label that had brought the answer with it, of the answer that was kept."""
    return judged(before.monitor, before.sample, before.truth, answer, told=before.told)


def judged(monitor: str, sample: str, truth: str, answer: Answer, *, told: float) -> Judgement:
    """What a label makes of an answer."""
    return Judgement(
        monitor=monitor,
        sample=sample,
        predicted=answer.predicted,
        truth=truth,
        confidence=answer.confidence,
        segments=answer.segments,
        cluster=answer.cluster,
        reference_version=answer.reference_version,
        time=answer.time,
        told=told,
        streams=answer.streams,
    )


def _brought(label: Given, told: float) -> Answer | None:
    """Of a sample that is not kept, where the label says what the model answered: under which reference nobody knows."""
    return None if label.predicted is None else Answer(label.predicted, float("nan"), {}, (), -1, 0, told)


def _unknown(settings: MonitorSettings) -> str:
    if not settings.truth.keep_answers:
        return "the monitor keeps no answers (truth.keep_answers: 0); say what the model answered as `predicted`"
    return (
        f"no sample with an answer of the model is kept under this id, among the newest {settings.truth.keep_answers:,}: it came without "
        "`output`, has not been read yet, or is too old; send the label again later, or with `predicted`"
    )
