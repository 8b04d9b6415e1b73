"""One monitor: how it stands, how it went, which segments bring its drift, and what can be done."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.console import courses, telling
from service.api.console.courses import Course, Happening
from service.api.console.frame import NOTICES, Filled, actor, back, page, pages, path
from service.api.context import Served, Service
from service.overview import STANDING
from service.records import LEVELS, WHOLE, Alarm, AlarmState, Passage, RefreshCycle, Severity
from service.screens.drawing import excerpt

router = pages()
NOTICES.update(
    paused="Alarms are off until the end of the pause; samples are counted on.",
    unpaused="The pause is over: alarms open again.",
    refreshing="A refresh cycle was opened.",
)

SPANS = {"20min": "20 minutes", "3h": "3 hours", "36h": "36 hours", "30d": "30 days"}
"""By level of the timeline, the finest first."""
_FEW = 20
"""Passages by the minute below which the last twenty minutes show more."""
_MARKS = 50
"""Alarms and cycles that are marked in a picture."""
_SEGMENTS = 40
_MOST_HOURS = 14 * 24.0


@dataclass(frozen=True, slots=True)
class Row:
    """A segment in the ranking."""

    status: Mapping[str, Any]
    ratio: float
    """Evidence as a multiple of its threshold."""


@router.get("/monitors/{monitor}")
def monitor(
    monitor: str,
    request: Request,
    service: Served,
    span: Annotated[str, Query(pattern="^(20min|3h|36h|30d)?$")] = "",
    segment: Annotated[str, Query(max_length=300)] = WHOLE,
) -> HTMLResponse:
    """Everything about it that a person asks first."""
    document, known = service.standing.document(service.known(monitor)), service.declaring.declared[monitor]
    alarms = service.store.find(Alarm, monitor=monitor, limit=_MARKS)
    span, passages = _passages(service, monitor, segment, span)
    ranked = _ranked(document.get("streams", ()))
    (compliance,) = service.policies.compliance([monitor], now=service.clock())
    return page(
        request,
        "monitor.html",
        monitor=monitor,
        settings=known.settings,
        document=document,
        told=telling.of_state(document),
        standing=sorted((alarm for alarm in alarms if alarm.state in STANDING), key=_first),
        course=courses.draw(_course(service, monitor, passages, alarms, document)),
        drawn=bool(passages),
        span=span,
        spans=SPANS,
        segment=segment,
        segments=ranked[:_SEGMENTS],
        left_out=len(ranked) - len(ranked[:_SEGMENTS]),
        critical=known.settings.detection.critical,
        checks=compliance.checks,
        now=service.clock(),
    )


def _first(alarm: Alarm) -> tuple[bool, bool, float]:
    """The whole monitor's, then the critical ones, then by what is sure of the effect."""
    return alarm.segment != WHOLE, alarm.severity is not Severity.CRITICAL, -alarm.effect.low


def _ranked(streams: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The whole first, then segments by their evidence."""
    rows = [Row(stream, _ratio(stream)) for stream in streams]
    return sorted(rows, key=lambda row: (row.status["segment"] != WHOLE, -row.ratio))


def _ratio(stream: Mapping[str, Any]) -> float:
    evidence, threshold = stream.get("evidence") or 0.0, stream.get("threshold") or math.inf
    return float(evidence / threshold) if threshold else 0.0


# --- the timeline --------------------------------------------------------------------------------------------------------


def _passages(service: Service, monitor: str, segment: str, span: str) -> tuple[str, Sequence[Passage]]:
    """Of the span that is asked for; else of one that shows something."""
    (short, usual, *_), (finest, finer) = SPANS, (seconds for seconds, _ in LEVELS[:2])
    if span:
        return span, service.store.timeline(monitor, segment, LEVELS[list(SPANS).index(span)][0])
    passages = service.store.timeline(monitor, segment, finer)
    return (usual, passages) if len(passages) >= _FEW else (short, service.store.timeline(monitor, segment, finest))


def _course(service: Service, monitor: str, passages: Sequence[Passage], alarms: Sequence[Alarm], document: Mapping[str, Any]) -> Course:
    segment = passages[0].segment if passages else WHOLE
    end = max(float(document.get("last_time") or 0.0), passages[-1].start if passages else 0.0)
    cycles = service.store.find(RefreshCycle, monitor=monitor, limit=_MARKS)
    happenings = [
        *(_alarm(alarm) for alarm in reversed(alarms) if alarm.segment == segment),
        *(Happening("refresh", cycle.created, None, f"Refresh cycle {cycle.id[:12]} opened") for cycle in reversed(cycles)),
        *_rebases(passages),
    ]
    return Course(passages, happenings, float(document.get("tolerance") or 0.05), end)


def _alarm(alarm: Alarm) -> Happening:
    over = next((step.time for step in alarm.history if step.state == AlarmState.RESOLVED), None)
    verdict = f", called {alarm.verdict}" if alarm.verdict else ""
    return Happening("alarm", alarm.opened, over, f"Alarm {alarm.id[:12]}: {excerpt(alarm.kind, 60)}, {alarm.severity}{verdict}")


def _rebases(passages: Sequence[Passage]) -> Iterator[Happening]:
    """Where another reference version decides from."""
    before = passages[0].reference_version if passages else 0
    for passage in passages:
        if passage.reference_version != before:
            yield Happening("rebase", passage.start, None, f"Reference {passage.reference_version} came into force")
        before = passage.reference_version


# --- what can be done ----------------------------------------------------------------------------------------------------


@router.post("/monitors/{monitor}/pause")
def pause(monitor: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Counts on, and opens no alarm until then."""
    hours, now = form.number("hours", least=0.1, most=_MOST_HOURS), service.clock()
    note = form.text("note", needed=True)
    service.actions.pause(service.known(monitor), until=now + 3_600.0 * hours, actor=actor(request), note=note, now=now)
    return back(path("monitors", monitor), "paused")


@router.post("/monitors/{monitor}/unpause")
def unpause(monitor: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Ends a pause early."""
    service.actions.unpause(service.known(monitor), actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("monitors", monitor), "unpaused")


@router.post("/monitors/{monitor}/refresh")
def refresh(monitor: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Opens a cycle for its strongest open alarm."""
    cycle = service.actions.open_refresh(service.known(monitor), actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", cycle.id), "refreshing")
