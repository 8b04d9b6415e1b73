"""The ledger on a terminal: a bar per week, the measured rate against the budget, and the entries."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from service.records.ledger import Entry, FalseAlarms, Ledger, Proposal, Tally
from service.screens.drawing import columns, count, cut, excerpt, moment, percent

_MARKS = (("true", "█", "green"), ("false", "▒", "bold red"), ("seasonal", "▓", "yellow"), ("unjudged", "░", ""), ("outside", "·", "dim"))
_WIDTH, _BUDGET, _ENTRIES = 40, "│", 40


def ledger_screen(ledger: Ledger) -> RenderableType:
    """Everything the ledger knows, the newest entries first."""
    if not ledger.weeks and not ledger.entries:
        return Text("nothing in the ledger yet: no log time was watched, and no alarm opened")
    parts: list[RenderableType] = [_picture(ledger.weeks), _legend(), Text(_rate(ledger.false_alarms)), _precision(ledger.total)]
    if ledger.proposals:
        parts += [_title("proposed"), *(_proposal(proposal) for proposal in ledger.proposals)]
    return Group(*parts, _title("entries, newest first"), _entries(ledger.entries))


def _picture(weeks: tuple[Tally, ...]) -> RenderableType:
    """A row per week: a mark per alarm by verdict, `│` where the false alarms that were allowed for end."""
    table = columns("week of", "alarms by verdict", "alarms", "allowed false", "watched", right=("alarms", "allowed false", "watched"))
    longest = max((max(week.alarms + week.outside, week.allowed) for week in weeks), default=1.0)
    scale = min(1.0, (_WIDTH - 2) / longest) if longest else 1.0
    for week in weeks:
        watched = f"{week.seconds / 86_400:.1f} days"
        table.add_row(moment(week.start)[:10], _bar(week, scale), count(week.alarms), f"{week.allowed:.2f}", watched)
    return table


def _bar(week: Tally, scale: float) -> Text:
    """Marks, at least one for whatever there is, with the budget's line among them."""
    cells: list[tuple[str, str]] = []
    for name, mark, style in _MARKS:
        number = getattr(week, name)
        cells += [(mark, style)] * (max(round(number * scale), 1) if number else 0)
    line = round(week.allowed * scale)
    cells += [(" ", "")] * max(line - len(cells), 0)
    return Text.assemble(*cells[:line], (_BUDGET, "bold"), *cells[line:])


def _legend() -> Text:
    return Text.assemble(*((f"{mark} {name}  ", style) for name, mark, style in _MARKS), f"{_BUDGET} false alarms allowed for")


def _rate(found: FalseAlarms) -> str:
    """The measured rate in words."""
    if found.measured is None:
        return "false alarms: nothing measured yet, no log time was watched on active streams"
    interval = f"{found.measured.estimate:.2f} ({found.measured.low:.2f} to {found.measured.high:.2f})"
    allowed = f"{found.allowed:.2f} allowed for" if found.allowed is not None else ""
    worst = f"; at most {found.at_most:.2f} if all {found.unjudged} without a verdict are false" if found.unjudged else ""
    return f"false alarms in {found.days:g} days: {interval}, {allowed}, over {found.covered_days:.1f} days{worst}: {found.verdict}"


def _precision(total: Tally) -> Text:
    judged = total.true + total.false
    return Text(f"true among the {judged} called true or false: {percent(total.precision)}; {total.outside} alarms outside the budget")


def _proposal(proposal: Proposal) -> Text:
    hours = f"{proposal.hours[0]:02}:00 to {proposal.hours[-1] + 1:02}:00 UTC" if len(proposal.hours) < 24 else "all day"
    when = f"{', '.join(proposal.days)}, {hours}"
    return Text(f"{excerpt(proposal.monitor)}: a reference that knows {when} (alarm {proposal.alarm})\n  {proposal.command}")


def _entries(entries: tuple[Entry, ...]) -> RenderableType:
    if not entries:
        return Text("none")
    table = columns("when", "what", "stream", "says")
    for entry in reversed(entries[-_ENTRIES:]):
        stream = f"{excerpt(entry.monitor)}\n{excerpt(entry.segment, 40)}" if entry.segment else excerpt(entry.monitor)
        says = f"{excerpt(entry.says, 160)}\n{entry.alarm}" if entry.alarm else excerpt(entry.says, 160)
        table.add_row(moment(entry.time), entry.what, Text(stream), Text(says))
    return cut(table, _ENTRIES, len(entries))


def _title(text: str) -> Rule:
    return Rule(Text(text, "bold"), align="left", style="dim")
