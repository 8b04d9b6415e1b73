"""How a monitor's streams are tuned: each one's run length and regime, from the configuration, the reference and the last allocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.budget import Allocation, Demand, allocate
from service.records import WHOLE, Regime
from service.reference import Reference
from service.settings import MonitorSettings

ANSWERS_SHARE = 0.1
"""Of a stream's false alarms those that the test of its answers may raise, once labels come; the scan then has the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """A run length that the monitor's own configuration sets is split among its streams. A monitor without one gets each stream's
    from the installation's budget, and until the first allocation starts like all others. A run length is that of all tests of a
    stream together; labels are no more than samples, so as many labels for each alarm of theirs keep to it."""

    settings: MonitorSettings
    reference: Reference
    allocation: Allocation | None = None
    judged: bool = False
    """Whether labels come, so that answers are tested too."""
    _own: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        per_sample = 1 / min(self.settings.detection.first_run_length, self.supported)
        weights, rates = self.settings.segments.importance, self._reference_rates()
        demands = [Demand(self.settings.name, s, rates[s], weights.get(s, 1.0)) for s in self.reference.slices]
        object.__setattr__(self, "_own", {share.demand.segment: share.run_length for share in allocate(demands, per_sample)})

    @property
    def supported(self) -> float:
        """The longest run length that the reference holds its streams to: a slice has its own null law, and the monitor's map from
        evidence to run length. Where answers are tested too, the scan has to run longer than both together."""
        return self.reference.model.calibration.supported * (1 - self.answers_share)

    @property
    def answers_share(self) -> float:
        """Of each stream's false alarms those of its answers."""
        return ANSWERS_SHARE if self.judged else 0.0

    def scanned(self, segment: str) -> float:
        """The run length of the stream's scan alone."""
        return self.run_length(segment) / (1 - self.answers_share)

    def answered(self, segment: str) -> float:
        """The run length of the test of its answers, in labels."""
        return self.run_length(segment) / ANSWERS_SHARE

    def asked(self, segment: str) -> float:
        """Samples until a false alarm that the stream's share comes to."""
        if self.allocation is not None and self._allocated(segment):
            return self.allocation.run_lengths[segment]
        return self._own[segment]

    def run_length(self, segment: str) -> float:
        """The run length that the stream runs at: no longer than its reference supports."""
        return min(self.asked(segment), self.supported) if self._allocated(segment) else self.asked(segment)

    def regime(self, segment: str) -> Regime:
        """On what terms the stream raises alarms. One that the last allocation left outside stays so until another gives it a share. A
        run length of the monitor's own never makes it advisory: the reference was accepted for it."""
        if self.settings.detection.mode == "shadow":
            return Regime.SHADOW
        if self.allocation is None or not self._allocated(segment):
            return Regime.ACTIVE
        inside = self.allocation.shares[segment] > 0 and self.asked(segment) <= self.supported
        return Regime.ACTIVE if inside else Regime.ADVISORY

    def quiet(self, segment: str) -> bool:
        """Whether the stream's alarms notify nobody."""
        regime, told = self.regime(segment), self.settings.detection.advisory
        advisory_and_silent = regime is Regime.ADVISORY and (told == "silent" or (told == "whole" and segment != WHOLE))
        return regime is Regime.SHADOW or advisory_and_silent

    @property
    def per_alarm(self) -> float:
        """Samples of the whole stream per false alarm, over all streams but advisory ones."""
        whole = self.allocation is not None and all(self._allocated(segment) for segment in self.reference.slices)
        rates = self.allocation.rates if self.allocation is not None and whole else self._reference_rates()
        counted = [s for s in self.reference.slices if self.regime(s) is not Regime.ADVISORY] or [WHOLE]
        return rates[WHOLE] / sum(max(rates[s], 1e-9) / self.run_length(s) for s in counted)

    def _allocated(self, segment: str) -> bool:
        """Whether a share of the installation's budget decides."""
        return self.settings.detection.run_length is None and self.allocation is not None and segment in self.allocation.run_lengths

    def _reference_rates(self) -> Mapping[str, float]:
        """Each stream's traffic in the reference, as a share of the whole."""
        return {WHOLE: 1.0, **self.reference.segment_shares}
