"""What the worker knows of a monitor: its settings, its embedder and, once there is one, its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from detectors.summarizer import Summarizer
from service.errors import ArtefactError
from service.folding import PaneRules
from service.ports import Embedder
from service.quality import Gauge
from service.records import Output
from service.redaction import Redaction
from service.settings import MonitorSettings


class KnownGood(Protocol):
    """The part of a reference that folding needs."""

    @property
    def version(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def summarizer(self) -> Summarizer: ...

    @property
    def gauge(self) -> Gauge | None: ...

    @property
    def segment_values(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each tag that have a segment of their own."""

    @property
    def duplicate(self) -> float:
        """Cosine, seen from its centre, from which two samples say the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """That part alone: a worker of many monitors keeps no reference rows."""

    version: int
    fingerprint: str
    summarizer: Summarizer
    gauge: Gauge | None
    segment_values: Mapping[str, tuple[str, ...]]
    duplicate: float

    @classmethod
    def of(cls, reference: KnownGood) -> Known:
        """Of a whole reference."""
        return cls(
            reference.version, reference.fingerprint, reference.summarizer, reference.gauge, reference.segment_values, reference.duplicate
        )


@dataclass(frozen=True, slots=True, eq=False)
class WatchedMonitor:
    """Replaced as a whole, between batches. Without a reference samples are kept for building one, and make no panes."""

    settings: MonitorSettings
    embedder: Embedder
    reference: KnownGood | None = None
    shape: int = 0
    """Version of what shapes the panes."""
    model_version: str = ""
    """What outputs of the model in force carry, as production has shown; '' where it has not."""
    room: Callable[[int], bool] = lambda _: True
    """Whether so many more samples are kept with their payloads."""
    rules: PaneRules | None = field(init=False)
    redaction: Redaction = field(init=False)

    def __post_init__(self) -> None:
        if self.reference is not None and self.reference.fingerprint != self.embedder.fingerprint:
            raise ArtefactError(
                f"monitor {self.settings.name}: reference {self.reference.version} was made with another embedder "
                f"({self.reference.fingerprint}, now {self.embedder.fingerprint}); build a reference with this one or restore the other"
            )
        object.__setattr__(self, "rules", self.reference and self._rules(self.reference))
        object.__setattr__(self, "redaction", Redaction.of(self.settings.privacy))

    def disowns(self, output: Output | None) -> bool:
        """Whether another model than the one in force says that it answered: an old one on its way out, or the next one on trial."""
        return bool(self.model_version and output and output.model_version and output.model_version != self.model_version)

    @property
    def keeps_payloads(self) -> bool:
        """Whether kept samples have them."""
        return self.settings.pool.keep_payloads and self.redaction.keeps

    @property
    def joins(self) -> bool:
        """Whether requests wait for their responses."""
        return self.settings.kserve is not None and self.settings.kserve.responses != "none"

    @property
    def response_timeout(self) -> float:
        """Seconds of log time that a request waits."""
        return self.settings.kserve.response_timeout if self.settings.kserve else 0.0

    def _rules(self, reference: KnownGood) -> PaneRules:
        detection, tags = self.settings.detection, self.settings.segments.tags
        return PaneRules(
            monitor=self.settings.name,
            reference_version=reference.version,
            summarizer=reference.summarizer,
            samples=detection.pane_samples,
            seconds=detection.pane_seconds,
            tags={tag: {value: f"{tag}={value}" for value in reference.segment_values.get(tag, ())} for tag in tags},
            gauge=reference.gauge,
        )
