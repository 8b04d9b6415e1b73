"""A scrape: what is shown, in which format, and that it stays within bounds."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.metrics.declared import MONITOR
from service.metrics.inventory import SERIES, SERIES_LEFT_OUT

MAX_SERIES = 150_000
"""Of one process. A thousand monitors with all that they can have stay below it."""


class Scrape(Collector):
    """A registry without the client library's `_created` series, which double the number of counters, and cut where it is too large.

    Metrics that belong to no monitor come first; of the others those that no longer fit are left out as a whole, so that sums over
    monitors are right or absent.
    """

    def __init__(self, registry: CollectorRegistry, cap: int = MAX_SERIES) -> None:
        self._registry = registry
        self._cap = cap

    def collect(self) -> Iterator[Metric]:
        shown, left_out = 2, 0  # with the two that tell so
        found = [_lean(metric) for metric in self._registry.collect()]
        for metric in sorted(found, key=_of_monitors):
            if shown + len(metric.samples) > self._cap:
                left_out += len(metric.samples)
                continue
            shown += len(metric.samples)
            yield metric
        yield GaugeMetricFamily(SERIES.name, SERIES.meaning, value=shown)
        yield GaugeMetricFamily(SERIES_LEFT_OUT.name, SERIES_LEFT_OUT.meaning, value=left_out)


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The registry as text, in the format that the scraper accepts, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(Scrape(registry)), content_type


def _lean(metric: Metric) -> Metric:
    metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
    return metric


def _of_monitors(metric: Metric) -> bool:
    return any(MONITOR in sample.labels for sample in metric.samples[:1])
