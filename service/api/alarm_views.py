"""An alarm as JSON, with all that explains it."""

from __future__ import annotations

from pydantic import Field

from service.api.schemas import MeasuredView, PageView, StepView, Time, View
from service.records import AlarmState, Family, Regime, Severity, Verdict


class ExemplarView(View):
    """A sample that shows what moved."""

    id: str
    text: str
    novelty: float


class ClusterView(View):
    """How a group of samples' share of the traffic moved, most certain first."""

    cluster: str = Field(description="Its label, or the words that tell it from others; `novel` of what the reference hardly has.")
    reference_share: float
    window_share: float
    change: MeasuredView | None = Field(description="Of the share, with an interval that holds over all clusters together.")
    exemplars: tuple[ExemplarView, ...] = Field(description="Of the side that holds more of it: the window, or the reference.")


class OnsetView(View):
    """When the change began, with a 90 % interval."""

    time: Time
    earliest: Time
    latest: Time
    samples_ago: MeasuredView = Field(description="Samples of the stream before the end of what was looked at.")


class ContributionView(View):
    """How much of the drift a segment brings."""

    segment: str
    share: float = Field(description="Of what moved.")
    traffic: float = Field(description="Of the window's samples.")


class TermView(View):
    """A word that tells the window from the reference: shares of their texts that hold it."""

    term: str
    window_share: float
    reference_share: float


class ConfusionView(View):
    """A class that is taken for another more often than before: shares of the labels."""

    truth: str
    answer: str
    window_share: float
    before_share: float
    change: MeasuredView


class FindingView(View):
    """How the window's samples arrived, which may be what the alarm comes from."""

    what: str
    share: float
    expected: float
    advice: str


class AccuracyView(View):
    """How often the model is right, told from its confidence without labels."""

    window: MeasuredView = Field(description="Holds as long as a confidence goes on meaning what it meant in the reference.")
    reference: MeasuredView = Field(description="Of the labelled reference rows, counted.")
    slope: MeasuredView = Field(description="Of the calibration: below 1 the model is over-confident.")
    intercept: MeasuredView


class AlarmView(View):
    """An episode of drift."""

    id: str
    monitor: str
    segment: str
    family: Family
    reference_version: int
    kind: str
    severity: Severity
    state: AlarmState
    at_sample: int
    opened: Time
    window_samples: int
    window_start: Time
    effect: MeasuredView = Field(description="Equivalent share of new content; above 1: farther than if all of the traffic were.")
    novel_share: MeasuredView
    channel: str = Field(description="That surprised most.")
    effect_channel: str = Field(description="That `effect` is measured in.")
    accuracy: AccuracyView | None
    run_length: float | None = Field(description="Samples until a false alarm, as the stream was tuned when the episode opened.")
    regime: Regime = Field(description="`advisory` and `shadow` alarms are outside the budget of false alarms.")
    quiet: bool = Field(description="Nobody was notified, and no refresh cycle opens.")
    exemplars: tuple[ExemplarView, ...]
    clusters: tuple[ClusterView, ...]
    findings: tuple[FindingView, ...]
    as_of: int = Field(description="Samples of the stream up to which it was looked at again for what it shows; 0: when it opened.")
    onset: OnsetView | None
    contributions: tuple[ContributionView, ...] = Field(description="Segments that bring most beyond their traffic first.")
    terms: tuple[TermView, ...] = Field(description="Of texts, most telling first.")
    missed: tuple[ExemplarView, ...] = Field(description="Reference samples of which the window holds the fewest.")
    confusions: tuple[ConfusionView, ...] = Field(description="Of answers that became wrong.")
    judged: int = Field(description="Likewise: labels that these are shares of, the window's and those that came since.")
    label_delay: MeasuredView | None = Field(description="Likewise: seconds from a sample to its label.")
    verdict: Verdict | None
    history: tuple[StepView, ...]
    version: int


class Alarms(PageView):
    """Newest first."""

    alarms: tuple[AlarmView, ...]
