"""What an alarm stands on, part by part: what moved, who brings it, since when, and what shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service.records import WHOLE, Alarm, ClusterChange, Contribution, Exemplar, Family, Finding, Onset, Term
from service.screens.drawing import NONE, columns, count, cut, excerpt, level_bar, moment, percent, points
from service.screens.truth import answers_changed

_BAR = 12
_CHANNELS = {
    "whitened": "what samples mean, rare directions weighed up",
    "mmd": "what samples mean, all directions alike",
    "novelty": "the distance from what the reference has",
    "residual": "what the reference's leading directions leave",
    "prediction": "the model's answers",
    "confidence": "the model's confidence",
}


def evidence(alarm: Alarm) -> Iterator[tuple[str, RenderableType]]:
    """Each part that there is, under its title."""
    yield from answers_changed(alarm)
    if alarm.as_of:
        since = count(alarm.as_of - alarm.at_sample)
        yield "looked at again", Text(f"what follows is as of sample {count(alarm.as_of)}, {since} samples after the alarm opened")
    if alarm.onset is not None:
        yield "since when", onset_line(alarm.onset, "labelled samples" if alarm.family is Family.CONCEPT else "samples")
    if alarm.clusters:
        yield "what moved: shares of the traffic", cluster_table(alarm.clusters)
    if alarm.terms:
        yield "words that tell it: in which share of the texts", term_table(alarm.terms)
    if alarm.contributions:
        what = "it" if alarm.segment == WHOLE or alarm.family is Family.CONCEPT else "the same in the whole stream"
        yield f"who brings {what}: what most exceeds its traffic first", contribution_table(alarm.contributions)
    if alarm.findings:
        yield "is it us? how the samples arrived", finding_table(alarm.findings)
    if alarm.exemplars:
        yield "samples that show it", exemplar_table(alarm.exemplars)
    if alarm.missed:
        yield "of the reference: what came least", exemplar_table(alarm.missed, limit=5)


def channel_words(channel: str) -> str:
    """What a channel measures, with its name."""
    meaning = _CHANNELS.get(channel.partition(" ")[0])
    return f"{meaning} ({excerpt(channel)})" if meaning else excerpt(channel)


def onset_line(onset: Onset, counted: str) -> Text:
    """When the change began, by the log's time and in what is counted."""
    ago = onset.samples_ago
    between = f"between {moment(onset.earliest)} and {moment(onset.latest)} (90 % sure), likeliest {moment(onset.time)}"
    return Text(f"{between}\n{count(ago.estimate)} {counted} ({count(ago.low)} to {count(ago.high)}) before the end of what was looked at")


def cluster_table(clusters: Sequence[ClusterChange], *, limit: int = 8) -> Table:
    """Groups that grew (▲) or shrank (▼), with their shares before and now; in brackets what holds for all of them together."""
    table = columns("", "cluster", "before", "now", "points", "for example", right=("before", "now", "points"))
    for change in clusters[:limit]:
        moved = change.window_share - change.reference_share
        sign = "▲" if moved > 0 else "▼" if moved < 0 else "="
        figures = (percent(change.reference_share), percent(change.window_share), _points(change, moved))
        shown = excerpt(change.exemplars[0].text or change.exemplars[0].id, 60) if change.exemplars else NONE
        table.add_row(sign, Text(excerpt(change.cluster, 60)), *figures, Text(shown))
    return cut(table, limit, len(clusters))


def _points(change: ClusterChange, moved: float) -> str:
    if change.change is None:
        return points(moved)
    return f"{points(moved)}\n({points(change.change.low)} to {points(change.change.high)})"


def term_table(terms: Sequence[Term]) -> Table:
    """Words that surely came more (▲) or less often (▼)."""
    table = columns("", "term", "before", "now", right=("before", "now"))
    for term in terms:
        sign = "▲" if term.window_share > term.reference_share else "▼"
        table.add_row(sign, Text(excerpt(term.term, 40)), percent(term.reference_share), percent(term.window_share))
    return table


def contribution_table(contributions: Sequence[Contribution], *, limit: int = 8) -> Table:
    """What a segment brings of the drift, beside what it brings of the traffic."""
    table = columns("segment", "of the drift", "", "of the traffic", right=("of the drift", "of the traffic"))
    for each in contributions[:limit]:
        bar = level_bar(each.share, 1.0, _BAR)
        table.add_row(Text(excerpt(each.segment, 60)), percent(each.share), bar, percent(each.traffic))
    return cut(table, limit, len(contributions))


def finding_table(findings: Sequence[Finding]) -> Table:
    """What may be ours, with what to do."""
    table = columns("finding", "of the window", "expected", "what to do", right=("of the window", "expected"))
    for finding in findings:
        table.add_row(Text(excerpt(finding.what, 40)), percent(finding.share), percent(finding.expected), Text(finding.advice))
    return table


def exemplar_table(exemplars: Sequence[Exemplar], *, limit: int = 10) -> Table:
    """Samples with their novelty: the percentile among the reference's own."""
    table = columns("novelty", "sample", "text", right=("novelty",))
    for exemplar in exemplars[:limit]:
        table.add_row(percent(exemplar.novelty), Text(excerpt(exemplar.id, 40)), Text(excerpt(exemplar.text) or NONE))
    return cut(table, limit, len(exemplars))
