"""An alarm and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """Which kind of channel raised an alarm."""

    INPUT = "input"
    OUTPUT = "output"
    QUALITY = "quality"
    CONCEPT = "concept"
    """Inputs alike, answers changed: told by labels that came later, by no channel of the scan."""
    FEED = "feed"
    """None of them: the monitor does not see its input, or none comes."""


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class Regime(StrEnum):
    """On what terms a stream raises alarms; only active streams take part in the budget of false alarms."""

    ACTIVE = "active"
    ADVISORY = "advisory"
    """Its reference can't support the run length that its share of the budget asks for."""
    SHADOW = "shadow"


class AlarmState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Verdict(StrEnum):
    TRUE = "true"
    FALSE = "false"
    SEASONAL = "seasonal"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an entity's life: the state it led to and the named reason. `time` is log time or the actor's clock."""

    state: str
    reason: str
    time: float
    actor: str = "driftgate"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """An estimate with its interval, in the unit that the field's documentation states."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the model is right over a window, told from its confidence: holds as long as a confidence goes on meaning what it meant
    in the reference."""

    window: Measured
    reference: Measured
    """The same of the labelled reference rows, counted."""
    slope: Measured
    """Of the calibration: 1 where the model's confidence can be taken at its word, below 1 where it is over-confident."""
    intercept: Measured


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample that shows what moved; `text` is cut to 200 characters and empty for images and vectors."""

    id: str
    text: str
    novelty: float


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """How a group of samples' share of the traffic moved. It is named by its label or by the words that tell it from others; `novel` is
    what the reference hardly has, where there are neither."""

    cluster: str
    reference_share: float
    window_share: float
    exemplars: tuple[Exemplar, ...] = ()
    change: Measured | None = None
    """Of the share, with an interval that holds over all groups that there could have been."""


@dataclass(frozen=True, slots=True)
class Onset:
    """When the change began, with a 90 % interval: log times, and samples of the stream before the window's end (of answers that
    became wrong: times of samples, and labelled ones)."""

    time: float
    earliest: float
    latest: float
    samples_ago: Measured


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much of the drift a segment brings: its share of what moved, beside its share of the window's samples."""

    segment: str
    share: float
    traffic: float


@dataclass(frozen=True, slots=True)
class Term:
    """A word that tells the window from the reference: in which shares of their texts it stands."""

    term: str
    window_share: float
    reference_share: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about how the window's samples arrived, which may be what the alarm comes from: is it us?"""

    what: str
    share: float
    """Of the window, 0 to 1."""
    expected: float
    """The same of the reference."""
    advice: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """A class that is taken for another more often than before: shares of the labels, and of how much, with an interval that holds over
    all pairs together."""

    truth: str
    answer: str
    window_share: float
    before_share: float
    change: Measured


@dataclass(frozen=True, slots=True)
class Alarm:
    """An episode of drift on one stream and channel family, or of a feed that brings no samples to see drift in."""

    id: str
    monitor: str
    segment: str
    family: Family
    reference_version: int
    kind: str
    """The finer kind of drift, an annotation that is revised once the window has doubled: `new content`, `changed mix`,
    `quality loss: spelling high`, `changed predictions`, `confidence`, `feed: repeated samples`; of the feed's own family
    `blind: 34 % lost (type)` and `no traffic for 3 min`; of answers that became wrong `answers changed`."""
    severity: Severity
    state: AlarmState
    at_sample: int
    """Samples of the stream, from its start or last reset, up to the pane that opened the episode."""
    at_sequence: int
    opened: float
    window_samples: int
    window_start: float
    effect: Measured
    """Equivalent share of new content: 0.1 is the effect of a tenth of the traffic coming from an unseen topic. Above 1 the traffic is
    farther from the reference than if all of it were typical new content. Of answers that became wrong: how much their share grew."""
    novel_share: Measured
    channel: str
    """That surprised most."""
    effect_channel: str = ""
    """That `effect` is measured in."""
    accuracy: Accuracy | None = None
    run_length: float | None = None
    """Samples until a false alarm on the stream as it was tuned when the episode opened."""
    regime: Regime = Regime.ACTIVE
    quiet: bool = False
    """Kept and shown, but nobody is notified and no refresh cycle opens."""
    exemplars: tuple[Exemplar, ...] = ()
    clusters: tuple[ClusterChange, ...] = ()
    """Most certain first."""
    findings: tuple[Finding, ...] = ()
    as_of: int = 0
    """Samples of the stream, counted as `at_sample`, up to which it was looked at again for what it shows; 0: when it opened."""
    onset: Onset | None = None
    contributions: tuple[Contribution, ...] = ()
    """Those first that bring most beyond their traffic."""
    terms: tuple[Term, ...] = ()
    """Of texts: most telling first."""
    missed: tuple[Exemplar, ...] = ()
    """Reference samples of which the window holds the fewest: the other side of `exemplars`."""
    confusions: tuple[Confusion, ...] = ()
    """Of answers that became wrong: what is taken for what, the most grown first."""
    judged: int = 0
    """Likewise: labels that these are shares of, the window's and those that came since."""
    label_delay: Measured | None = None
    """Likewise: seconds from a sample to its label, the median, and between which eight of ten lie."""
    verdict: Verdict | None = None
    history: tuple[Step, ...] = ()
    version: int = 0
