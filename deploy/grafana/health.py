"""driftgate itself: do its processes keep up, and does what they say leave?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import ACT, GOOD, WATCH, ZERO_IS_GOOD, Query, choice, dashboard, figure, lines, row, stacked

_J = 'job=~"$job"'


def _rate(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate(driftgate_{metric}{{{_J}{',' + labels if labels else ''}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', f'le, {by}')})"


def health() -> Dashboard:
    """The page of those who run it."""
    made = dashboard("service", "service health", "Roles, lag, latency by stage, store, outbox, HTTP and the processes themselves.")
    made.with_variable(choice("job", "Job", "label_values(driftgate_build_info, job)", several=True))
    _figures(made)
    _stages(made)
    _leaving(made)
    _http(made)
    _processes(made)
    return made


def _figures(made: Dashboard) -> None:
    up = f"count(up{{{_J}}} == 1) or vector(0)"
    made.with_panel(figure("Processes up", up, "That Prometheus can scrape.", steps=((None, ACT), (1, GOOD)), width=3))
    leads = f"sum(driftgate_leader{{{_J}}}) or vector(0)"
    made.with_panel(figure("Leaders", leads, "Exactly one decides.", steps=((None, ACT), (1, GOOD), (2, ACT)), width=3))
    behind = f"sum(max by (topic) (driftgate_consumer_lag_records{{{_J}}}))"
    made.with_panel(figure("Lag", behind, "Records that wait to be read.", steps=((None, GOOD), (10_000, WATCH), (100_000, ACT)), width=3))
    dead = f'sum(max by (kind) (driftgate_outbox_items{{{_J},state="dead"}}))'
    made.with_panel(figure("Given up", dead, "Messages whose delivery was tried to the end.", steps=ZERO_IS_GOOD, width=3))
    off = f"sum(max by (destination) (driftgate_destination_disabled{{{_J}}})) or vector(0)"
    made.with_panel(figure("Destinations off", off, "Their receiver answered that it is gone.", steps=ZERO_IS_GOOD, width=3))
    errors = f"sum(increase(driftgate_store_errors_total{{{_J}}}[5m]))"
    made.with_panel(figure("Store errors", errors, "In five minutes.", steps=ZERO_IS_GOOD, width=3))
    failed = f"sum(increase(driftgate_embed_errors_total{{{_J}}}[5m]))"
    made.with_panel(figure("Embedder errors", failed, "In five minutes.", steps=ZERO_IS_GOOD, width=3))
    version = f"count by (version) (driftgate_build_info{{{_J}}})"
    made.with_panel(
        figure("Versions", f"count({version})", "More than one: an upgrade is under way.", steps=((None, GOOD), (2, WATCH)), width=3)
    )


def _stages(made: Dashboard) -> None:
    made.with_row(row("A sample's way"))
    lag = [Query(f"max by (topic) (driftgate_consumer_lag_seconds{{{_J}}})", "{{topic}}")]
    made.with_panel(lines("Lag", lag, "Age of the oldest record that waits.", unit="s", width=8))
    for share, name in ((0.5, "median"), (0.99, "99 %")):
        stages = [Query(_quantile(share, "stage_seconds", "stage"), "{{stage}}")]
        made.with_panel(lines(f"Stages, {name}", stages, "Time of a batch in each stage.", unit="s", width=8))
    size = f"{_rate('batch_records_sum', 'job')} / {_rate('batch_records_count', 'job')}"
    made.with_panel(lines("Batches", [Query(size, "records")], "Mean size.", width=8))
    made.with_panel(
        lines("Panes", [Query(_rate("panes_closed_total", "monitor"), "{{monitor}}")], "Closed, a second.", unit="cps", width=8)
    )
    dead = [Query(_rate("dead_letters_total", "reason"), "{{reason}}")]
    made.with_panel(stacked("Dead letters", dead, "A second, by reason.", unit="cps", width=8))


def _leaving(made: Dashboard) -> None:
    made.with_row(row("Store and outbox"))
    for share, name in ((0.5, "median"), (0.99, "99 %")):
        took = [Query(_quantile(share, "store_seconds", "operation"), "{{operation}}")]
        made.with_panel(lines(f"Store, {name}", took, "Time of its operations.", unit="s", width=6))
    depth = [
        Query(
            f"max by (kind, state) (driftgate_outbox_items{{{_J}}}) > 0 or sum(max by (kind) (driftgate_outbox_items{{{_J}}}))",
            "{{kind}} {{state}}",
        )
    ]
    made.with_panel(lines("Outbox", depth, "What must still leave, and what was given up.", width=6))
    age = [Query(f'max(driftgate_outbox_oldest_age_seconds{{{_J},state="pending"}})', "oldest")]
    made.with_panel(lines("Oldest message", age, "How long it has waited.", unit="s", width=6))
    went = [Query(_rate("deliveries_total", "outcome"), "{{outcome}}")]
    made.with_panel(lines("Deliveries", went, "Attempts a second.", unit="cps", width=12))
    loops = [Query(f"time() - min by (loop) (driftgate_loop_turn_timestamp_seconds{{{_J}}})", "{{loop}}")]
    made.with_panel(lines("Loops", loops, "Since the last turn of each: one that hangs climbs.", unit="s", width=12))


def _http(made: Dashboard) -> None:
    made.with_row(row("HTTP"))
    made.with_panel(stacked("Requests", [Query(_rate("http_requests_total", "status"), "{{status}}")], "A second.", unit="reqps", width=8))
    slow = [Query(f"topk(10, {_quantile(0.99, 'http_request_seconds', 'route')})", "{{route}}")]
    made.with_panel(lines("Slowest routes, 99 %", slow, "The ten slowest.", unit="s", width=8))
    came = [
        Query(f"sum({_rate('samples_received_total', 'monitor')})", "received"),
        Query(f"sum({_rate('samples_rejected_total', 'monitor')})", "refused"),
    ]
    made.with_panel(lines("Samples over HTTP", came, "A second.", unit="cps", width=8))


def _processes(made: Dashboard) -> None:
    made.with_row(row("Processes"))
    cpu = [Query(f"sum by (instance) (rate(process_cpu_seconds_total{{{_J}}}[$__rate_interval]))", "{{instance}}")]
    made.with_panel(lines("CPU", cpu, "Cores in use.", width=6))
    memory = [Query(f"max by (instance) (process_resident_memory_bytes{{{_J}}})", "{{instance}}")]
    made.with_panel(lines("Memory", memory, "Resident.", unit="bytes", width=6))
    series = [Query(f"max by (instance) (driftgate_series{{{_J}}})", "{{instance}}")]
    made.with_panel(lines("Series", series, "That each process exports.", width=6))
    over = [Query(_rate("label_overflow_total", "label"), "{{label}}")]
    made.with_panel(lines("Labels beyond their cap", over, "Values that share `__other__`, a second.", unit="cps", width=6))
