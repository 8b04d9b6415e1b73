"""A registry and how it is scraped; a store; an alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.adapters.sqlite import SqliteStore
from service.metrics import Metrics, exposition
from service.records import Alarm, AlarmState, Family, Measured, Severity, Step

Values = Callable[[], Mapping[tuple[str, ...], float]]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, ["chat", "mail"], version="1.2.3")


@pytest.fixture
def values(registry: CollectorRegistry) -> Values:
    """Scrapes: (name without its prefix, label values in order of label name) → value."""

    def scrape() -> Mapping[tuple[str, ...], float]:
        text = exposition(registry, "")[0].decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(s.name.removeprefix("driftgate_"), *(s.labels[name] for name in sorted(s.labels))): s.value for s in samples}

    return scrape


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@pytest.fixture
def alarm() -> Alarm:
    """Of drift, and open."""
    return Alarm(
        id="a1", monitor="chat", segment="all", family=Family.INPUT, reference_version=1, kind="new content", severity=Severity.WARNING,
        state=AlarmState.OPEN, at_sample=1, at_sequence=1, opened=5.0, window_samples=1, window_start=0.0, effect=Measured(0.1, 0.0, 0.2),
        novel_share=Measured(0.1, 0.0, 0.2), channel="features", version=1,
        history=(Step("open", "evidence above the threshold and effect above the tolerance", 5.0),),
    )  # fmt: skip
