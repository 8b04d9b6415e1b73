"""What is read at each scrape: how well every monitor sees, how far partitions are, and what this process holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.ports import Store
from service.records import Partition


class FeedFigures(Collector):
    """Of the store, so that they are the same from whatever process and a restart forgets nothing."""

    def __init__(self, store: Store, monitors: Callable[[], Iterable[str]]) -> None:
        self._store = store
        self._monitors = monitors

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query the store."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._sights()
        yield from self._errors()
        yield from self._positions()

    def _sights(self) -> Iterator[Metric]:
        lost = GaugeMetricFamily("driftgate_input_loss_ratio", "Share of the latest window's input that was lost.", labels=["monitor"])
        blind = GaugeMetricFamily(
            "driftgate_monitor_blind", "1 while too much of the input is lost to tell drift, or its answers.", labels=["monitor"]
        )
        for monitor in self._monitors():
            feed: Mapping[str, Any] = self._store.status(monitor).get("feed", {})
            if feed:
                lost.add_metric([monitor], feed["lost_share"])
                blind.add_metric([monitor], float(feed["blind"]))
        yield lost
        yield blind

    def _errors(self) -> Iterator[Metric]:
        text = "Share of wrong answers among those with a label, under the reference in force"
        bounds = {"estimate": ("", "."), "low": ("_low", ": lower bound."), "high": ("_high", ": upper bound.")}
        gauges = {
            bound: GaugeMetricFamily(f"driftgate_error_rate{name}_ratio", text + what, labels=["monitor"])
            for bound, (name, what) in bounds.items()
        }
        for monitor in self._monitors():
            rate = (self._store.status(monitor).get("truth") or {}).get("error_rate")
            for bound, gauge in gauges.items():
                if rate is not None:
                    gauge.add_metric([monitor], rate[bound])
        yield from gauges.values()

    def _positions(self) -> Iterator[Metric]:
        lost, stopped = Counter[str](), Counter[str]()
        for position in self._store.positions():
            lost[position.partition.topic] += position.lost
            stopped[position.partition.topic] += bool(position.stopped and not position.retired)
        gone = CounterMetricFamily("driftgate_records_lost", "Records that the log let go of before they were read.", labels=["topic"])
        waits = GaugeMetricFamily(
            "driftgate_partition_stopped", "Partitions that wait until a person says where to read on.", labels=["topic"]
        )
        for topic in lost:
            gone.add_metric([topic], lost[topic])
            waits.add_metric([topic], stopped[topic])
        yield gone
        yield waits


class ProcessFigures(Collector):
    """Of this process alone; what it has no part in has no series."""

    def __init__(
        self,
        *,
        lag: Callable[[], Mapping[Partition, int]] | None = None,
        leads: Callable[[], bool] | None = None,
        unsent: Callable[[], int] | None = None,
        blobs: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        """lag: records of each partition that wait to be read. leads: whether it holds the right to decide. unsent: dead letters that
        wait for their topic. blobs: bytes stored, and payloads that did not fit."""
        self._lag = lag
        self._leads = leads
        self._unsent = unsent
        self._blobs = blobs

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is told is known at a scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        if self._lag is not None:
            yield _by_topic(self._lag())
        if self._leads is not None:
            yield GaugeMetricFamily("driftgate_leader", "1 in the process that decides.", value=float(self._leads()))
        if self._unsent is not None:
            text = "Dead letters that wait in the store for their topic."
            yield GaugeMetricFamily("driftgate_dead_letters_unsent", text, value=self._unsent())
        if self._blobs is not None:
            size, refused = self._blobs()
            yield GaugeMetricFamily("driftgate_blob_bytes", "Payloads that are kept.", value=size)
            yield CounterMetricFamily("driftgate_blobs_refused", "Payloads that the cap left no room for.", value=refused)


def _by_topic(lag: Mapping[Partition, int]) -> Metric:
    behind = Counter[str]()
    for partition, records in lag.items():
        behind[partition.topic] += records
    family = GaugeMetricFamily("driftgate_consumer_lag_records", "Records of its partitions that wait to be read.", labels=["topic"])
    for topic, records in behind.items():
        family.add_metric([topic], records)
    return family
