"""Writes docs/metrics.md from the inventory: `python docs/metrics.py` (a test keeps the two in step)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.metrics.bounded import MAX_VALUES
from service.metrics.declared import MONITOR, Declaration, Kind, Role
from service.metrics.exposition import MAX_SERIES
from service.metrics.inventory import EVERY
from service.metrics.monitors import MAX_SEGMENTS

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = f"""\
<!-- Written by docs/metrics.py from service/metrics/inventory.py; edit those. -->
# Metrics

Every role serves `/metrics` on `server.port`, to whoever may read; with `server.metrics_port` on a port of its own instead, which asks for
`server.metrics_token_file` where that is set and for nothing else. Prometheus' text format and OpenMetrics are spoken.

- **Roles.** A process shows the metrics of its roles. What belongs to the installation is told by the *leader* alone, the one controller
  that decides, so that a second replica doubles nothing; a new leader tells the same from what the store holds. Aggregate with `max by
  (monitor)` (gauges) or `sum by (monitor)` (rates), never by `instance` or `pod`.
- **Counters start at 0** where their label values are known in advance, so that `rate()` and `increase()` see the first event. They count
  what one process did, and begin anew with it.
- **Bounds.** A monitor has fewer than a hundred series by default. A label whose values others choose has at most {MAX_VALUES} beyond the
  known ones, then `__other__`, counted by `driftgate_label_overflow_total`; what comes for no monitor or route that there is stands under
  `__unknown__`. Segments have series where a monitor has at most {MAX_SEGMENTS} of them, else only the whole stream (`segment="all"`):
  the API has them all. A process shows at most {MAX_SERIES:,} series: metrics by monitor that no longer fit are left out as a whole, and
  `driftgate_series_left_out` says how many. The series of a monitor end with it.
- **Cost.** What stands in the store is read anew only where something changed; an answer that took long stands for twenty times as long.
  While the store is away, the process's own metrics are shown without the installation's.
- **Native histograms** are not offered: the Python client has none that it could count into, and Prometheus takes them in a format
  (protobuf) that the client does not write.
- Besides, each process shows the `process_*` metrics of Prometheus' client: CPU time, memory, open files, start time.
"""

SECTIONS: dict[Role, str] = {
    Role.ALL: "Every process",
    Role.API: "api",
    Role.WORKER: "worker",
    Role.WORKER | Role.CONTROLLER: "worker and controller",
    Role.CONTROLLER: "controller",
    Role.LEADER: "The controller that leads",
}


def render() -> str:
    """The page: a table for each role."""
    parts = [INTRODUCTION]
    for role, title in SECTIONS.items():
        parts += [f"## {title}\n", "| metric | type | labels | meaning |\n|---|---|---|---|"]
        parts += [_row(each) for each in EVERY.values() if each.role == role] + [""]
    return "\n".join(parts)


def _row(metric: Declaration) -> str:
    kind = metric.kind.value + (f" of {metric.unit.replace('_', ' ')}" if metric.unit else "")
    labels = "<br>".join(_labels(metric))
    return f"| `{metric.name}` | {kind} | {labels} | {_said(metric)} |"


def _labels(metric: Declaration) -> Iterator[str]:
    others = [label for label in metric.labels if label != MONITOR]
    for label in metric.labels:
        known = list(dict.fromkeys(values[others.index(label)] for values in metric.known)) if label != MONITOR else []
        yield f"`{label}`" + (f": {', '.join(known)}" if known else "")


def _said(metric: Declaration) -> str:
    said = metric.meaning + (f" There {metric.when}." if metric.when else "")
    if metric.kind is Kind.HISTOGRAM:
        said += f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}."
    return said.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
