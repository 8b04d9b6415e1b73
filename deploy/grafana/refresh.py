"""Refresh cycles: where each is, what it waits for, and how good the labels are that it learns from."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    ACT,
    GOOD,
    QUIET,
    WATCH,
    ZERO_IS_GOOD,
    Column,
    Query,
    choice,
    dashboard,
    figure,
    lines,
    row,
    rows,
    stacked,
    states,
)

_M = 'monitor=~"$monitor"'
_STATES = ("annotating", "training", "verifying", "verified", "deploying")


def refresh() -> Dashboard:
    """The page of those who label, train and approve."""
    made = dashboard(
        "refresh", "refresh cycles", "From labels to the next model: open cycles, their age, batches, candidates and label quality."
    )
    made.with_variable(choice("monitor", "Monitor", "label_values(driftgate_monitor_info, monitor)", several=True))
    _figures(made)
    _cycles(made)
    _labels(made)
    return made


def _gauge(metric: str, *, by: str = "monitor", labels: str = "") -> str:
    return f"max by ({by}) (driftgate_{metric}{{{_M}{',' + labels if labels else ''}}})"


def _figures(made: Dashboard) -> None:
    unended = "|".join(_STATES)
    labels = f'state=~"{unended}"'
    opened = f"sum({_gauge('refresh_cycles', by='monitor, state', labels=labels)}) or vector(0)"
    made.with_panel(figure("Open cycles", opened, "Not ended."))
    made.with_panel(
        figure(
            "Stuck",
            f"sum({_gauge('refresh_cycle_stuck')}) or vector(0)",
            "Longer in a state than `refresh.limits` has it.",
            steps=ZERO_IS_GOOD,
        )
    )
    says = "Batches or proven models that wait for a person's word."
    made.with_panel(figure("Approvals", f"sum({_gauge('refresh_approval_waits')}) or vector(0)", says, steps=((None, GOOD), (1, WATCH))))
    made.with_panel(
        figure(
            "Due",
            f"sum({_gauge('refresh_due')}) or vector(0)",
            "Refreshes that are due and did not open.",
            steps=((None, GOOD), (1, WATCH)),
        )
    )
    for state in ("promoted", "rejected"):
        labels = f'state="{state}"'
        made.with_panel(
            figure(state.capitalize(), f"sum({_gauge('refresh_cycles', labels=labels)}) or vector(0)", "As far as the store remembers.")
        )


def _cycles(made: Dashboard) -> None:
    ranked = " or ".join(
        f'max by (monitor) ({at} * driftgate_refresh_cycle_state{{{_M},state="{state}"}})' for at, state in enumerate(_STATES, 1)
    )
    colours = (QUIET, QUIET, WATCH, WATCH, GOOD)
    words = {0: ("none", "text")} | {at: (state, colour) for at, (state, colour) in enumerate(zip(_STATES, colours, strict=True), 1)}
    none = f"0 * {_gauge('monitor_info')}"
    made.with_panel(
        states(
            "Where the open cycles are",
            Query(f"max by (monitor) ({ranked} or {none})", "{{monitor}}"),
            "One at a time for each monitor.",
            words,
        )
    )
    columns = [
        Column("waits for", f"{_gauge('refresh_cycle_age_seconds')} or 0 * {_gauge('monitor_info')}", "s"),
        Column("stuck", f"{_gauge('refresh_cycle_stuck')} or 0 * {_gauge('monitor_info')}", steps=ZERO_IS_GOOD),
        Column("needs approval", f"{_gauge('refresh_approval_waits')} or 0 * {_gauge('monitor_info')}", steps=((None, GOOD), (1, WATCH))),
        Column("coverage", _gauge("coverage_ratio"), "percentunit", ((None, ACT), (0.7, WATCH), (0.9, GOOD))),
        Column("freshness", _gauge("test_set_freshness_ratio"), "percentunit", ((None, ACT), (0.7, WATCH), (0.9, GOOD))),
    ]
    made.with_panel(
        rows(
            "Monitors",
            "monitor",
            columns,
            "How long each open cycle has waited for what it waits for; how much of the traffic reference and test set cover.",
        )
    )


def _labels(made: Dashboard) -> None:
    made.with_row(row("Labels"))
    batches = Query(f"sum by (state) ({_gauge('annotation_batches', by='monitor, state')})", "{{state}}")
    made.with_panel(stacked("Batches", [batches], "Annotation batches by state.", width=8))
    candidates = Query(f"sum by (outcome) (increase(driftgate_candidates_total{{{_M}}}[1h]))", "{{outcome}}")
    made.with_panel(stacked("Candidates", [candidates], "What became of those that were answered, in an hour.", width=8))
    right = (
        f'sum(increase(driftgate_gold_answers_total{{{_M},outcome="right"}}[1d])) / sum(increase(driftgate_gold_answers_total{{{_M}}}[1d]))'
    )
    doubtful = f"sum(increase(driftgate_answers_doubtful_total{{{_M}}}[1d])) / sum(increase(driftgate_answers_checked_total{{{_M}}}[1d]))"
    quality = [Query(right, "gold answered right"), Query(doubtful, "doubtful by the label checks")]
    made.with_panel(lines("Label quality", quality, "Over a day.", unit="percentunit", width=8))
    left = Query('sum by (kind) (max by (kind) (driftgate_outbox_items{state="pending",kind=~"annotation.*|refresh.*"}))', "{{kind}}")
    made.with_panel(lines("Still to leave", [left], "Batches and requests that have not arrived.", width=12))
    delivered = Query(
        'sum by (kind, outcome) (increase(driftgate_deliveries_total{kind=~"annotation.*|refresh.*"}[1h]))', "{{kind}} {{outcome}}"
    )
    made.with_panel(lines("Deliveries", [delivered], "Attempts in an hour.", width=12))
