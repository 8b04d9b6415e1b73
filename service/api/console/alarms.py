"""Alarms: the list, and a page on which one is seen, understood and marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.console import telling
from service.api.console.charts import share_bars
from service.api.console.frame import NOTICES, ROWS, After, Filled, Form, actor, back, page, pages, path
from service.api.console.showing import Shown, cards
from service.api.context import Served, Service
from service.errors import InputError
from service.notifying import silences
from service.overview import STANDING
from service.records import Alarm, AlarmState, Exemplar, Notice, RefreshCycle, Severity, Verdict

router = pages()
NOTICES.update(
    acknowledged="You have taken it: reminders stop.",
    resolved="The episode is closed; the stream's detector starts anew.",
    judged="Your verdict is kept; it counts in the ledger.",
    silenced="Its news is held back until the silence ends.",
)

STATES: Mapping[str, Sequence[AlarmState]] = {
    "standing": STANDING,
    "open": (AlarmState.OPEN,),
    "acknowledged": (AlarmState.ACKNOWLEDGED,),
    "resolved": (AlarmState.RESOLVED,),
}
_LOOKED = 400
"""Alarms that a page reads at most to find those of a severity: nothing is sorted by it."""
_CLUSTERS, _EXEMPLARS, _TOLD = 8, 8, 20
_MOST_HOURS = 14 * 24.0
_CYCLES = 50
Asked = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which alarms a person wants to see; '' for all."""

    monitor: Asked = ""
    team: Asked = ""
    state: Asked = ""
    severity: Asked = ""


@router.get("/alarms")
def alarm_list(request: Request, service: Served, sought: Annotated[Sought, Depends()], after: After = None) -> HTMLResponse:
    """Newest first."""
    declared = service.declaring.declared
    rows, last = _found(service, sought, after)
    counts = dict.fromkeys(AlarmState, 0)
    for (_, counted), number in service.store.tally(Alarm).items():
        counts[AlarmState(counted)] += number
    return page(
        request,
        "alarms.html",
        alarms=rows,
        next=last,
        counts=counts,
        asked=asdict(sought),
        states=tuple(STATES),
        severities=tuple(Severity),
        teams=sorted({known.settings.team for known in declared.values() if known.settings.team}),
        now=service.clock(),
    )


def _found(service: Service, sought: Sought, after: str | None) -> tuple[Sequence[Alarm], str | None]:
    """A page of alarms, and the last that was looked at where there may be more."""
    declared, rows, looked = service.declaring.declared, list[Alarm](), 0
    of_team = [name for name, known in declared.items() if known.settings.team == sought.team] if sought.team else None
    monitor, states = sought.monitor or None, STATES.get(sought.state, ())
    while True:
        read = service.store.find(Alarm, monitor=monitor, monitors=of_team, states=states, after=after, limit=ROWS + 1)
        for alarm in read[:ROWS]:
            if len(rows) == ROWS:
                return rows, after
            after = alarm.id
            if sought.severity in ("", alarm.severity):
                rows.append(alarm)
        looked += len(read)
        if len(read) <= ROWS:
            return rows, None
        if len(rows) == ROWS or looked >= _LOOKED:
            return rows, after


# --- one alarm -----------------------------------------------------------------------------------------------------------


@router.get("/alarms/{id}")
def alarm_page(id: str, request: Request, service: Served) -> HTMLResponse:
    """What happened, whether it is us, what shows it, and what to say about it."""
    alarm, now = service.store.get(Alarm, id), service.clock()
    known = service.declaring.declared.get(alarm.monitor)
    team = known.settings.team or "" if known else ""
    return page(
        request,
        "alarm.html",
        alarm=alarm,
        monitor=alarm.monitor if known else "",
        says=telling.of_alarm(alarm),
        told=telling.next_step(alarm),
        band=_limits(service, alarm),
        clusters=_clusters(alarm),
        sides=(
            ("What the window brought", _exhibits(service, alarm, alarm.exemplars)),
            ("What the reference had and the window hardly has", _exhibits(service, alarm, alarm.missed)),
        ),
        cycles=[cycle for cycle in service.store.find(RefreshCycle, monitor=alarm.monitor, limit=_CYCLES) if cycle.opened_by == alarm.id],
        told_whom=_told_whom(service, alarm),
        silenced=[silence for silence in silences.active(service.store, now=now) if silences.matches(silence, alarm, team)],
        verdicts=tuple(Verdict),
        now=now,
    )


def _limits(service: Service, alarm: Alarm) -> Mapping[str, float]:
    """Tolerance and critical level of its monitor, as they stand now."""
    known = service.declaring.declared.get(alarm.monitor)
    tolerance = service.store.status(alarm.monitor).get("tolerance")
    return {"tolerance": float(tolerance or 0.05), "critical": known.settings.detection.critical if known else 0.25}


def _clusters(alarm: Alarm) -> object:
    rows = [(change.cluster, change.window_share, change.reference_share) for change in alarm.clusters[:_CLUSTERS]]
    return share_bars(rows, ("window", "reference"), "Shares of the traffic") if rows else ""


def _exhibits(service: Service, alarm: Alarm, exemplars: Sequence[Exemplar]) -> Sequence[tuple[Exemplar, Shown]]:
    """Texts as the alarm keeps them; what is no text is looked for where it is kept."""
    shown = exemplars[:_EXEMPLARS]
    wordless = [each.id for each in shown if not each.text]
    known = alarm.monitor in service.declaring.declared
    found = cards(service, alarm.monitor, wordless, version=alarm.reference_version) if wordless and known else {}
    gone = Shown("nothing", "its payload is not kept any more")
    return [(each, Shown("text", each.text) if each.text else found[each.id].shown if each.id in found else gone) for each in shown]


def _told_whom(service: Service, alarm: Alarm) -> Sequence[Notice]:
    return [notice for notice in service.store.find(Notice, monitor=alarm.monitor, limit=_TOLD) if notice.alarm == alarm.id]


# --- what people say -----------------------------------------------------------------------------------------------------


@router.post("/alarms/{id}/acknowledge")
def acknowledge(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Somebody takes care of it."""
    service.actions.acknowledge(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("alarms", id), "acknowledged")


@router.post("/alarms/{id}/resolve")
def resolve(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Closes the episode."""
    service.actions.resolve(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("alarms", id), "resolved")


@router.post("/alarms/{id}/verdict")
def judge(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """What it turned out to be."""
    service.actions.verdict(id, _verdict(form), actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("alarms", id), "judged")


def _verdict(form: Form) -> Verdict:
    said = form.text("verdict", needed=True)
    if said not in tuple(Verdict):
        raise InputError("invalid", f"verdict: must be {', '.join(Verdict)}, found {said!r:.40}")
    return Verdict(said)


@router.post("/alarms/{id}/silence")
def silence(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Holds its news back for a while; the alarm stays."""
    alarm, now = service.store.get(Alarm, id), service.clock()
    ends = now + 3_600.0 * form.number("hours", least=0.1, most=_MOST_HOURS)
    service.actions.silence(
        silences.matching(alarm), ends=ends, actor=actor(request), note=form.text("note", most=1_000, needed=True), now=now
    )
    return back(path("alarms", id), "silenced")
