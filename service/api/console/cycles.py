"""Refresh cycles: where one is, what it waits for, how its model was judged, what it cost, and the word that moves it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from service.annotation import labels_asked, price_of
from service.api.console.frame import NOTICES, ROWS, After, Filled, actor, back, page, pages, path
from service.api.console.showing import effective
from service.api.context import Served, Service
from service.cycles.standing import Standing, standing
from service.errors import NotFoundError
from service.records import AnnotationBatch, BatchState, Candidate, CycleState, RefreshCycle, Trigger
from service.refresh import ENDED, OPEN
from service.report.rendering import html_page
from service.settings import MonitorSettings
from service.verifying.report import Verified, sections

router = pages()
NOTICES.update(
    promoted="Its promotion is announced: whoever deploys is told.",
    declined="The model is declined; the one in force stays.",
    deployed="Noted: production answers with it. The reference follows.",
    reverted="The model before is asked back, with its reference.",
    cycle_cancelled="The cycle is cancelled.",
    finished="No further batch is sent: the new model learns from what is labelled.",
    answering="Both models answer now; the samples stand here when they are done.",
)

Asked = Annotated[str, Query(max_length=200)]

WAY = (CycleState.ANNOTATING, CycleState.TRAINING, CycleState.VERIFYING, CycleState.VERIFIED, CycleState.DEPLOYING, CycleState.PROMOTED)
"""The states of a cycle that goes well."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One state of a cycle's way."""

    state: CycleState
    kind: str
    """`passed`, `now`, `ended`, or '' for what has not come."""
    since: float | None


@dataclass(frozen=True, slots=True)
class Round:
    """A batch of the cycle, in figures."""

    batch: AnnotationBatch
    labels: int
    price: float | None
    doubted: int
    """Answers that the label checks doubt."""
    outcomes: Mapping[str, int]


@router.get("/cycles")
def cycle_list(request: Request, service: Served, monitor: Asked = "", state: Asked = "", after: After = None) -> HTMLResponse:
    """Cycles, newest first."""
    if monitor:
        service.known(monitor)
    states = OPEN if state == "open" else [CycleState(state)] if state in tuple(CycleState) else ()
    found = service.store.find(RefreshCycle, monitor=monitor or None, states=states, after=after, limit=ROWS + 1)
    counts = dict.fromkeys(CycleState, 0)
    for (name, counted), number in service.store.tally(RefreshCycle).items():
        if not monitor or name == monitor:
            counts[CycleState(counted)] += number
    return page(
        request,
        "cycles.html",
        monitor=monitor,
        asked={"monitor": monitor, "state": state},
        cycles=[(cycle, _standing(service, cycle)) for cycle in found[:ROWS]],
        next=found[ROWS - 1].id if len(found) > ROWS else None,
        states=tuple(CycleState),
        counts=counts,
        now=service.clock(),
    )


@router.get("/cycles/{id}")
def show_cycle(id: str, request: Request, service: Served) -> HTMLResponse:
    """One cycle from its opening to its end."""
    cycle, now = service.store.get(RefreshCycle, id), service.clock()
    declared = cycle.monitor in service.declaring.declared
    settings = effective(service, cycle.monitor) if declared else None
    rounds = [_round(service.store.get(AnnotationBatch, name), settings) for name in cycle.batches]
    hanging, stands = service.galleries.under_way, _standing(service, cycle)
    return page(
        request,
        "cycle.html",
        monitor=cycle.monitor if declared else "",
        cycle=cycle,
        opener=cycle.opened_by if cycle.trigger is Trigger.ALARM else "",
        way=_way(cycle),
        standing=stands,
        todo=Markup(html_page.prose(stands.todo)) if stands else "",  # noqa: S704 - escaped where it was made
        rounds=rounds,
        cost=sum(each.price or 0.0 for each in rounds) if rounds and all(each.price is not None for each in rounds) else None,
        labels=sum(each.labels for each in rounds),
        verification=_verification(cycle, now),
        gallery=_told(service.galleries.of(cycle, now=now)),
        judged=bool((cycle.verification or {}).get("checks")) and cycle.served is not None and cycle.state is not CycleState.PROMOTED,
        hanging=hanging if hanging is not None and hanging.cycle == cycle.id else None,
        failure=service.galleries.failures.get(cycle.id, ""),
        data_sets=(cycle.requested or {}).get("data_sets", ()),
        acts=_acts(cycle, rounds),
        now=now,
    )


@router.post("/cycles/{id}/samples")
def show_samples(id: str, service: Served) -> RedirectResponse:
    """Lets both models answer rows that may be looked at."""
    cycle = service.store.get(RefreshCycle, id)
    if cycle.verification is None:
        raise NotFoundError(f"refresh cycle {id}: nothing was verified yet")
    service.galleries.begin(cycle, now=service.clock())
    return back(path("cycles", id), "answering")


@router.post("/cycles/{id}/promote")
def promote(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """The proven model is to serve."""
    service.promotion.promote(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", id), "promoted")


@router.post("/cycles/{id}/decline")
def decline(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """It is not."""
    service.promotion.decline(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", id), "declined")


@router.post("/cycles/{id}/deployed")
def deployed(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Production answers with it."""
    service.promotion.deployed(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", id), "deployed")


@router.post("/cycles/{id}/revert")
def revert(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """The model before is to serve again."""
    service.promotion.revert(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", id), "reverted")


@router.post("/cycles/{id}/cancel")
def cancel(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Nothing more is to come of it."""
    service.actions.cancel_refresh(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", id), "cycle_cancelled")


@router.post("/cycles/{id}/finish")
def finish(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """What is labelled has to do."""
    service.actions.finish_refresh(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("cycles", id), "finished")


def _standing(service: Service, cycle: RefreshCycle) -> Standing | None:
    """Of an open cycle whose monitor is declared."""
    if cycle.state in ENDED or cycle.monitor not in service.declaring.declared:
        return None
    batch = service.store.get(AnnotationBatch, cycle.batch) if cycle.batch else None
    return standing(cycle, batch, service.declaring.declared[cycle.monitor].settings)


def _way(cycle: RefreshCycle) -> Sequence[Stop]:
    """When each state was first entered; a cycle that ended otherwise stops where it was."""
    entered: dict[str, float] = {}
    for step in cycle.history:
        entered.setdefault(step.state, step.time)
    stops = [Stop(state, _kind(state, cycle, entered), entered.get(state)) for state in WAY]
    return stops if cycle.state in WAY else [*(stop for stop in stops if stop.since), Stop(cycle.state, "ended", cycle.entered)]


def _kind(state: CycleState, cycle: RefreshCycle, entered: Mapping[str, float]) -> str:
    if state is cycle.state:
        return "passed" if state is CycleState.PROMOTED else "now"
    before = cycle.state not in WAY or WAY.index(state) < WAY.index(cycle.state)
    return "passed" if before and state in entered else ""


def _round(batch: AnnotationBatch, settings: MonitorSettings | None) -> Round:
    outcomes: dict[str, int] = {}
    for item in batch.items:
        if item.outcome is not None:
            outcomes[str(item.outcome)] = outcomes.get(str(item.outcome), 0) + 1
    price = price_of(batch, settings.annotation.price if settings else None)
    return Round(batch, labels_asked(batch), price, sum(map(_doubted, batch.items)), outcomes)


def _doubted(item: Candidate) -> bool:
    return (item.doubt or 0.0) >= 0.5


def _verification(cycle: RefreshCycle, now: float) -> Markup:
    """The verdict and all that it stands on."""
    if cycle.verification is None:
        return Markup("")
    return _told(sections(Verified(now, {}, {}, cycle.verification)))


def _told(found: Sequence[Any]) -> Markup:
    return Markup("".join(html_page.section(each, chip=False) for each in found))  # noqa: S704 - escaped where it was made


def _acts(cycle: RefreshCycle, rounds: Sequence[Round]) -> Sequence[tuple[str, str, str]]:
    """(act, what its button says, how it looks) of those that the state allows."""
    found: list[tuple[str, str, str]] = []
    newest = rounds[-1].batch if rounds else None
    labelled = newest is not None and (len(rounds) > 1 or newest.state not in (BatchState.PROPOSED, BatchState.APPROVED))
    if cycle.state is CycleState.ANNOTATING and labelled:
        found.append(("finish", "End the rounds: train on what is labelled", ""))
    if cycle.state is CycleState.VERIFIED:
        found += [("promote", "Promote the model", "main"), ("decline", "Decline it", "danger")]
    if cycle.state is CycleState.DEPLOYING:
        found.append(("deployed", "Production answers with it", "main"))
    if cycle.state in (CycleState.DEPLOYING, CycleState.PROMOTED):
        found.append(("revert", "Go back to the model before", "danger"))
    elif cycle.state not in ENDED:
        found.append(("cancel", "Cancel the cycle", "danger"))
    return found
