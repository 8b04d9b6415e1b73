"""All monitors side by side: whose turn is it?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    ACT,
    GOOD,
    WATCH,
    ZERO_IS_GOOD,
    Column,
    Query,
    choice,
    dashboard,
    figure,
    lines,
    marks,
    row,
    rows,
    stacked,
    states,
)

_OF_TEAM = 'on (monitor) group_left (team) max by (monitor, team) (driftgate_monitor_info{team=~"$team"})'
_OPEN = 'sum by (monitor) (max by (monitor, severity) (driftgate_alarms{state="open"}))'
_SURPRISE = "max by (monitor) (driftgate_evidence / driftgate_evidence_threshold)"
_RATE = "sum by (monitor) (rate(driftgate_samples_taken_total[$__rate_interval]))"
_MONITOR = "/d/driftgate-monitor?var-monitor=${__value.text}&${__url_time_range}&var-datasource=${datasource}"


def _mine(expr: str) -> str:
    """Of the chosen teams' monitors."""
    return f"({expr}) * {_OF_TEAM}"


def fleet() -> Dashboard:
    """The page for the morning."""
    made = dashboard(
        "fleet", "fleet", "Every monitor of the installation: which ones drift, which are blind, how much of the budget is used."
    )
    made.with_variable(choice("team", "Team", "label_values(driftgate_monitor_info, team)", several=True))
    opened = 'sum by (monitor) (increase(driftgate_alarm_steps_total{state="open",reason=~"drift|told"}[$__interval])) > 0'
    made.annotation(marks("alarm opened", opened, ACT, "{{monitor}}"))
    _figures(made)
    _worst(made)
    made.with_row(row("Drift"))
    says = "Of each monitor's strongest stream, as a share of its threshold; an alarm needs an effect beyond the tolerance too."
    made.with_panel(lines("Evidence", [Query(f"topk(20, {_mine(_SURPRISE)})", "{{monitor}}")], says, unit="percentunit"))
    effect = "max by (monitor) (driftgate_effect_ratio)"
    says = "As an equivalent share of new content, whole streams, the 20 largest."
    made.with_panel(lines("Effect", [Query(f"topk(20, {_mine(effect)})", "{{monitor}}")], says, unit="percentunit"))
    ranked = 'max by (monitor) ((2 * (driftgate_alarms{severity="critical"} > bool 0)) or (driftgate_alarms{severity="warning"} > bool 0))'
    words = {0: ("none", GOOD), 1: ("warning", WATCH), 2: ("critical", ACT)}
    made.with_panel(
        states(
            "Alarms that stand",
            Query(_mine(ranked), "{{monitor}}"),
            "The worst drift alarm of each monitor, acknowledged ones included.",
            words,
        )
    )
    _feed(made)
    return made


def _figures(made: Dashboard) -> None:
    counted = f"count({_mine('max by (monitor) (driftgate_monitor_info)')})"
    made.with_panel(figure("Monitors", counted, "Declared, of the chosen teams."))
    for severity in ("critical", "warning"):
        expr = f"sum({_mine(f'''max by (monitor) (driftgate_alarms{{state='open',severity='{severity}'}})''')})"
        made.with_panel(figure(f"Open, {severity}", expr, "Drift alarms that nobody has acknowledged.", steps=ZERO_IS_GOOD))
    blind = f"sum({_mine('max by (monitor) (driftgate_monitor_blind)')})"
    made.with_panel(figure("Blind", blind, "Monitors that lose too much of their input to tell drift.", steps=ZERO_IS_GOOD))
    used = "sum(max by (monitor) (driftgate_alarm_budget_used_ratio))"
    says = "Alarms opened in the budget's period, as a share of the false alarms that the installation accepts: of all teams."
    made.with_panel(figure("Budget used", used, says, unit="percentunit", steps=((None, GOOD), (1, WATCH), (2, ACT))))
    made.with_panel(figure("Samples", f"sum({_mine(_RATE)})", "Folded into panes, a second.", unit="cps"))


def _worst(made: Dashboard) -> None:
    columns = [
        Column("open alarms", _mine(_OPEN), steps=ZERO_IS_GOOD),
        Column("evidence", _mine(_SURPRISE), "percentunit", ((None, GOOD), (0.7, WATCH), (1, ACT))),
        Column("effect at least", _mine("max by (monitor) (driftgate_effect_low_ratio)"), "percentunit"),
        Column("blind", _mine("max by (monitor) (driftgate_monitor_blind)"), steps=ZERO_IS_GOOD),
        Column("samples/s", _mine(_RATE), "cps"),
        Column("silent", _mine("max by (monitor) (driftgate_monitor_silent_seconds)"), "s"),
        Column("maintenance", _mine("max by (monitor) (driftgate_maintenance)"), steps=((None, GOOD), (1, WATCH))),
        Column("checks unmet", _mine('max by (monitor) (driftgate_policy_checks{finding="unmet"})'), steps=((None, GOOD), (1, WATCH))),
    ]
    made.with_panel(rows("Worst first", "monitor", columns, "A row leads to its monitor.", link=_MONITOR))


def _feed(made: Dashboard) -> None:
    made.with_row(row("Feed and budget"))
    made.with_panel(
        stacked("Samples", [Query(f"topk(20, {_mine(_RATE)})", "{{monitor}}")], "Folded into panes, a second.", unit="cps", width=8)
    )
    loss = "max by (monitor) (driftgate_input_loss_ratio)"
    says = "Share of the input that can't be used; beyond `detection.blind_share` a monitor is blind."
    made.with_panel(lines("Input loss", [Query(_mine(loss), "{{monitor}}")], says, unit="percentunit", width=8))
    used = "max by (monitor) (driftgate_alarm_budget_used_ratio)"
    says = "Each monitor's alarms in the budget's period as a share of the installation's budget."
    made.with_panel(stacked("Budget used", [Query(_mine(used), "{{monitor}}")], says, unit="percentunit", width=8))
