"""What driftgate tells Prometheus. Events are counted as they happen; figures of the store are read at each scrape.

Labels are bounded: monitors are the configured ones (`__unknown__` otherwise), reasons and kinds are capped (`__other__`
beyond), and only a monitor's first segments have series of their own; the rest is in `/v1/monitors/{monitor}`.
Ids are never labels. A monitor has fewer than 100 series.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.alarms import of_drift
from service.observe import Reading
from service.ports import Store
from service.records import OTHER, WHOLE, Alarm, AlarmState, CycleState, Family, Pane, RefreshCycle

UNKNOWN = "__unknown__"
MAX_REASONS = 40
MAX_SEGMENTS = 8
"""Segments per monitor with series of their own, in order of appearance."""
MAX_COUNTED = 1_000
"""Entities that one scrape counts; a queue longer than this reads as this."""

_BATCH_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_STEP_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10)
_DELAY_SECONDS = (60, 3_600, 86_400, 7 * 86_400, 30 * 86_400)
_STREAM = ("monitor", "segment", "family")


class Bounded:
    """Label values, up to a number of different ones; the rest share `__other__`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def label(self, value: str) -> str:
        """The value itself, or `__other__` once there are too many."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value


class Metrics:
    """The observer that counts for Prometheus."""

    def __init__(self, registry: CollectorRegistry, monitors: Iterable[str], *, version: str) -> None:
        self._monitors = frozenset(monitors)
        self._reasons = Bounded(MAX_REASONS)
        self._kinds = Bounded(MAX_REASONS)
        self._segments = {monitor: Bounded(MAX_SEGMENTS) for monitor in self._monitors}
        self._fingerprints: dict[str, str] = {}
        self._declare_samples(registry)
        self._declare_decisions(registry)
        build = Gauge("driftgate_build_info", "Always 1; the label is the running version.", ["version"], registry=registry)
        build.labels(version).set(1)

    def _declare_samples(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"driftgate_{name}", text, ["monitor", *labels], registry=registry)

        self._received = counter("samples_received", "Samples and events that arrived over HTTP.")
        self._taken = counter("samples_taken", "Samples folded into panes.")
        self._duplicates = counter("samples_duplicate", "Samples not taken because their id was among the recent ones.")
        self._rejected = counter("samples_rejected", "Samples refused at the door, with the reason in the answer.", "reason")
        self._dead_letters = counter("dead_letters", "Accepted items that could not be used.", "reason")
        self._unanswered = counter("samples_unanswered", "Samples of requests whose answer did not come.", "reason")
        self._panes = counter("panes_closed", "Panes closed, those of segments included.")
        self._embedded = counter("samples_embedded", "Samples embedded.")
        self._embed_seconds = Histogram(
            "driftgate_embed_seconds", "Time to embed a batch.", ["monitor"], buckets=_BATCH_SECONDS, registry=registry
        )
        self._commit_seconds = Histogram("driftgate_commit_seconds", "Time to commit a batch.", buckets=_STEP_SECONDS, registry=registry)
        self._labels = counter("labels", "Labels that came, by what became of them.", "outcome")
        text = "Time from a sample to its label."
        self._label_delay = Histogram("driftgate_label_delay_seconds", text, ["monitor"], buckets=_DELAY_SECONDS, registry=registry)
        self._last_pane = Gauge(
            "driftgate_last_pane_timestamp_seconds", "Log time of the last closed pane.", ["monitor"], registry=registry
        )
        self._embedder = Gauge(
            "driftgate_embedder_info", "Always 1; the label is the embedder in use.", ["monitor", "fingerprint"], registry=registry
        )
        self._overflow = Counter(
            "driftgate_label_overflow", "Values without series of their own because their label is capped.", ["label"], registry=registry
        )

    def _declare_decisions(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: Sequence[str] = _STREAM) -> Gauge:
            return Gauge(f"driftgate_{name}", text, labels, registry=registry)

        self._crossings = Counter("driftgate_crossings", "Times that evidence passed its threshold.", ["monitor"], registry=registry)
        self._alarm_steps = Counter("driftgate_alarm_steps", "Alarms that came to a state.", ["monitor", "state"], registry=registry)
        self._deliveries = Counter("driftgate_deliveries", "Attempts to deliver from the outbox.", ["kind", "outcome"], registry=registry)
        self._decision_seconds = Histogram(
            "driftgate_decision_seconds", "Time to decide on new panes.", buckets=_STEP_SECONDS, registry=registry
        )
        self._last_decision = gauge("last_decision_timestamp_seconds", "Log time up to which panes are decided.", ["monitor"])
        self._evidence = gauge("evidence", "Evidence for drift, on the scale of the threshold.")
        self._threshold = gauge("evidence_threshold", "Evidence at which the stream alarms.")
        whole = ["monitor", "family"]
        self._effect = gauge("effect_ratio", "Effect on the whole stream, as an equivalent share of new content.", whole)
        self._effect_low = gauge("effect_low_ratio", "Lower bound of the effect.", whole)
        self._effect_high = gauge("effect_high_ratio", "Upper bound of the effect.", whole)
        self._novel = gauge("novel_share_ratio", "Share of the whole stream that lies near no reference cluster.", whole)
        self._silent = gauge("monitor_silent_seconds", "How long nothing of the monitor has come, while this process looks.", ["monitor"])
        text = "Accuracy of the model on the whole stream, told from its calibrated confidence without labels"
        self._accuracy = gauge("accuracy_estimate_ratio", f"{text}.", ["monitor"])
        self._accuracy_low = gauge("accuracy_estimate_low_ratio", f"{text}: lower bound.", ["monitor"])
        self._accuracy_high = gauge("accuracy_estimate_high_ratio", f"{text}: upper bound.", ["monitor"])

    def watch(self, monitors: Iterable[str]) -> None:
        """These are the monitors from now on; the series of one that is gone end."""
        declared = frozenset(monitors)
        for name in declared - self._monitors:
            self._segments[name] = Bounded(MAX_SEGMENTS)
        gone, self._monitors = self._monitors - declared, declared
        for name in gone:
            self._end(name)

    def lead_lost(self) -> None:
        """Another process decides now: what this one has last decided is no figure of today."""
        shown = (self._evidence, self._threshold, self._effect, self._effect_low, self._effect_high, self._novel)
        for gauge in (*shown, self._accuracy, self._accuracy_low, self._accuracy_high, self._last_decision, self._silent):
            gauge.clear()

    def _end(self, monitor: str) -> None:
        del self._segments[monitor]
        self._fingerprints.pop(monitor, None)
        for metric in vars(self).values():
            if isinstance(metric, Counter | Gauge | Histogram) and "monitor" in metric._labelnames:
                metric.remove_by_labels({"monitor": monitor})

    # --- ingest and worker

    def received(self, monitor: str, samples: int) -> None:
        self._received.labels(self._known(monitor)).inc(samples)

    def rejected(self, monitor: str, reason: str) -> None:
        self._rejected.labels(self._known(monitor), self._capped(self._reasons, "reason", reason)).inc()

    def samples(self, monitor: str, taken: int, duplicates: int) -> None:
        self._taken.labels(self._known(monitor)).inc(taken)
        self._duplicates.labels(self._known(monitor)).inc(duplicates)

    def dead_letter(self, monitor: str | None, reason: str) -> None:
        self._dead_letters.labels(self._known(monitor), self._capped(self._reasons, "reason", reason)).inc()

    def embedded(self, monitor: str, samples: int, seconds: float) -> None:
        self._embedded.labels(self._known(monitor)).inc(samples)
        self._embed_seconds.labels(self._known(monitor)).observe(seconds)

    def unanswered(self, monitor: str, reason: str, samples: int) -> None:
        self._unanswered.labels(self._known(monitor), self._capped(self._reasons, "reason", reason)).inc(samples)

    def committed(self, closed: Sequence[Pane], seconds: float) -> None:
        self._commit_seconds.observe(seconds)
        for pane in closed:
            monitor = self._known(pane.key.monitor)
            self._panes.labels(monitor).inc()
            self._last_pane.labels(monitor).set(pane.last_time)

    def embedder(self, monitor: str, fingerprint: str) -> None:
        """Names the embedder that the monitor uses from now on."""
        before = self._fingerprints.get(monitor)
        if before is not None:
            self._embedder.remove(monitor, before)
        short = self._fingerprints[monitor] = fingerprint[:12]
        self._embedder.labels(monitor, short).set(1)

    # --- controller and outbox

    def decided(self, monitor: str, *, time: float, seconds: float, readings: Sequence[Reading] = ()) -> None:
        self._decision_seconds.observe(seconds)
        self._last_decision.labels(self._known(monitor)).set(time)
        for reading in readings:
            self._read(self._known(monitor), reading)

    def _read(self, monitor: str, reading: Reading) -> None:
        if reading.crossed:
            self._crossings.labels(monitor).inc()
        if reading.segment == WHOLE:
            self._read_whole(monitor, reading)
        elif not self._has_series(monitor, reading.segment):
            return
        stream = (monitor, reading.segment, reading.family.value)
        for family in Family:  # a stream has one family at a time: the other's last figures would stand for ever
            if family is not reading.family:
                self._evidence.remove(monitor, reading.segment, family.value)
                self._threshold.remove(monitor, reading.segment, family.value)
        self._evidence.labels(*stream).set(reading.evidence)
        self._threshold.labels(*stream).set(reading.threshold)

    def _read_whole(self, monitor: str, reading: Reading) -> None:
        stream = (monitor, reading.family.value)
        for family in Family:
            if family is not reading.family:
                for gauge in (self._effect, self._effect_low, self._effect_high, self._novel):
                    gauge.remove(monitor, family.value)
        if reading.effect is not None:
            self._effect.labels(*stream).set(reading.effect.estimate)
            self._effect_low.labels(*stream).set(reading.effect.low)
            self._effect_high.labels(*stream).set(reading.effect.high)
        if reading.novel_share is not None:
            self._novel.labels(*stream).set(reading.novel_share.estimate)
        if reading.accuracy is not None:
            self._accuracy.labels(monitor).set(reading.accuracy.estimate)
            self._accuracy_low.labels(monitor).set(reading.accuracy.low)
            self._accuracy_high.labels(monitor).set(reading.accuracy.high)

    def alarm(self, alarm: Alarm) -> None:
        self._alarm_steps.labels(self._known(alarm.monitor), alarm.state.value).inc()

    def silent(self, monitor: str, seconds: float) -> None:
        self._silent.labels(self._known(monitor)).set(seconds)

    def delivery(self, kind: str, outcome: str) -> None:
        self._deliveries.labels(self._capped(self._kinds, "kind", kind), outcome).inc()

    def labels(self, monitor: str, fates: Mapping[str, int], delays: Sequence[float]) -> None:
        for fate, count in fates.items():
            self._labels.labels(self._known(monitor), fate).inc(count)
        histogram = self._label_delay.labels(self._known(monitor))
        for delay in delays:
            histogram.observe(delay)

    # --- labels of series

    def _known(self, monitor: str | None) -> str:
        return monitor if monitor in self._monitors else UNKNOWN

    def _capped(self, values: Bounded, label: str, value: str) -> str:
        shown = values.label(value)
        if shown != value:
            self._overflow.labels(label).inc()
        return shown

    def _has_series(self, monitor: str, segment: str) -> bool:
        segments = self._segments.get(monitor)
        return segments is not None and self._capped(segments, "segment", segment) == segment


class StoreFigures(Collector):
    """Gauges of what the store holds, read at each scrape, so that a restart forgets nothing."""

    def __init__(
        self, store: Store, monitors: Callable[[], Iterable[str]], *, clock: Callable[[], float], backlog: Callable[[], tuple[int, int]]
    ) -> None:
        self._store = store
        self._monitors = monitors
        self._clock = clock
        self._backlog = backlog

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query the store."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._backlog_metrics()
        yield from self._outbox_metrics()
        standing = (AlarmState.OPEN, AlarmState.ACKNOWLEDGED)
        found = of_drift(self._store.find(Alarm, states=standing, limit=MAX_COUNTED))
        alarms = Tally((alarm.monitor, alarm.state.value) for alarm in found if not alarm.quiet)
        yield self._by_state("driftgate_alarms", "Alarms of drift that stand, but for those that notify nobody.", standing, alarms)
        cycles = Tally((c.monitor, c.state.value) for c in self._store.find(RefreshCycle, limit=MAX_COUNTED))
        yield self._by_state("driftgate_refresh_cycles", "Refresh cycles.", tuple(CycleState), cycles)

    def _backlog_metrics(self) -> Iterator[Metric]:
        size, entries = self._backlog()
        yield GaugeMetricFamily("driftgate_ingest_backlog_bytes", "Accepted and not yet committed.", value=size)
        yield GaugeMetricFamily("driftgate_ingest_backlog_entries", "Accepted and not yet committed.", value=entries)

    def _outbox_metrics(self) -> Iterator[Metric]:
        states = ("pending", "dead")
        items = self._store.outbox(states=states, limit=MAX_COUNTED)
        count = GaugeMetricFamily("driftgate_outbox_items", "Items that have not left; dead ones wait for a replay.", labels=["state"])
        age = GaugeMetricFamily(
            "driftgate_outbox_oldest_age_seconds", "Age of the oldest item in the state; 0 without one.", labels=["state"]
        )
        for state in states:
            created = [item.created for item in items if item.state == state]
            count.add_metric([state], len(created))
            age.add_metric([state], max(0.0, self._clock() - min(created)) if created else 0.0)
        yield count
        yield age

    def _by_state(self, name: str, text: str, states: Sequence[StrEnum], tally: Mapping[tuple[str, str], int]) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["monitor", "state"])
        for monitor, state in product(self._monitors(), states):
            family.add_metric([monitor, state.value], tally.get((monitor, state.value), 0))
        return family


class _Lean(Collector):
    """A registry without the client library's `_created` series, which double the number of counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The registry as text, in the format that the scraper accepts, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Lean(registry)), content_type
