"""A proposal as a sheet to be looked through before it is paid for: every candidate with its sample, why it was chosen and its risk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from service.records import Candidate, Purpose
from service.report.parts import Bars, Cell, Column, Figure, Picture, Section, Standing, Table, Unit
from service.report.pictures import small_png
from service.report.rendering import html_page, markdown_page
from service.screens.drawing import count, moment, percent
from service.selecting.proposal import Bound, Proposal

MOST_SHOWN = 500
"""Candidates of a sheet: a picture each makes it large."""

PURPOSES: Mapping[Purpose, str] = MappingProxyType(
    {
        Purpose.PROBE: "to find out what new masses are",
        Purpose.EXPAND: "to cover what is known to fail",
        Purpose.AUDIT: "whatever their risk, to check the risks",
        Purpose.CHALLENGE: "at random, to verify the new model with",
    }
)


def html(proposal: Proposal) -> str:
    """One file that opens from disk: no network, no script."""
    return html_page.sheet_page(_EYEBROW, proposal.about.monitor, _made(proposal), list(sections(proposal)))


def markdown(proposal: Proposal) -> str:
    """The same for tickets and terminals; pictures are named."""
    return markdown_page.sheet_page(_EYEBROW, proposal.about.monitor, _made(proposal), list(sections(proposal)))


def bound_in_words(bound: Bound | None) -> str:
    """What can be promised about what the refresh costs."""
    if bound is None:
        return "Without a golden set nothing is promised about what the refresh breaks: `driftgate plan` says how to start one."
    rate = f"accuracy on traffic like the golden rows falls by less than {percent(bound.rate)}, at confidence {bound.confidence:.3g}"
    if not bound.holds:
        return f"No promise yet: to show that {rate}, {count(bound.needed)} golden rows are needed and there are {count(bound.rows)}."
    rows = f"at most {count(bound.allowed)} more break than are mended" if bound.allowed else "no more break than are mended"
    return f"The new model is promoted only if {rate}: on {count(bound.rows)} golden rows, that about {rows}."


_EYEBROW = "candidates for annotation"


def _made(proposal: Proposal) -> str:
    about, turn = proposal.about, proposal.turn
    alarm = f" for alarm {about.alarm}" if about.alarm else ""
    since = f", samples since {moment(about.since)}" if about.since else ""
    return f"Round {turn.number} of {turn.of}{alarm}, stream {about.segment}{since}, against reference {about.reference_version}."


def sections(proposal: Proposal, *, most: int = MOST_SHOWN) -> Iterator[Section]:
    """What the sheet tells, with so many samples of each kind at most."""
    yield _overview(proposal)
    for purpose in (Purpose.EXPAND, Purpose.PROBE, Purpose.AUDIT):
        if found := [each for each in proposal.candidates if each.purpose is purpose]:
            yield _candidates(proposal, purpose, found, most)
    if proposal.challenge:
        yield _challenge(proposal, most)
    yield _left_out(proposal)


def _overview(proposal: Proposal) -> Section:
    cost, asked = proposal.cost, proposal.candidates
    expected = sum(each.risk for each in asked) / len(asked) if asked else float("nan")
    figures = [Figure("labels", float(cost.labels), Unit.COUNT), Figure("of them expected unusable or harmful", expected)]
    if cost.money is not None:
        figures.append(Figure("cost", cost.money, Unit.PLAIN))
    figures += [Figure(f"left of {purse.name}, before it", purse.left, Unit.PLAIN) for purse in cost.purses]
    purposes = Counter(each.purpose for each in proposal.items)
    notes = " ".join(f"{note.rstrip('.')}." for note in proposal.notes)
    return Section(
        "proposal",
        "What would be sent",
        Standing.FINE,
        f"Chosen {proposal.situation.words}. {bound_in_words(proposal.bound)} {notes}".strip(),
        figures=tuple(figures),
        plots=(Bars("What for", {PURPOSES[purpose]: float(n) for purpose, n in purposes.most_common()}, Unit.COUNT),) if purposes else (),
    )


def _candidates(proposal: Proposal, purpose: Purpose, found: Sequence[Candidate], most: int) -> Section:
    columns = (
        Column("sample"),
        Column("why"),
        Column("risk", Unit.SHARE),
        *(Column(name, Unit.SHARE) for name in ("junk", "contested", "influence")),
        Column("stands for", Unit.COUNT),
        Column("model's answer"),
        Column("nearest known"),
        Column("id"),
    )
    rows = tuple(_row(proposal, each) for each in found[:most])
    title = f"Asked {PURPOSES[purpose]}"
    says = f"{count(len(found))} samples, most valuable first. A risk is the chance that an answer turns out unusable or harmful."
    table = Table("Samples", columns, rows, max(len(found) - most, 0))
    return Section(str(purpose), title, Standing.FINE, says, tables=(table,))


def _row(proposal: Proposal, candidate: Candidate) -> tuple[Cell, ...]:
    nearest = next((proposal.cited.get(key) or key for key in candidate.nearest), None)
    parts = (candidate.risk, candidate.junk, candidate.contested, candidate.influence)
    shown = _sample(proposal, candidate)
    return (shown, candidate.reason, *parts, candidate.weight, candidate.predicted, nearest, candidate.id)


def _challenge(proposal: Proposal, most: int) -> Section:
    """Whoever reads the sheet may be who answers: samples alone, as annotators get them."""
    rows = tuple((_sample(proposal, each), each.inclusion, each.id) for each in proposal.challenge[:most])
    columns = (Column("sample"), Column("chance of being drawn", Unit.SHARE), Column("id"))
    says = "Annotators get these without the model's answer, a score or a reason; they are never trained on."
    table = Table("Samples", columns, rows, max(len(proposal.challenge) - most, 0))
    return Section("challenge", f"Asked {PURPOSES[Purpose.CHALLENGE]}", Standing.FINE, says, tables=(table,))


def _left_out(proposal: Proposal) -> Section:
    counts = proposal.counts
    lines = (
        ("recent samples of the stream", counts.recent),
        ("further ones that the reserve kept", counts.reserved),
        ("further ones of imported pools", counts.imported),
        ("labelled already", -counts.labelled),
        ("asked before, or near-duplicates of what was", -counts.asked),
        ("too close to golden or challenge rows", -counts.held_back),
        ("near-duplicates that another one stands for", -counts.duplicates),
        ("distinct samples to choose from", counts.distinct),
        ("of them riskier than the limit", proposal.risky),
    )
    table = Table("From traffic to candidates", (Column(""), Column("samples", Unit.COUNT)), lines)
    return Section(
        "left_out", "What was left out", Standing.FINE, "Nothing of golden's calibrate and verify parts was read.", tables=(table,)
    )


def _sample(proposal: Proposal, candidate: Candidate) -> Cell:
    row = proposal.rows.get(candidate.id)
    payload = None if row is None else row.payload
    if isinstance(payload, bytes):
        png = small_png(payload)
        return candidate.id if png is None else Picture(png, f"picture of sample {candidate.id}")
    return candidate.text or (payload if isinstance(payload, str) else f"sample {candidate.id}")
