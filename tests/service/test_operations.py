"""What people do, through the same log as everything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from service import refresh
from service.adapters.sqlite import SqliteStore
from service.alarms import Reason, closed_at
from service.controller import Controller
from service.errors import ConflictError, InputError, NotFoundError
from service.observe import Silent
from service.operations import Operations
from service.records import Alarm, AlarmState, BatchState, Candidate, CycleState, Event, Family, Label, OutboxItem, RefreshCycle, Verdict
from service.settings import MonitorSettings

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from tests.service.conftest import World

BY = {"actor": "ana", "note": "because"}


class Requests:
    """A refresher that opens what it is asked for."""

    def __init__(self, store: SqliteStore, settings: MonitorSettings) -> None:
        self._store = store
        self._settings = settings

    def open(self, monitor: str, opened_by: str, *, opener: refresh.Opener, now: float) -> RefreshCycle:
        candidates = [Candidate(f"s{i}", "new", 0.1, "all") for i in range(4)]
        return refresh.start(self._store, refresh.Opening(monitor, 1, opened_by, opener=opener), candidates, self._settings, now=now)


@dataclass
class Monitors:
    """One, with a reference in force."""

    settings: MonitorSettings
    reference: int | None = 1

    def effective(self, monitor: str) -> MonitorSettings:  # noqa: ARG002 - the protocol's
        return self.settings

    def version(self, monitor: str) -> int | None:  # noqa: ARG002 - the protocol's
        return self.reference


def decided(controller: Controller) -> None:
    while controller.step(now=3_000.0):
        pass


@dataclass
class Desk:
    """A monitor with an open alarm, and somebody to act on it."""

    store: SqliteStore
    controller: Controller
    operations: Operations

    @property
    def alarm(self) -> Alarm:
        (alarm,) = self.store.find(Alarm)
        return alarm


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    document = {**world.settings.model_dump(), "annotation": {"approval": "operator", "destination": "vendor", "quota": 0.5}}
    settings = MonitorSettings.model_validate(document)
    with closing(SqliteStore(":memory:")) as store:
        log = world.log(store)
        log.add(world.ordinary(320, 2))
        log.add(world.drifted(320, 102))
        controller = Controller(settings, world.reference, store, Silent())
        while controller.step(now=2_000.0):
            pass
        requests: Any = Requests(store, settings)
        yield Desk(store, controller, Operations(store, requests, Monitors(settings), lambda *_: decided(controller)))


# --- alarms ----------------------------------------------------------------------------------------------------------


def test_an_act_is_an_event_that_is_decided_at_once(desk: Desk) -> None:
    taken = desk.operations.acknowledge(desk.alarm.id, **BY, now=3_000.0)
    assert taken == desk.alarm
    assert taken.state is AlarmState.ACKNOWLEDGED
    assert (taken.history[-1].reason, taken.history[-1].actor, taken.history[-1].note) == (Reason.SEEN, "ana", "because")
    (event,) = [entry for entry in desk.store.entries("chat", 0, 1_000) if isinstance(entry, Event)]
    assert (event.kind, event.subject, event.sequence) == ("acknowledge", taken.id, desk.controller.streams.sequence)


def test_acknowledging_again_is_no_event(desk: Desk) -> None:
    once = desk.operations.acknowledge(desk.alarm.id, **BY, now=3_000.0)
    assert desk.operations.acknowledge(once.id, actor="bob", note="", now=3_001.0) == once
    assert desk.operations.acknowledge(once.id, actor="eve", note="", now=3_002.0) == once


@pytest.mark.parametrize(
    ("verdict", "state", "reason"),
    [
        (Verdict.TRUE, AlarmState.ACKNOWLEDGED, Reason.TRUE_ALARM),
        (Verdict.FALSE, AlarmState.RESOLVED, Reason.FALSE_ALARM),
        (Verdict.SEASONAL, AlarmState.RESOLVED, Reason.SEASONAL),
    ],
)
def test_a_verdict_reaches_the_detector(desk: Desk, verdict: Verdict, state: AlarmState, reason: Reason) -> None:
    judged = desk.operations.verdict(desk.alarm.id, verdict, **BY, now=3_000.0)
    assert (judged.state, judged.verdict, judged.history[-1].reason) == (state, verdict, reason)
    held = desk.controller.streams.streams["all"].episodes[Family.INPUT].held_back
    assert (held is None) == (verdict is Verdict.TRUE)


def test_a_verdict_can_follow_another(desk: Desk) -> None:
    desk.operations.verdict(desk.alarm.id, Verdict.TRUE, **BY, now=3_000.0)
    assert desk.operations.verdict(desk.alarm.id, Verdict.FALSE, **BY, now=3_001.0).verdict is Verdict.FALSE


def test_a_resolved_alarm_takes_no_more(desk: Desk) -> None:
    resolved = desk.operations.resolve(desk.alarm.id, **BY, now=3_000.0)
    assert (resolved.state, resolved.history[-1].reason) == (AlarmState.RESOLVED, Reason.CLOSED)
    with pytest.raises(ConflictError, match="resolved already"):
        desk.operations.resolve(resolved.id, **BY, now=3_001.0)
    with pytest.raises(NotFoundError, match="no alarm 'nothing'"):
        desk.operations.acknowledge("nothing", **BY, now=3_000.0)


def test_an_alarm_that_is_over_can_still_be_judged_and_judged_again(desk: Desk, world: World) -> None:
    """The ledger counts it, and no detector notices."""
    resolved = desk.operations.resolve(desk.alarm.id, **BY, now=3_000.0)
    episodes = dict(desk.controller.streams.streams["all"].episodes)
    judged = desk.operations.verdict(resolved.id, Verdict.FALSE, **BY, now=9_000.0)
    assert (judged.state, judged.verdict, closed_at(judged)) == (AlarmState.RESOLVED, Verdict.FALSE, 3_000.0)
    assert (judged.history[-1].reason, judged.history[-1].actor, judged.version) == (Reason.FALSE_ALARM, "ana", resolved.version + 1)
    assert desk.operations.verdict(resolved.id, Verdict.FALSE, **BY, now=9_001.0) == judged
    assert desk.operations.verdict(resolved.id, Verdict.TRUE, **BY, now=9_002.0) == desk.alarm
    assert (desk.alarm.verdict, desk.alarm.state) == (Verdict.TRUE, AlarmState.RESOLVED)
    assert desk.controller.streams.streams["all"].episodes == episodes
    restarted = Controller(world.settings, world.reference, desk.store, Silent())
    assert restarted.streams.checkpoint() == desk.controller.streams.checkpoint()


def test_a_verdict_that_the_end_of_its_alarm_overtook_counts(desk: Desk) -> None:
    """Said about an open alarm, decided in one step with what closed it."""
    for kind, body in (("resolve", {}), ("verdict", {"verdict": "false"})):
        desk.store.record_event(Event(kind, "chat", kind, 3_000.0, "ana", desk.alarm.id, body))
    assert desk.controller.step(now=3_002.0)
    assert [taken.reason for taken in desk.alarm.history[-2:]] == [Reason.CLOSED, Reason.FALSE_ALARM]
    assert (desk.alarm.state, desk.alarm.verdict) == (AlarmState.RESOLVED, Verdict.FALSE)


def test_of_two_verdicts_on_the_same_alarm_the_slower_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both looked at the same version; the first one's event is recorded and not decided yet."""
    seen = desk.alarm
    with monkeypatch.context() as patched:
        patched.setattr(desk.controller, "step", lambda **_: 0)
        desk.operations.verdict(seen.id, Verdict.TRUE, **BY, now=3_000.0)
    with pytest.raises(ConflictError, match="ana was faster"):
        desk.operations.verdict(seen.id, Verdict.FALSE, actor="bob", note="", now=3_001.0)
    assert desk.operations.verdict(seen.id, Verdict.TRUE, **BY, now=3_002.0).verdict is Verdict.TRUE
    assert len([entry for entry in desk.store.entries("chat", 0, 1_000) if isinstance(entry, Event)]) == 1


def test_without_somebody_who_decides_nothing_is_recorded(desk: Desk, world: World) -> None:
    requests: Any = None
    alone = Operations(desk.store, requests, Monitors(world.settings, None), lambda *_: pytest.fail("not asked"))
    with pytest.raises(ConflictError, match="no reference is in force"):
        alone.verdict(desk.alarm.id, Verdict.FALSE, **BY, now=3_000.0)
    assert not any(isinstance(entry, Event) for entry in desk.store.entries("chat", 0, 1_000))


def test_an_act_survives_a_restart(desk: Desk, world: World) -> None:
    desk.operations.verdict(desk.alarm.id, Verdict.FALSE, **BY, now=3_000.0)
    restarted = Controller(world.settings, world.reference, desk.store, Silent())
    assert restarted.streams.checkpoint() == desk.controller.streams.checkpoint()


# --- batches and cycles ----------------------------------------------------------------------------------------------


def test_a_batch_is_approved_answered_and_closes_at_its_quota(desk: Desk) -> None:
    cycle = desk.operations.open_refresh("chat", **BY, now=3_000.0)
    assert [item.kind for item in desk.store.outbox()] == []
    approved = desk.operations.approve_batch(cycle.batch, **BY, now=3_001.0)
    assert approved.state is BatchState.SENT
    assert [item.kind for item in desk.store.outbox()] == ["annotation.batch"]

    first = [Label("chat", cycle.batch, "s0", "billing", 3_002.0, "ana")]
    assert desk.operations.take_labels(first, now=3_002.0).batch.state is BatchState.PARTLY_RETURNED
    again = desk.operations.take_labels(first, now=3_003.0)
    assert (again.changed, again.batch.state) == (0, BatchState.PARTLY_RETURNED)
    done = desk.operations.take_labels([replace(first[0], sample="s1")], now=3_004.0)
    assert done.batch.state is BatchState.CLOSED


def test_a_batch_can_be_closed_with_what_there_is(desk: Desk) -> None:
    cycle = desk.operations.open_refresh("chat", **BY, now=3_000.0)
    desk.operations.approve_batch(cycle.batch, **BY, now=3_001.0)
    closed = desk.operations.close_batch(cycle.batch, **BY, now=3_002.0)
    assert (closed.state, closed.history[-1].actor, closed.history[-1].note) == (BatchState.CLOSED, "ana", "because")


def test_a_cancelled_cycle_takes_its_batch_with_it(desk: Desk) -> None:
    cycle = desk.operations.open_refresh("chat", **BY, now=3_000.0)
    assert desk.operations.cancel_refresh(cycle.id, **BY, now=3_001.0).state is CycleState.CANCELLED
    with pytest.raises(ConflictError, match="is cancelled"):
        desk.operations.approve_batch(cycle.batch, **BY, now=3_002.0)


def test_no_labels_are_no_delivery(desk: Desk) -> None:
    with pytest.raises(InputError, match="labels of one batch"):
        desk.operations.take_labels([], now=3_000.0)


def test_a_dead_item_is_made_due_again(desk: Desk) -> None:
    dead = OutboxItem("o1", "alarm.opened", "hook", {}, created=1.0, state="dead", attempts=10, error="gone")
    desk.store.save(outbox=[dead])
    again = desk.operations.replay("o1", actor="ana", now=3_000.0)
    assert (again.state, again.attempts, again.due) == ("pending", 0, 3_000.0)
    assert desk.store.due(3_000.0, 10) == [again]
    with pytest.raises(NotFoundError, match="no dead outbox item 'o1'"):
        desk.operations.replay("o1", actor="ana", now=3_001.0)
