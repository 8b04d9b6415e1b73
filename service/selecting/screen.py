"""What `driftgate candidates` shows: what would be sent, at what cost and risk, with which promise."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.candidates import candidate_table
from service.screens.drawing import NONE, excerpt, moment
from service.selecting.proposal import Proposal
from service.selecting.sheet import bound_in_words


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
    files = f", and {counts.imported:,} of imported pools" if counts.imported else ""
    looked = f"looked at {counts.recent:,} recent and {counts.reserved:,} reserved samples{files}"
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
