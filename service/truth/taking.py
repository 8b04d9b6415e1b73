"""A delivery of labels: each finds the answer that it judges, or is named with what to do about it. Repeating one changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.errors import ConflictError
from service.ports import Store
from service.records import Answer, Judgement, Truths
from service.settings import MonitorSettings

MOST_NAMED = 100
"""Labels that an answer names."""

_ATTEMPTS = 20
"""At a revision that others raise meanwhile."""

_SHOWN_CLASSES = 20


class Fate(StrEnum):
    """What became of a label."""

    TAKEN = "taken"
    REPEATED = "repeated"
    """It says what is known."""
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
    """Matches labels with answers and keeps what is new, in one transaction; in the order of the samples' times, as they are counted."""
    for _ in range(_ATTEMPTS):
        delivery = _Delivery(settings, now)
        usable = [label for label in given if delivery.inside(label)]
        ids = list(dict.fromkeys(label.id for label in usable))
        revision, delivery.known = store.known_truth(settings.name, ids)
        answers = store.answers(settings.name, [each for each in ids if each not in delivery.known])
        for label in sorted(usable, key=lambda label: now if label.time is None else label.time):
            delivery.take(label, answers)
        try:
            if delivery.changed:
                store.judge(Truths(settings.name, delivery.in_order(), settings.truth.keep_labels, revision))
        except ConflictError:
            continue  # others were faster: what they told may be of the same samples
        return delivery.receipt()
    raise ConflictError(f"monitor {settings.name}: labels of other deliveries came between {_ATTEMPTS} times; send these again")


class _Delivery:
    """One attempt."""

    def __init__(self, settings: MonitorSettings, now: float) -> None:
        self.known: Mapping[str, Judgement] = {}
        self.changed: dict[str, Judgement] = {}
        self._settings = settings
        self._now = now
        self._counts: Counter[Fate] = Counter()
        self._named: list[Named] = []
        self._delays: list[float] = []

    def inside(self, label: Given) -> bool:
        """Whether it names classes of the monitor, where those are declared."""
        classes = self._settings.classes
        foreign = [name for name in (label.label, label.predicted) if classes and name is not None and name not in classes]
        if foreign:
            allowed = ", ".join(classes[:_SHOWN_CLASSES]) + (
                f" and {len(classes) - _SHOWN_CLASSES} more" if classes[_SHOWN_CLASSES:] else ""
            )
            self._say(label, Fate.OUTSIDE, f"{foreign[0]!r:.80} is no class of the monitor; allowed: {allowed}")
        return not foreign

    def take(self, label: Given, answers: Mapping[str, Answer]) -> None:
        """The next in order of time."""
        told = self._now if label.time is None else min(label.time, self._now)
        before = self.changed.get(label.id) or self.known.get(label.id)
        if before is not None:
            self._again(label, before, told)
            return
        answer = answers.get(label.id) or _brought(label, told)
        if answer is None:
            self._say(label, Fate.UNKNOWN, _unknown(self._settings))
            return
        self._counts[Fate.TAKEN] += 1
        self._delays.append(max(told - answer.time, 0.0))
        self.changed[label.id] = judged(self._settings.name, label.id, label.label, answer, told=told)

    def in_order(self) -> tuple[Judgement, ...]:
        """As they count."""
        return tuple(sorted(self.changed.values(), key=lambda judgement: judgement.time))

    def receipt(self) -> Receipt:
        """What became of them."""
        return Receipt(dict(self._counts), tuple(self._named[:MOST_NAMED]), tuple(self._delays))

    def _again(self, label: Given, before: Judgement, told: float) -> None:
        if before.truth == label.label:
            self._counts[Fate.REPEATED] += 1
        elif told < before.told:
            self._say(label, Fate.OUTDATED, f"a newer label says {before.truth!r:.80}, not {label.label!r:.80}: that one stands")
        else:
            self._say(label, Fate.CORRECTED, f"it was {before.truth!r:.80} before, and is {label.label!r:.80} now; it is not counted again")
            answer = Answer(*(getattr(before, name) for name in Answer.__slots__))
            self.changed[label.id] = judged(before.monitor, label.id, label.label, answer, told=told)

    def _say(self, label: Given, fate: Fate, message: str) -> None:
        self._counts[fate] += 1
        if len(self._named) < MOST_NAMED:
            self._named.append(Named(label.id, fate, message))


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
