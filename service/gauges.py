"""What is read at each scrape: how well every monitor sees, how far partitions are, and what this process holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.cycles.due import Due, Freshness
from service.cycles.standing import PEOPLE, Standing
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


class Occasions(Protocol):
    """What was found at the last look at the clock."""

    @property
    def found(self) -> Mapping[str, Sequence[Due]]:
        """Due, and not opened, by monitor."""

    @property
    def freshness(self) -> Mapping[str, Freshness]:
        """Of the test set, by monitor."""


class CycleFigures(Collector):
    """Of the refresh cycle that each monitor has open: where it is, for how long, and whether it is stuck."""

    def __init__(self, standings: Callable[[], Iterable[Standing]], occasions: Occasions, *, clock: Callable[[], float]) -> None:
        self._standings = standings
        self._occasions = occasions
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query the store."""
        return ()

    def collect(self) -> Iterator[Metric]:
        labels, now = ["monitor", "state"], self._clock()
        state = GaugeMetricFamily("driftgate_refresh_cycle_state", "1 for the state that the monitor's open cycle is in.", labels=labels)
        age = GaugeMetricFamily("driftgate_refresh_cycle_age_seconds", "How long it has waited for what it waits for.", labels=labels)
        stuck = GaugeMetricFamily("driftgate_refresh_cycle_stuck", "1 when that is longer than refresh.limits has it.", labels=labels)
        waits = GaugeMetricFamily("driftgate_refresh_approval_waits", "1 while it waits for a person's word.", labels=["monitor"])
        for each in self._standings():
            of = [each.cycle.monitor, each.cycle.state.value]
            state.add_metric(of, 1.0)
            age.add_metric(of, max(0.0, now - each.since))
            stuck.add_metric(of, float(each.stuck(now)))
            waits.add_metric(of[:1], float(each.awaited in PEOPLE))
        yield from (state, age, stuck, waits)
        yield from self._occasional()

    def _occasional(self) -> Iterator[Metric]:
        """What whoever leads has found at its last look."""
        due = GaugeMetricFamily("driftgate_refresh_due", "1 while a refresh is due that did not open.", labels=["monitor", "trigger"])
        for monitor, found in sorted(self._occasions.found.items()):
            for each in found[:1]:
                due.add_metric([monitor, each.trigger.value], 1.0)
        fresh = GaugeMetricFamily(
            "driftgate_test_set_freshness_ratio", "Share of the traffic that the test set covers.", labels=["monitor"]
        )
        for monitor, measured in sorted(self._occasions.freshness.items()):
            if math.isfinite(measured.share):
                fresh.add_metric([monitor], measured.share)
        yield from (due, fresh)


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
