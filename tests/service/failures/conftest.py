"""A monitor of texts whose model fails on some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from service.failures.listing import Failures
from service.ports import Embedder
from service.records import Judgement, Output, Sample, Truths
from service.settings import MonitorSettings

if TYPE_CHECKING:
    from tests.service.text_site import Site

CLASSES = ("refund", "parcel", "weather")


def answered(id: str, text: str, answer: str, *, sure: float = 0.9, time: float = 1_500.0) -> Sample:
    """What the model said with which confidence; the rest is spread evenly."""
    rest = (1 - sure) / (len(CLASSES) - 1)
    probabilities = tuple(sure if name == answer else rest for name in CLASSES)
    return Sample("chat", id, time, text, {"locale": "de"}, Output(answer, probabilities))


def judged(sample: Sample, truth: str, *, told: float = 1_900.0) -> Judgement:
    """What turned out to be right."""
    assert sample.output
    return Judgement("chat", sample.id, sample.output.label or "", truth, 0.9, sample.segments, 0, 1, sample.time, told)


@dataclass
class Failing:
    """The site with its failures."""

    site: Site
    settings: MonitorSettings

    @property
    def failures(self) -> Failures:
        """A process's own."""
        return Failures(self.site.store, self.site.references, self.site.data_sets, self)

    def effective(self, monitor: str) -> MonitorSettings:
        """The only monitor's."""
        assert monitor == "chat"
        return self.settings

    def embedder(self, monitor: str) -> Embedder:
        """The only monitor's."""
        assert monitor == "chat"
        return self.site.model

    def tell(self, samples: Sequence[Sample], truth: str, *, told: float = 1_900.0) -> None:
        """What was right of samples that are kept."""
        self.site.store.judge(Truths("chat", tuple(judged(sample, truth, told=told) for sample in samples), 1_000))

    def fail(self, texts: Sequence[str], truth: str, answer: str, *, prefix: str, start: float = 1_500.0) -> list[Sample]:
        """Keeps samples, a second apart, and tells that the answers to them were wrong."""
        samples = [answered(f"{prefix}{i}", text, answer, time=start + i) for i, text in enumerate(texts)]
        self.site.keep(samples)
        self.tell(samples, truth)
        return samples


@pytest.fixture
def failing(site: Site) -> Failing:
    return Failing(site, site.settings)
