"""One loop decides all monitors: under the lease alone, one that fails without harm to the others, each by what is declared now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.deciding import Deciding, await_decision, decide_here
from service.declarations import Declared
from service.errors import ArtefactError, ConflictError
from service.leading import Leading
from service.observe import Silent
from service.records import Event

if TYPE_CHECKING:
    from tests.service.conftest import World


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Failures are meant here."""
    with capture_logs():
        yield


@dataclass
class Desk:
    """Monitors on one small reference, and whoever decides them."""

    world: World
    store: SqliteStore
    seconds: float = 100.0
    damaged: dict[str, type[Exception]] = field(default_factory=dict)
    made: list[tuple[str, int | None]] = field(default_factory=list)
    declared: dict[str, Declared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.leading = Leading(self.store, "controller", "a", 6.0, clock=lambda: self.seconds)
        self.deciding = Deciding(self.store, self.leading, self.make, clock=lambda: self.seconds)
        self.declare("broken")
        self.declare("chat")

    def declare(self, name: str, *, reference: int | None = 1, **detection: object) -> None:
        before = self.declared.get(name)
        settings = self.world.settings.model_copy(
            update={"name": name, "detection": self.world.settings.detection.model_copy(update=detection)}
        )
        self.declared = {**self.declared, name: Declared(settings, "api", reference, 1, before.version + 1 if before else 1)}
        self.deciding.declare(self.declared)

    def withdraw(self, name: str) -> None:
        self.declared = {other: known for other, known in self.declared.items() if other != name}
        self.deciding.declare(self.declared)

    def make(self, name: str) -> Controller | None:
        known = self.declared[name]
        self.made.append((name, known.reference))
        if name in self.damaged:
            raise self.damaged[name]("damaged")
        if known.reference is None:
            return None
        reference = self.world.named(monitor=name, version=known.reference)
        return Controller(known.settings, reference, self.store, Silent(), fence=self.leading.right)

    def event(self, name: str, number: int) -> Event:
        """Something to decide."""
        return self.store.record_event(Event(f"{name}-{number}", name, "acknowledge", 1.0, "ana", "nothing"))

    def step(self, seconds: float = 1.0) -> int:
        self.seconds += seconds
        self.leading.step()
        return self.deciding.step(now=self.seconds)


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    with closing(SqliteStore(":memory:", clock=lambda: made.seconds)) as store:
        made = Desk(world, store)
        yield made


def test_every_monitor_is_decided_and_then_left_alone(desk: Desk) -> None:
    desk.event("chat", 1)
    desk.event("broken", 1)
    assert desk.step() == 2
    assert sorted(desk.made) == [("broken", 1), ("chat", 1)]
    for _ in range(5):
        assert desk.step() == 0
    assert len(desk.made) == 2
    desk.event("chat", 2)
    assert desk.step() == 1
    assert len(desk.made) == 2, "its controller is still there"


def test_a_restart_makes_controllers_only_for_those_that_have_something_to_decide(desk: Desk, world: World) -> None:
    desk.step()
    again = Desk(world, desk.store, seconds=desk.seconds + 1)
    again.event("chat", 1)
    again.step()
    assert again.made == [("chat", 1)]


@pytest.mark.parametrize("failure", [ArtefactError, ZeroDivisionError])
def test_one_that_fails_rests_and_holds_up_nobody(desk: Desk, failure: type[Exception]) -> None:
    desk.damaged["broken"] = failure
    desk.event("chat", 1)
    desk.event("broken", 1)
    assert desk.step() == 1
    assert desk.deciding.problems == {"broken": "damaged"}
    desk.step(0.1)
    assert [name for name, _ in desk.made].count("broken") == 1, "it rests"
    for _ in range(20):
        desk.step(0.5)
    assert 3 <= [name for name, _ in desk.made].count("broken") <= 6, "longer each time"
    del desk.damaged["broken"]
    assert desk.step(31) + desk.step() == 1
    assert desk.deciding.problems == {}


def test_a_reference_that_comes_into_force_decides_from_there(desk: Desk) -> None:
    desk.event("chat", 1)
    desk.step()
    desk.declare("chat", reference=2)
    desk.step()
    assert desk.store.status("chat")["reference_version"] == 2, "before anything new has come"
    assert [event.kind for event in desk.store.events("chat")] == ["acknowledge", "rebase"]


def test_one_that_cannot_be_taken_up_leaves_the_former_in_charge(desk: Desk) -> None:
    desk.event("chat", 1)
    desk.step()
    desk.damaged["chat"] = ArtefactError
    desk.declare("chat", reference=2)
    desk.step()
    desk.event("chat", 2)
    assert desk.step(0.1) == 1
    assert (desk.store.status("chat")["reference_version"], desk.deciding.problems) == (1, {"chat": "damaged"})


def test_other_settings_decide_from_an_event_on(desk: Desk, world: World) -> None:
    desk.event("chat", 1)
    desk.step()
    desk.declare("chat", critical=0.5)
    while desk.step():
        pass
    (event,) = [event for event in desk.store.events("chat") if event.kind == "settings"]
    assert (event.body["before"]["detection"]["critical"], event.body["after"]["detection"]["critical"]) == (0.25, 0.5)
    assert desk.store.decided("chat")[0] == event.sequence
    again = Desk(world, desk.store, seconds=desk.seconds + 1)
    again.declare("chat", critical=0.5)
    again.event("chat", 2)
    again.step()
    assert sum(event.kind == "settings" for event in desk.store.events("chat")) == 1, "a restart changes nothing"


def test_what_notifies_alone_is_no_event(desk: Desk) -> None:
    desk.step()
    known = desk.declared["chat"]
    desk.declared = {**desk.declared, "chat": replace(known, settings=known.settings.model_copy(update={"notify": ("inbox",)}), version=9)}
    desk.deciding.declare(desk.declared)
    desk.step()
    assert desk.store.events("chat") == []


def test_one_without_a_reference_waits(desk: Desk) -> None:
    desk.declare("chat", reference=None)
    desk.event("chat", 1)
    assert desk.step() == 0
    assert desk.store.decided("chat")[0] == 0
    desk.declare("chat", reference=1)
    desk.step()
    assert desk.step() == 0
    assert desk.store.decided("chat")[0] == 1


def test_one_that_is_withdrawn_is_let_go_of(desk: Desk) -> None:
    desk.event("chat", 1)
    desk.step()
    desk.withdraw("chat")
    desk.event("chat", 2)
    assert desk.step() == 0
    desk.declare("chat")
    assert desk.step() == 1


def test_one_who_does_not_lead_decides_nothing(desk: Desk, world: World) -> None:
    desk.event("chat", 1)
    desk.step()
    desk.seconds += 10
    other = Leading(desk.store, "controller", "b", 60.0, clock=lambda: desk.seconds)
    other.step()
    desk.event("chat", 2)
    assert desk.step() == 0
    assert desk.store.decided("chat")[0] == 1
    other.release()
    assert desk.step(3) == 1
    assert desk.made.count(("chat", 1)) == 2, "it goes on from the store"


def test_a_command_decides_where_nobody_leads_and_else_waits(desk: Desk) -> None:
    event = desk.event("chat", 1)
    decide_here(desk.store, desk.leading, lambda: desk.make("chat"), "chat", event.sequence, now=5.0)
    assert desk.store.decided("chat")[0] == event.sequence
    assert desk.leading.fence() is None, "it gives the lease back"
    event = desk.event("chat", 2)
    with pytest.raises(ConflictError, match="not decided within"):
        await_decision(desk.store, "chat", event.sequence, seconds=0.1)


def test_stopping_leaves_nothing_to_replay(desk: Desk, tmp_path: Path) -> None:
    desk.event("chat", 1)
    desk.step()
    desk.deciding.checkpoint(now=desk.seconds)
    decided, covered, _ = desk.store.decided("chat")
    assert decided == covered == 1
