"""What `driftgate candidates` shows: what would be sent, at what cost and risk, with which promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from service.records import Candidate, Purpose
from service.screens.drawing import NONE, columns, count, cut, excerpt, level_bar, moment, percent
from service.selecting.proposal import Proposal
from service.selecting.sheet import bound_in_words

if TYPE_CHECKING:
    from detectors.selection.risk import Reliability

_WIDTH = 8
_STYLES = {Purpose.EXPAND: "bold", Purpose.AUDIT: "yellow"}


def proposal_screen(proposal: Proposal, *, limit: int) -> RenderableType:
    """The candidates, most valuable first, under what they were chosen by and above what they cost."""
    return Group(
        _headline(proposal),
        candidate_table(proposal.candidates, limit=limit),
        Text(_composition(proposal)),
        Text(_left_out(proposal), "dim"),
        *_costs(proposal),
        Text(bound_in_words(proposal.bound), "" if proposal.bound and proposal.bound.holds else "yellow"),
        *(Text(f"note: {excerpt(note, 300)}", "yellow") for note in proposal.notes),
    )


def candidate_table(candidates: Sequence[Candidate], *, limit: int) -> RenderableType:
    """Why each sample is proposed, what it is expected to add, its risk with its parts, and how many samples it stands for (×)."""
    if not candidates:
        return Text("no candidates")
    table = columns("sample", "for", "risk\njunk/contested/harm", "×", "why, and what it says", right=("×",))
    for item in candidates[:limit]:
        predicted = f" (the model says {excerpt(item.predicted, 60)})" if item.predicted else ""
        parts = "/".join(f"{100 * part:.0f}" for part in (item.junk, item.contested, item.influence))
        why = Text.assemble((f"{excerpt(item.reason, 200)}{predicted}", "dim"), f"\n{excerpt(item.text)}" if item.text else "")
        risk = Text.assemble(f"{level_bar(item.risk, 1.0, _WIDTH)} {percent(item.risk)}", (f"\n{parts}", "dim"))
        table.add_row(Text(excerpt(item.id, 40)), Text(item.purpose, _STYLES.get(item.purpose, "")), risk, count(item.weight), why)
    return cut(table, limit, len(candidates))


def reliability_screen(found: Reliability | None) -> RenderableType:
    """What risks said against what became of the samples: a calibrated risk lies within each bin's interval."""
    if found is None or not found.count:
        return Text("no outcomes yet: they come when a batch is closed")
    table = columns("risk said", "samples", "mean risk", "unusable or harmful", "interval", right=("samples", "mean risk"))
    for each in found.bins:
        span = f"{percent(each.low)} to {percent(each.high)}"
        shown = f"{percent(each.share_low)} to {percent(each.share_high)}"
        table.add_row(
            span, count(each.count), percent(each.mean_risk), f"{level_bar(each.share, 1.0, _WIDTH)} {percent(each.share)}", shown
        )
    return Group(table, Text(f"{count(found.count)} outcomes; expected calibration error {percent(found.error)}"))


def _headline(proposal: Proposal) -> Text:
    about, turn = proposal.about, proposal.turn
    opened = f"alarm {about.alarm}" if about.alarm else "no alarm"
    since = f" since {moment(about.since)}" if about.since else ""
    where = f"{about.monitor}, stream {about.segment}{since}, {opened}; round {turn.number} of {turn.of}"
    return Text.assemble((where, "bold"), f"\nchosen by {proposal.situation.words}")


def _composition(proposal: Proposal) -> str:
    purposes = Counter(item.purpose for item in proposal.candidates)
    of = ", ".join(f"{number:,} {purpose}" for purpose, number in purposes.most_common()) or "none"
    drawn = f"; {len(proposal.challenge):,} challenge rows drawn at random go with them, to be labelled blind" if proposal.challenge else ""
    expected = sum(item.risk for item in proposal.candidates)
    risk = f"; about {expected:.0f} of them are expected to be unusable or harmful" if proposal.candidates else ""
    return f"{len(proposal.candidates):,} candidates: {of}{risk}{drawn}"


def _left_out(proposal: Proposal) -> str:
    counts = proposal.counts
    looked = f"looked at {counts.recent:,} recent and {counts.reserved:,} reserved samples"
    reasons = (
        ("labelled already", counts.labelled),
        ("asked before", counts.asked),
        ("too close to golden or challenge rows", counts.held_back),
        ("near-duplicates", counts.duplicates),
        ("too risky", proposal.risky),
    )
    out = ", ".join(f"{number:,} {reason}" for reason, number in reasons if number)
    return f"{looked}; left out: {out or 'none'}; {counts.distinct:,} distinct ones to choose from"


def _costs(proposal: Proposal) -> list[Text]:
    cost = proposal.cost
    money = NONE if cost.money is None else f"{cost.money:,.2f} at {cost.price:g} each"
    lines = [Text(f"cost: {cost.labels:,} labels, {money}")]
    return lines + [Text(f"  {purse.name}: {purse.left:,.2f} left of {purse.limit:,.2f} ({purse.setting})") for purse in cost.purses]
