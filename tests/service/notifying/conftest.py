"""A post office: alarms whose steps are told to receivers that may be down, with the store's own memory of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.alarms import Reason, step
from service.changes import Changes
from service.errors import DeliveryError
from service.notifying.pipeline import assembled
from service.notifying.resending import Resending
from service.notifying.routing import Consequences
from service.observe import Silent
from service.outbox import Outbox
from service.ports import Store
from service.records import Alarm, AlarmState, Decision, Event, Family, Measured, OutboxItem, Severity, Step
from service.settings import Settings, parse

START = 1_772_366_400.0


def settings(**document: Any) -> Settings:
    """Two monitors of one team; the pager hears of critical alarms alone."""
    monitor = {"embedder": {"input": "none", "dimension": 4}, "team": "payments"}
    return parse(
        {
            "destinations": [{"type": "folder", "name": name, "path": name} for name in ("chat", "pager")],
            "teams": [{"name": "payments", "routes": [{"to": ["pager"], "severity": "critical", "news": ["alarms"]}]}],
            "monitors": [{**monitor, "name": "support", "notify": ["chat"]}, {**monitor, "name": "sales"}],
            "server": {"public_url": "https://drift.example/"},
            **document,
        },
        base=Path("/nowhere"),
    )


def opened(id: str = "a1", *, severity: Severity = Severity.CRITICAL, family: Family = Family.INPUT, time: float = START) -> Alarm:
    """An alarm of the monitor `support` that has just opened."""
    effect = Measured(0.31, 0.27, 0.36)
    return Alarm(
        id=id, monitor="support", segment="locale=de", family=family, reference_version=1, kind="new content", severity=severity,
        state=AlarmState.OPEN, at_sample=320, at_sequence=10, opened=time, window_samples=200, window_start=time - 1_200.0, effect=effect,
        novel_share=effect, channel="mmd", history=(Step("open", Reason.DRIFT, time),), version=1,
    )  # fmt: skip


@dataclass
class Receiver:
    """Takes what it is told, unless it is down."""

    down: bool = False
    taken: list[OutboxItem] = field(default_factory=list)

    def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        if self.down:
            raise DeliveryError("receiver: 503", retryable=True)
        self.taken.append(item)

    def close(self) -> None:
        """Nothing is open."""

    @property
    def told(self) -> list[str]:
        """Kinds of news, without the alarms' common beginning."""
        return [item.kind.removeprefix("alarm.") + ("!" if item.payload.get("missed") else "") for item in self.taken]


@dataclass
class Office:
    """What leads at the moment; `again` is whoever leads next."""

    store: Store
    settings: Settings
    chat: Receiver = field(default_factory=Receiver)
    pager: Receiver = field(default_factory=Receiver)
    now: float = START

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        """Another process takes over: nothing is known but what is stored."""
        ways = {"chat": self.chat, "pager": self.pager}
        stages = partial(assembled, self.store, lambda: self.settings)
        self.outbox = Outbox(self.store, ways, Silent(), rng=np.random.default_rng(3), stages=stages)
        self.resending = Resending(self.store, lambda: self.settings, ways)

    def decide(self, alarm: Alarm, *, monitor: str = "support") -> Alarm:
        """A step of an alarm, written with what is told of it."""
        changes = Changes()
        changes.add(alarm)
        told = Consequences(self.store, lambda: self.settings).told(changes.news, self.settings.monitor(monitor), now=self.now)
        self.store.save(alarm, outbox=told)
        return alarm

    def step(self, alarm: Alarm, state: AlarmState, reason: Reason, **changes: Any) -> Alarm:
        """The next one."""
        return self.decide(replace(step(alarm, state, reason, time=self.now, actor="ana"), **changes))

    def pause(self, until: float | None) -> None:
        """Maintenance, as the monitor's last decision shows it."""
        self.store.record_event(Event(f"e{self.now}", "support", "maintenance", self.now, "ana"))
        sequence = self.store.decided("support")[0]
        shown = {"until": until, "since": sequence, "actor": "ana", "note": "", "withheld": 0}
        self.store.decide(Decision("support", sequence, sequence + 1, state=_json({"maintenance": shown})))

    def run(self, seconds: float = 0.0) -> None:
        """Time passes, and whatever is due is tried."""
        until = self.now + seconds
        while True:
            self.resending.step(self.now)
            while self.outbox.step(self.now):
                pass
            if self.now >= until:
                return
            waiting = [item.due for item in self.store.outbox(states=["pending"])]
            self.now = min([until, *(due for due in waiting if due > self.now), self.now + 600.0])


def _json(document: dict[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode(document)


MakeOffice: TypeAlias = Callable[..., Office]


@pytest.fixture
def make_office() -> Iterator[MakeOffice]:
    with closing(SqliteStore(":memory:")) as store:
        yield lambda **document: Office(store, settings(**document))


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    return make_office()
