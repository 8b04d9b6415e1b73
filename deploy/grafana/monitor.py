"""One monitor: has its input drifted, how far, and does it see enough to tell?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import ACT, GOOD, WATCH, ZERO_IS_GOOD, Query, banded, choice, dashboard, figure, lines, marks, row, stacked

_M = 'monitor="$monitor"'


def _of(metric: str, labels: str = "", *, by: str = "") -> str:
    """A gauge that whoever leads exports: whoever that is."""
    inside = f"{_M},{labels}" if labels else _M
    return f"max{f' by ({by})' if by else ''} (driftgate_{metric}{{{inside}}})"


def _rate(metric: str, *, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate(driftgate_{metric}{{{_M}}}[$__rate_interval]))"


def monitor() -> Dashboard:
    """The page behind an alarm."""
    made = dashboard("monitor", "monitor", "Evidence, effect and feed of one monitor.")
    made.with_variable(choice("monitor", "Monitor", "label_values(driftgate_monitor_info, monitor)"))
    for name, labels, colour in (("opened", 'state="open",reason!="worse"', ACT), ("resolved", 'state="resolved"', GOOD)):
        steps = f"sum by (reason) (increase(driftgate_alarm_steps_total{{{_M},{labels}}}[$__interval])) > 0"
        made.annotation(marks(f"alarm {name}", steps, colour, "{{reason}}"))
    _figures(made)
    _drift(made)
    _model(made)
    _feed(made)
    return made


def _figures(made: Dashboard) -> None:
    opened = _of("alarms", 'state="open"', by="severity")
    made.with_panel(figure("Open alarms", f"sum({opened})", "Not acknowledged.", steps=ZERO_IS_GOOD, width=3))
    share = f"max({_of('evidence', by='segment, family')} / {_of('evidence_threshold', by='segment, family')})"
    says = "The strongest stream's, as a share of its threshold."
    made.with_panel(figure("Evidence", share, says, unit="percentunit", steps=((None, GOOD), (0.7, WATCH), (1, ACT)), width=3))
    made.with_panel(figure("Effect", _of("effect_ratio"), "As an equivalent share of new content.", unit="percentunit", width=3))
    made.with_panel(figure("Blind", _of("monitor_blind"), "1: too much of the input is lost to tell drift.", steps=ZERO_IS_GOOD, width=3))
    made.with_panel(figure("Samples", _rate("samples_taken_total"), "A second.", unit="cps", width=3))
    made.with_panel(figure("Silent", _of("monitor_silent_seconds"), "Since the last sample.", unit="s", width=3))
    fresh = ((None, ACT), (0.7, WATCH), (0.9, GOOD))
    says = "Share of the traffic that the reference covers."
    made.with_panel(figure("Coverage", _of("coverage_ratio"), says, unit="percentunit", steps=fresh, width=3))
    says = "Share of the traffic that the test set covers; measured where `refresh.min_freshness` asks for it."
    made.with_panel(figure("Freshness", _of("test_set_freshness_ratio"), says, unit="percentunit", steps=fresh, width=3))


def _drift(made: Dashboard) -> None:
    made.with_row(row("Drift"))
    whole = 'segment="all"'
    evidence = Query(_of("evidence", whole, by="family"), "evidence ({{family}})")
    threshold = Query(_of("evidence_threshold", whole, by="family"), "threshold ({{family}})")
    says = "Of the whole stream. An alarm opens where it is above its threshold and the effect surely beyond the tolerance."
    made.with_panel(lines("Evidence and threshold", [evidence, threshold], says))
    middle, low, high = (
        Query(_of(f"effect{part}_ratio"), name) for part, name in (("", "effect"), ("_low", "at least"), ("_high", "at most"))
    )
    says = "As an equivalent share of new content, with its interval."
    made.with_panel(banded("Effect", (middle, low, high), says))
    share = f"{_of('evidence', by='segment')} / {_of('evidence_threshold', by='segment')}"
    says = "Evidence of each segment as a share of its threshold; beyond the first eight segments see the console."
    made.with_panel(lines("Segments", [Query(share, "{{segment}}")], says, unit="percentunit"))
    says = "Share of the traffic that lies near no group of the reference."
    made.with_panel(lines("Novelty", [Query(_of("novel_share_ratio"), "novel")], says, unit="percentunit"))


def _model(made: Dashboard) -> None:
    made.with_row(row("Model"))
    names = (("", "told from confidence"), ("_low", "at least"), ("_high", "at most"))
    middle, low, high = (Query(_of(f"accuracy_estimate{part}_ratio"), name) for part, name in names)
    made.with_panel(
        banded("Accuracy without labels", (middle, low, high), "Holds as long as a confidence goes on meaning what it meant.", width=8)
    )
    names = (("", "wrong answers"), ("_low", "at least"), ("_high", "at most"))
    middle, low, high = (Query(_of(f"error_rate{part}_ratio"), name) for part, name in names)
    made.with_panel(banded("Error rate by late labels", (middle, low, high), "Of the labels that came after the answers.", width=8))
    delay = f"histogram_quantile(0.5, sum by (le) (rate(driftgate_label_delay_seconds_bucket{{{_M}}}[$__rate_interval])))"
    came = Query(_rate("labels_total", by="outcome"), "{{outcome}}")
    made.with_panel(lines("Labels that come late", [came], "A second, by what became of them.", unit="cps", width=4))
    made.with_panel(lines("Their delay", [Query(delay, "median")], "From a sample to its label.", unit="s", width=4))


def _feed(made: Dashboard) -> None:
    made.with_row(row("Feed"))
    took = [Query(_rate("samples_taken_total"), "taken"), Query(_rate("samples_duplicate_total"), "repeated ids")]
    made.with_panel(lines("Samples", took, "A second.", unit="cps", width=8))
    dead = [
        Query(_rate("dead_letters_total", by="reason"), "{{reason}}"),
        Query(_rate("samples_rejected_total", by="reason"), "refused: {{reason}}"),
    ]
    made.with_panel(stacked("Not usable", dead, "Dead letters, and what was refused at the door, a second.", unit="cps", width=8))
    loss = [Query(_of("input_loss_ratio"), "lost")]
    made.with_panel(lines("Input loss", loss, "Beyond `detection.blind_share` no drift is told.", unit="percentunit", width=8))
    says = "Embedded in a second of embedding: how much one worker could do."
    speed = f"{_rate('samples_embedded_total')} / {_rate('embed_seconds_total')}"
    made.with_panel(lines("Embedder", [Query(speed, "samples per second of work")], says, unit="cps", width=8))
    behind = "max(driftgate_last_pane_timestamp_seconds{" + _M + "}) - max(driftgate_last_decision_timestamp_seconds{" + _M + "})"
    made.with_panel(lines("Not decided", [Query(behind, "log time")], "Panes that are closed and not decided on.", unit="s", width=8))
    used = Query(_of("alarm_budget_used_ratio"), "used"), Query(_of("alarm_budget_reserved_ratio"), "reserved")
    made.with_panel(
        lines(
            "Alarm budget",
            used,
            "Of the installation's: alarms opened in its period, and the share that is allotted.",
            unit="percentunit",
            width=8,
        )
    )
