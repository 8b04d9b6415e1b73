"""What commands and the demo show: records and plain mappings in, rich renderables out. Nothing here reads a store or a clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from service.records import (
    WHOLE,
    Accuracy,
    Alarm,
    AlarmState,
    Candidate,
    CycleState,
    Family,
    Measured,
    RefreshCycle,
    Regime,
    Step,
)
from service.screens.candidates import candidate_table
from service.screens.drawing import (
    NONE,
    columns,
    count,
    cut,
    excerpt,
    interval,
    interval_bar,
    level_bar,
    moment,
    percent,
    span,
    word,
)
from service.screens.evidence import channel_words, evidence
from service.screens.feed import feed_lines
from service.screens.offsets import trouble
from service.screens.truth import errors_line
from service.screens.verifying import verification_table

Figures = Mapping[str, Any]

AHEAD = (CycleState.ANNOTATING, CycleState.TRAINING, CycleState.VERIFYING, CycleState.PROMOTED)
"""The way of a cycle that goes well."""


# --- alarms -------------------------------------------------------------------------------------------------------


def alarm_list(alarms: Sequence[Alarm], *, now: float, folded: bool = False) -> RenderableType:
    """One row per alarm, in the order given. `folded`: segments of a stream that is open as a whole are counted in its row."""
    if not alarms:
        return Text("no alarms")
    within = _within(alarms) if folded else {}
    table = columns("alarm", "stream", "state", "effect", "opened")
    for alarm in alarms:
        if alarm.segment != WHOLE and _stands(alarm) and (alarm.monitor, alarm.family) in within:
            continue
        beside = within.get((alarm.monitor, alarm.family), 0) if alarm.segment == WHOLE and _stands(alarm) else 0
        what = Text(f"{alarm.id}\n{excerpt(alarm.kind, 40)}")
        stream = Text(f"{alarm.monitor}\n{excerpt(alarm.segment, 40)}{f' and {beside} of its segments' if beside else ''}")
        regime = "" if alarm.regime is Regime.ACTIVE else f" ({alarm.regime})"
        state = Text.assemble(word(alarm.state), regime, "\n", word(alarm.severity))
        effect = NONE if alarm.family is Family.FEED else f"{percent(alarm.effect.estimate)}\n{_range(alarm.effect)}"
        table.add_row(what, stream, state, effect, f"{span(max(now - alarm.opened, 0.0))} ago")
    return table


def _stands(alarm: Alarm) -> bool:
    return alarm.state is not AlarmState.RESOLVED


def _within(alarms: Sequence[Alarm]) -> dict[tuple[str, Family], int]:
    """Monitor and family of which the whole stream has an open alarm → how many of its segments have one too."""
    whole = {(alarm.monitor, alarm.family) for alarm in alarms if alarm.segment == WHOLE and _stands(alarm)}
    segments = Counter((alarm.monitor, alarm.family) for alarm in alarms if alarm.segment != WHOLE and _stands(alarm))
    return {stream: segments[stream] for stream in whole}


def _range(measured: Measured) -> str:
    return f"{100 * measured.low:.1f} to {100 * measured.high:.1f}"


def alarm_explanation(alarm: Alarm, *, candidates: Sequence[Candidate] = ()) -> RenderableType:
    """The alarm in full: how far, what moved, which samples show it, which ones to annotate."""
    parts: list[RenderableType] = [_title(f"alarm {alarm.id}"), _headline(alarm)]
    if alarm.family is not Family.FEED:  # of what was not seen there is nothing to measure
        parts.append(_measured(alarm))
    for name, part in evidence(alarm):
        parts += [_title(name), part]
    if candidates:
        parts += [_title("candidates for annotation"), candidate_table(candidates, limit=10)]
    return Group(*parts, _title("history"), step_list(alarm.history))


def _headline(alarm: Alarm) -> Text:
    verdict = f", verdict {alarm.verdict}" if alarm.verdict else ""
    regime = "" if alarm.regime is Regime.ACTIVE else f", {alarm.regime}: {'nobody was notified' if alarm.quiet else 'outside the budget'}"
    when = f"opened {moment(alarm.opened)} at sample {count(alarm.at_sample)}, against reference version {alarm.reference_version}"
    weighed = "labels" if alarm.family is Family.CONCEPT else "samples"
    window = f"over {count(alarm.window_samples)} {weighed} since {moment(alarm.window_start)}"
    tuned = f", one false alarm in {count(alarm.run_length)} samples of this stream" if alarm.run_length else ""
    return Text.assemble(
        (f"{excerpt(alarm.kind)} on {alarm.monitor}", "bold"),
        f", stream {excerpt(alarm.segment)}: ",
        word(alarm.severity),
        ", ",
        word(alarm.state),
        f"{regime}{verdict}\n{when}\n{window}, seen by {channel_words(alarm.channel)}, of its {alarm.family}{tuned}",
    )


def _measured(alarm: Alarm) -> Table:
    """Effect, novel share and accuracy, each with its interval as a bar."""
    table = Table.grid(padding=(0, 2, 0, 0))
    effect = "more of the answers wrong" if alarm.family is Family.CONCEPT else "effect, as a share of new content"
    for name, measured in ((effect, alarm.effect), ("novel samples", alarm.novel_share)):
        table.add_row(name, interval(measured))
        table.add_row("", Text(interval_bar(measured, width=30)))
    if alarm.effect_channel not in {"", alarm.channel}:
        table.add_row("effect measured in", channel_words(alarm.effect_channel))
    if alarm.accuracy is not None:
        table.add_row("accuracy, without labels", Text(accuracy_line(alarm.accuracy)))
    return table


def accuracy_line(accuracy: Accuracy) -> str:
    """The estimate with what it stands on."""
    window, before = accuracy.window, accuracy.reference
    return (
        f"{percent(window.estimate)} ({100 * window.low:.1f} to {100 * window.high:.1f}), reference {percent(before.estimate)}\n"
        "if a confidence still means what it meant there\n"
        f"calibration slope {_plain(accuracy.slope)}, intercept {_plain(accuracy.intercept)}"
    )


def _plain(measured: Measured) -> str:
    return f"{measured.estimate:.2f} ({measured.low:.2f} to {measured.high:.2f})"


def step_list(history: Sequence[Step]) -> RenderableType:
    """Each step with its named reason, oldest first."""
    return Group(*(_step(step) for step in history)) if history else Text("no steps yet")


def _step(step: Step) -> Text:
    actor = "" if step.actor == "driftgate" else f" [{excerpt(step.actor, 60)}]"
    return Text.assemble(f"{moment(step.time)}  ", word(step.state), f": {excerpt(step.reason)}{actor}{_note(step)}")


def _note(step: Step) -> str:
    return f" – {excerpt(step.note, 200)}" if step.note else ""


# --- refresh ------------------------------------------------------------------------------------------------------


def cycle_timeline(cycle: RefreshCycle) -> RenderableType:
    """The steps taken (●) with the time since the one before, and those still ahead (○)."""
    where = f"{cycle.monitor}, from reference version {cycle.reference_version}, attempt {cycle.attempt}"
    opened = f"opened by {excerpt(cycle.opened_by, 60)}, {moment(cycle.created)}"
    lines: list[RenderableType] = [_title(f"refresh {cycle.id}"), Text(f"{where}\n{opened}")]
    before = cycle.created
    for step in cycle.history:
        took = f"+{span(max(step.time - before, 0.0))}"
        lines.append(Text.assemble(f"● {took:>10}  ", word(step.state), f": {excerpt(step.reason)}{_note(step)}"))
        before = step.time
    ahead = AHEAD[AHEAD.index(cycle.state) + 1 :] if cycle.state in AHEAD else ()
    lines += [Text(f"○ {'':>10}  {state}", "dim") for state in ahead]
    if cycle.verification:
        lines += [_title("verification"), verification_table(cycle.verification)]
    return Group(*lines)


# --- status -------------------------------------------------------------------------------------------------------


def status_screen(monitors: Sequence[Figures]) -> RenderableType:
    """Everything about every monitor on one screen.

    Each mapping is the monitor as `GET /v1/monitors/{monitor}` gives it: `monitor`, `state`, `samples`, `undecided` {`panes`,
    `samples`} and, from the first decision on, `reference_version`, `run_length`, `tolerance`, `missing_samples`,
    `traffic_per_second`, `expected_delay` [{`share`, `samples`, `seconds`}], `streams` [{`segment`, `samples`, `evidence`,
    `threshold`, `effect`, `alarm`}], the whole stream first.
    Where they are known: `dead_letters` {reason: count}, and `partitions` as `driftgate offsets show` has them.
    """
    if not monitors:
        return Text("no monitors are declared: `driftgate init` writes a configuration with one")
    return Group(*(_monitor(monitor) for monitor in monitors))


def _monitor(monitor: Figures) -> RenderableType:
    parts: list[RenderableType] = [_title(str(monitor["monitor"])), _standing(monitor)]
    if monitor.get("streams"):
        parts += [_stream_table(monitor["streams"]), *_open_alarms(monitor["streams"]), *_accuracy(monitor["streams"][0])]
    if monitor.get("expected_delay"):
        parts.append(_delay_table(monitor["expected_delay"]))
    return Group(*parts, _behind(monitor))


def _standing(monitor: Figures) -> Text:
    rate, missing = monitor.get("traffic_per_second"), monitor.get("missing_samples")
    shadow = " (shadow: notifies nobody)" if monitor.get("mode") == "shadow" else ""
    text = Text.assemble(word(str(monitor["state"])), f"{shadow}: {count(monitor.get('samples'))} samples")
    if rate:
        text.append(f", {rate:.3g} a second")
    if monitor.get("reference_version") is not None:
        text.append(f", reference version {monitor['reference_version']}")
    if missing:
        text.append(f"\nstill missing: {count(missing)} samples" + (f", about {span(missing / rate)} at this traffic" if rate else ""))
    if monitor.get("run_length"):
        tolerance = f"tolerance {percent(monitor.get('tolerance'))} of new content"
        text.append(f"\none false alarm in {count(monitor['run_length'])} samples, {tolerance}")
    partitions = [line for place in monitor.get("partitions") or () for line in trouble(place)]
    if monitor.get("truth"):
        text.append(f"\n{errors_line(monitor['truth'])}")
    for line in (*_warnings(monitor), *feed_lines(monitor.get("feed") or {}), *partitions):
        text.append(f"\n{line}", "yellow")
    return text


def _warnings(monitor: Figures) -> Iterator[str]:
    """What keeps the monitor from doing all that is asked of it, and what to set."""
    pause = monitor.get("maintenance") or {}
    if pause.get("until"):
        kept = f"; {count(pause['withheld'])} alarms withheld so far" if pause.get("withheld") else ""
        yield f"maintenance until {moment(pause['until'])}, by {pause['actor']}: it counts, and opens no alarms{kept}"
    advisory = [stream for stream in monitor.get("streams") or () if stream.get("regime") == "advisory"]
    if advisory:
        asked, supported = max(stream["asked_run_length"] for stream in advisory), monitor["supported_run_length"]
        streams = f"{len(advisory)} of {len(monitor['streams'])} streams are advisory"
        yield f"{streams}: the reference supports {count(supported)} samples, their share of the budget asks {count(asked)}"
    longest = monitor.get("longest_window") or {}
    if longest.get("pane_samples"):
        yield f"the longest window covers {span(longest['seconds'])}: detection.pane_samples {longest['pane_samples']} would cover a week"
    if monitor.get("untimed"):
        yield f"{count(monitor['untimed'])} samples came at no known hour, which this reference goes by: they were counted, not weighed"


def _stream_table(streams: Sequence[Figures], *, limit: int = 12) -> Table:
    """Evidence on its way to the threshold; `!` marks an open alarm. The whole stream on top, then those with most evidence."""
    table = columns("", "stream", "samples", "evidence / threshold", "effect %", right=("samples",))
    for stream in [*streams[:1], *sorted(streams[1:], key=_closeness, reverse=True)][:limit]:
        evidence, threshold = stream.get("evidence") or 0.0, stream.get("threshold") or 0.0
        bar = f"{level_bar(evidence, threshold, 10)} {evidence:5.1f} / {threshold:.1f}"
        regime = stream.get("regime", "active")
        name = Text(excerpt(str(stream["segment"]), 80) + ("" if regime == "active" else f" ({regime})"))
        table.add_row("!" if stream.get("alarm") else "", name, count(stream.get("samples")), bar, _bare(stream.get("effect")))
    return cut(table, limit, len(streams))


def _closeness(stream: Figures) -> float:
    threshold = stream.get("threshold")
    return (stream.get("evidence") or 0.0) / threshold if threshold else 0.0


def _bare(measured: Figures | None) -> str:
    found = _as_measured(measured)
    return f"{100 * found.estimate:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})" if found else NONE


def _open_alarms(streams: Sequence[Figures]) -> list[RenderableType]:
    return [Text(f"! open alarm {stream['alarm']} on {excerpt(str(stream['segment']))}") for stream in streams if stream.get("alarm")]


def _accuracy(whole: Figures) -> list[RenderableType]:
    """Of the whole stream, where it is told."""
    parts = {name: _as_measured(part) for name, part in (whole.get("accuracy") or {}).items()}
    known = [parts.get(name) for name in ("window", "reference", "slope", "intercept")]
    found = [part for part in known if part is not None]
    return [Text(f"accuracy, without labels: {accuracy_line(Accuracy(*found))}")] if len(found) == len(known) else []


def _delay_table(delays: Sequence[Figures]) -> Table:
    """How long drift of each size would go unnoticed; `never` for what no window can tell from chance."""
    table = columns("new content", *(f"{100 * delay['share']:g} %" for delay in delays))
    table.add_row("expected delay", *(span(delay.get("seconds")) for delay in delays))
    table.add_row("in samples", *("never" if delay.get("samples") is None else count(delay["samples"]) for delay in delays))
    return table


def _behind(monitor: Figures) -> Text:
    """What is not decided yet, and what could not be used."""
    undecided = monitor.get("undecided") or {}
    said = [f"undecided: {count(undecided.get('samples', 0))} samples (open panes: {count(undecided.get('panes', 0))})"]
    letters = sorted((monitor.get("dead_letters") or {}).items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{excerpt(reason, 40)} {count(number)}" for reason, number in letters)
    return Text(f"{'; '.join(said)}\ndead letters: {listed or 'none'}")


# --- shared -------------------------------------------------------------------------------------------------------


def _as_measured(found: Figures | None) -> Measured | None:
    """None unless all three figures are there: JSON shows what is not finite as null."""
    if not found or any(found.get(name) is None for name in ("estimate", "low", "high")):
        return None
    return Measured(found["estimate"], found["low"], found["high"])


def _title(text: str) -> RenderableType:
    return Padding(Rule(Text(text, "bold"), align="left", characters="─"), (1, 0, 0, 0))
