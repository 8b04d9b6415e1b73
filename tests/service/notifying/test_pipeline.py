"""What becomes of news on its way out: told once, by its named reason, whatever happened meanwhile and whoever leads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from service.adapters.sqlite import SqliteStore
from service.alarms import Reason
from service.notifying import silences
from service.notifying.rules import OPENED, RESOLVED, Quiet, Why, decide
from service.records import Alarm, AlarmState, Exemplar, Family, Notice, NoticeState, OutboxItem, Severity, Silence
from tests.service.notifying.conftest import START, MakeOffice, Office, Receiver, opened, settings

HOUR = 3_600.0
GONE = (AlarmState.RESOLVED, Reason.CALM)
SEEN = (AlarmState.ACKNOWLEDGED, Reason.SEEN)


def silence(office: Office, hours: float = 1.0, **matchers: str) -> str:
    made = silences.made(
        matchers or {"monitor": "support"}, starts=office.now, ends=office.now + hours * HOUR, actor="ana", note="", now=office.now
    )
    office.store.save(made)
    return made.id


def notices(office: Office) -> dict[str, tuple[str, str]]:
    return {notice.destination: (notice.state.value, notice.reason) for notice in office.store.find(Notice)}


# --- an alarm's life ------------------------------------------------------------------------------------------------------


def test_each_step_is_told_once_to_whom_it_concerns(office: Office) -> None:
    alarm = office.decide(opened(severity=Severity.WARNING))
    office.run()
    assert (office.chat.told, office.pager.told) == (["opened"], [])

    alarm = office.step(alarm, AlarmState.OPEN, Reason.WORSE, severity=Severity.CRITICAL)
    alarm = office.step(alarm, *SEEN)
    alarm = office.step(alarm, *GONE)
    for _ in range(2):
        office.run(60.0)
    assert office.pager.told == ["resolved!"], "it was over before the pager could be told that it was critical"
    assert office.chat.told == ["opened", "resolved"]
    assert notices(office) == {"chat": ("resolved", Why.OVER), "pager": ("resolved", Why.MISSED)}


def test_every_step_in_its_time(office: Office) -> None:
    alarm = office.decide(opened(severity=Severity.WARNING))
    office.run()
    worse = AlarmState.OPEN, Reason.WORSE
    for state, reason in (worse, SEEN, GONE):
        alarm = office.step(alarm, state, reason, severity=Severity.CRITICAL)
        office.again()
        office.run(10.0)
    assert office.chat.told == ["opened", "worse", "acknowledged", "resolved"]
    assert office.pager.told == ["worse", "acknowledged", "resolved"]


def test_what_was_told_is_not_told_again_after_a_crash(office: Office) -> None:
    """Between remembering that it was told and settling the item."""
    office.decide(opened())
    office.run()
    for item in office.store.outbox():
        office.store.settle(replace(item, state="pending"))
    office.again()
    office.run()
    assert (office.chat.told, office.pager.told) == (["opened"], ["opened"])
    assert {(item.state, item.error) for item in office.store.outbox()} == {("dropped", Why.TOLD)}


def test_what_opened_and_resolved_while_a_receiver_was_down_is_told_as_such(office: Office) -> None:
    office.chat.down = True
    still, gone = office.decide(opened("a1")), office.decide(opened("a2"))
    office.run(60.0)
    office.step(gone, *GONE)
    office.run(60.0)
    office.chat.down = False
    office.again()
    office.run(HOUR)

    assert sorted((item.kind, item.payload["alarm"]) for item in office.chat.taken) == [(OPENED, still.id), (RESOLVED, gone.id)]
    (missed,) = (item for item in office.chat.taken if item.kind == RESOLVED)
    assert missed.payload["missed"] is True
    assert missed.payload["text"].endswith("(opened and resolved meanwhile, missed while down)")
    assert office.pager.told == ["opened", "opened", "resolved"]


def test_an_alarm_that_was_taken_while_a_receiver_was_down_calls_nobody(office: Office) -> None:
    office.pager.down = True
    alarm = office.decide(opened())
    office.run(60.0)
    office.step(alarm, *SEEN)
    office.pager.down = False
    office.run(HOUR)
    assert office.pager.told == ["acknowledged!"]


def test_two_attempts_carry_the_same_message(office: Office) -> None:
    sent: list[Any] = []

    def deliver(item: OutboxItem, *, now: float) -> None:
        sent.append(item)
        office.chat.down = len(sent) < 2
        type(office.chat).deliver(office.chat, item, now=0.0)

    office.chat.deliver = deliver  # type: ignore[method-assign]  # a receiver that fails once
    office.decide(opened())
    office.run(60.0)
    first, second = sent
    assert (first.id, first.payload) == (second.id, second.payload)


# --- silences and pauses --------------------------------------------------------------------------------------------------


def test_a_silence_keeps_news_back_until_it_ends(office: Office) -> None:
    silence(office)
    alarm = office.decide(opened())
    office.run(0.9 * HOUR)
    assert office.chat.told == []
    (item,) = (item for item in office.store.outbox(states=["pending"]) if item.destination == "chat")
    assert (item.held, item.attempts) == ("silenced, ana", 0)
    assert office.store.get(Alarm, alarm.id).state is AlarmState.OPEN
    office.run(0.2 * HOUR)
    assert office.chat.told == ["opened"]
    assert {found.held for found in office.store.outbox()} == {""}


def test_what_was_over_before_a_silence_ended_is_never_told(office: Office) -> None:
    silence(office)
    alarm = office.decide(opened())
    office.run(60.0)
    office.step(alarm, *GONE)
    office.run(2 * HOUR)
    assert (office.chat.told, office.pager.told) == ([], [])
    assert office.store.outbox(states=["pending"]) == []


def test_whoever_was_told_before_a_silence_is_told_that_it_is_over(office: Office) -> None:
    alarm = office.decide(opened())
    office.run()
    silence(office)
    office.step(alarm, *GONE)
    office.run()
    assert office.chat.told == ["opened", "resolved"]


def test_a_silence_that_is_ended_early_lets_go_within_a_minute(office: Office) -> None:
    name = silence(office, 5.0)
    office.decide(opened())
    office.run(60.0)
    office.store.save(silences.ended(office.store.get(Silence, name), actor="ben", now=office.now))
    office.run(61.0)
    assert office.chat.told == ["opened"]


@pytest.mark.parametrize(
    ("matchers", "silenced"),
    [
        ({"monitor": "support"}, True),
        ({"monitor": "s*"}, True),
        ({"segment": "locale=*", "family": "input"}, True),
        ({"team": "payments"}, True),
        ({"severity": "critical", "monitor": "support"}, True),
        ({"severity": "warning"}, False),
        ({"monitor": "support", "segment": "all"}, False),
        ({"monitor": "sales"}, False),
        ({"team": "other"}, False),
    ],
)
def test_a_silence_matches_by_all_that_it_names(office: Office, matchers: dict[str, str], silenced: bool) -> None:
    silence(office, 1.0, **matchers)
    office.decide(opened())
    office.run()
    assert (office.chat.told == []) is silenced


def test_maintenance_keeps_news_of_open_alarms_back(office: Office) -> None:
    alarm = office.decide(opened(severity=Severity.WARNING))
    office.run()
    office.pause(office.now + HOUR)
    office.step(alarm, AlarmState.OPEN, Reason.WORSE, severity=Severity.CRITICAL)
    office.run(0.9 * HOUR)
    assert office.chat.told == ["opened"]
    office.run(0.2 * HOUR)
    assert office.chat.told == ["opened", "worse"]


def test_maintenance_that_ends_early_lets_go(office: Office) -> None:
    office.pause(office.now + HOUR)
    office.decide(opened())
    office.run(60.0)
    office.pause(None)
    office.run(61.0)
    assert office.chat.told == ["opened"]


class Board(Receiver):
    """Holds what it is sent again and again, and takes for over what it is not."""

    resend_seconds = 60.0

    def __init__(self) -> None:
        super().__init__()
        self.stands: list[tuple[str, str]] = []

    def resend(self, items: Sequence[OutboxItem], *, now: float) -> None:  # noqa: ARG002 - the port's signature
        self.stands = [(item.payload["alarm"], item.payload["severity"]) for item in items]


@pytest.mark.parametrize("how", ["silence", "maintenance"])
def test_what_was_told_stands_under_a_silence_as_it_was_told(office: Office, how: str) -> None:
    """An Alertmanager that hears of it no longer would tell people that it is over."""
    office.chat = board = Board()
    office.again()
    alarm = office.decide(opened(severity=Severity.WARNING))
    office.run()
    if how == "silence":
        silence(office, 1.0)
    else:
        office.pause(office.now + HOUR)
    office.step(alarm, AlarmState.OPEN, Reason.WORSE, severity=Severity.CRITICAL)
    office.decide(opened("a2"))
    board.stands = []
    office.run(300.0)
    assert board.stands == [("a1", "warning")], "no news, and not the end either"
    office.run(HOUR)
    assert sorted(board.stands) == [("a1", "critical"), ("a2", "critical")]


# --- what is said ---------------------------------------------------------------------------------------------------------


def test_messages_name_what_one_asks_for_and_no_payload(office: Office) -> None:
    exemplars = tuple(Exemplar(f"m-{n}", f"my card {n} was cloned", 0.9) for n in range(5))
    office.decide(replace(opened(), exemplars=exemplars))
    office.run()
    told = office.chat.taken[0].payload
    assert told["text"].startswith("support locale=de: new content, effect 31 % (27 to 36 %), since 2026-03-01 11:40 UTC (critical)")
    assert told["links"] == {
        "console": "https://drift.example/console/alarms/a1",
        "silence": "https://drift.example/console/alarms/a1#silence",
    }
    assert (told["team"], told["todo"], told["exemplars"]) == ("payments", "`driftgate explain a1`", ["m-0", "m-1", "m-2"])
    assert told["budget"] == {"alarms": 1, "accepted": 1.0, "days": 30.0}
    assert "card" not in str([item.payload for item in (*office.chat.taken, *office.store.outbox())])


def test_texts_leave_where_that_is_said(make_office: MakeOffice) -> None:
    office = make_office(notifications={"exemplars": "text", "runbooks": "https://wiki.example/runbooks"})
    office.decide(replace(opened(), exemplars=(Exemplar("m-0", "my card was cloned", 0.9), Exemplar("m-1", "", 0.9))))
    office.run()
    told = office.chat.taken[0].payload
    assert told["exemplars"] == ["my card was cloned", "m-1"]
    assert told["links"]["runbook"] == "https://wiki.example/runbooks/DriftgateDriftCritical.md"
    assert "card" not in str([item.payload for item in office.store.outbox()]), "what is kept has ids, so that erasing reaches all texts"


def test_a_route_takes_the_news_that_it_names(office: Office) -> None:
    office.decide(opened(family=Family.FEED))
    office.run()
    assert (office.chat.told, office.pager.told) == (["opened"], [])


def test_a_monitor_without_ways_tells_nobody() -> None:
    with closing(SqliteStore(":memory:")) as store:
        office = Office(store, settings(teams=[{"name": "payments"}]))
        office.decide(replace(opened(), monitor="sales"), monitor="sales")
        assert store.outbox() == []


# --- reminders ------------------------------------------------------------------------------------------------------------


def test_a_critical_alarm_that_nobody_takes_is_told_again(office: Office) -> None:
    alarm = office.decide(opened())
    office.run(3.9 * HOUR)
    assert office.chat.told == ["opened"]
    office.run(0.3 * HOUR)
    office.again()
    office.run(4.2 * HOUR)
    assert office.chat.told == ["opened", "reminder", "reminder"]
    office.step(alarm, *SEEN)
    office.run(10 * HOUR)
    assert office.chat.told == ["opened", "reminder", "reminder", "acknowledged"]


def test_warnings_and_silenced_alarms_are_not_told_again(office: Office) -> None:
    office.decide(opened("a1", severity=Severity.WARNING))
    office.decide(replace(opened("a2"), segment="all"))
    office.run()
    silence(office, 24.0, segment="all")
    office.run(10 * HOUR)
    assert office.chat.told == ["opened", "opened"]


def test_nobody_is_reminded_where_that_is_said(make_office: MakeOffice) -> None:
    office = make_office(notifications={"repeat_hours": None})
    office.decide(opened())
    office.run(48 * HOUR)
    assert office.chat.told == ["opened"]


def test_silences_end_by_themselves_and_go_in_time(office: Office) -> None:
    name = silence(office, 1.0)
    alarm = office.decide(opened())
    office.run(1.1 * HOUR)
    assert office.store.get(Silence, name).state == "ended"
    office.step(alarm, *GONE)
    office.run(60.0)
    assert len(office.store.find(Notice)) == 2
    office.now += 31 * 24 * HOUR
    office.run(2 * HOUR)
    assert office.store.find(Silence) == []
    assert office.store.find(Notice) == []


# --- properties -----------------------------------------------------------------------------------------------------------

MOVES = st.sampled_from(["worse", "ack", "resolve", "down", "up", "hush", "speak", "leader", "wait"])


@given(moves=st.lists(MOVES, max_size=12))
@property_settings(max_examples=40, deadline=None)
def test_in_the_end_everybody_knows_what_is_and_nobody_was_told_twice(moves: list[str]) -> None:
    with closing(SqliteStore(":memory:")) as store:
        office = Office(store, settings(notifications={"repeat_hours": None}))
        alarm = _lived(office, moves)
        told = [kind.removesuffix("!") for kind in office.chat.told]
        assert len(told) == len(set(told)), "no kind of news twice"
        assert store.outbox(states=["pending", "dead"]) == []
        if "resolved" in told:
            assert told[-1] == "resolved", "nothing begins after the end"
        _knows(told, alarm)


def _knows(told: list[str], alarm: Alarm) -> None:
    if alarm.state is not AlarmState.RESOLVED:
        assert told
        assert ("acknowledged" in told) is (alarm.state is AlarmState.ACKNOWLEDGED)
    elif "opened" in told or "worse" in told:
        assert told[-1] == "resolved", "who was called is told that it is over"


def _lived(office: Office, moves: list[str]) -> Alarm:
    """The alarm after all of it, half a day later, with nothing in the way any more."""
    alarm, hushed = office.decide(opened(severity=Severity.WARNING)), ""
    for move in (*moves, "up", "speak"):
        office.run(20.0)
        if move in {"worse", "ack", "resolve"} and alarm.state is not AlarmState.RESOLVED:
            alarm = _moved(office, alarm, move)
        elif move == "hush":
            hushed = hushed or silence(office, 100.0)
        elif move == "speak" and hushed:
            office.store.save(silences.ended(office.store.get(Silence, hushed), actor="ana", now=office.now))
            hushed = ""
        elif move == "leader":
            office.again()
        office.chat.down = {"down": True, "up": False}.get(move, office.chat.down)
    office.run(12 * HOUR)
    return alarm


def _moved(office: Office, alarm: Alarm, move: str) -> Alarm:
    if move == "resolve":
        return office.step(alarm, *GONE)
    if move == "ack":
        return alarm if alarm.state is AlarmState.ACKNOWLEDGED else office.step(alarm, *SEEN)
    return alarm if alarm.severity is Severity.CRITICAL else office.step(alarm, alarm.state, Reason.WORSE, severity=Severity.CRITICAL)


def test_the_reasons_of_an_alarm_that_is_gone_or_known() -> None:
    alarm, quiet = opened(), Quiet(Why.PAUSED, START, "ana")
    told = Notice("n", "a1", "chat", "support", NoticeState.FIRING, "critical", START, Why.FIRST)
    assert decide(OPENED, None, None, None) is Why.UNKNOWN
    assert decide(OPENED, alarm, told, None) is Why.TOLD
    assert decide(OPENED, alarm, None, quiet) is Why.PAUSED
    assert decide(OPENED, replace(alarm, state=AlarmState.RESOLVED), None, None) is Why.ENDED
    assert decide(RESOLVED, alarm, replace(told, state=NoticeState.RESOLVED), None) is Why.TOLD
