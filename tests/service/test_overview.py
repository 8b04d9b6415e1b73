"""All monitors at a glance: the worst first, nothing read twice, and one that can't be read hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from service.adapters.sqlite import SqliteStore
from service.declarations import Declared
from service.errors import ArtefactError
from service.overview import Overview
from service.records import LEVELS, WHOLE, Alarm, AlarmState, Decision, Event, Measured, Passage, Severity
from service.records.policies import Checked, Compliance, Finding
from service.settings import MonitorSettings
from tests.contract.stored import alarm


@dataclass
class Asked:
    """A policy with one check; `broken` monitors can't be read."""

    broken: set[str] = field(default_factory=set)

    def compliance(self, monitors: Iterable[str], *, now: float) -> Sequence[Compliance]:
        del now
        return [self._of(monitor) for monitor in monitors]

    def _of(self, monitor: str) -> Compliance:
        if monitor in self.broken:
            raise ArtefactError(f"{monitor}: damaged")
        return Compliance(monitor, None, 1, (Checked("team", Finding.UNMET, "no team", "yes", "name one"),))


@dataclass
class Site:
    store: SqliteStore
    overview: Overview
    declared: dict[str, Declared]
    policies: Asked
    now: list[float]

    def add(self, name: str, state: str = "watching", *, reference: int | None = 1, low: float = 0.0) -> None:
        """A monitor as its last decision left it."""
        settings = MonitorSettings.model_validate({"name": name, "embedder": {"input": "none", "dimension": 3}})
        self.declared[name] = Declared(settings, "file", reference)
        self.decide(name, state, low)

    def decide(self, name: str, state: str, low: float = 0.0) -> None:
        after, _, _ = self.store.decided(name)
        stream = {"segment": WHOLE, "evidence": 1.0, "threshold": 3.0, "effect": {"estimate": low + 0.1, "low": low, "high": low + 0.2}}
        document = {"state": state, "reference_version": 1, "sequence": after + 1, "samples": 50, "last_time": 9.0, "streams": [stream]}
        self.store.record_event(Event(f"{name}{after}", name, "note", 1.0, "ada"))
        passages = tuple(Passage(WHOLE, LEVELS[0][0], 10.0 * n, 1, float(n), 3.0, Measured(0, 0, 0), 1) for n in range(7))
        state_now = msgspec.json.encode(document)
        self.store.decide(Decision(name, after, after + 1, state=state_now, timeline=passages))

    def names(self) -> list[str]:
        return [line.monitor for line in self.overview.look().lines]


@pytest.fixture
def site() -> Iterator[Site]:
    declared: dict[str, Declared] = {}
    policies, now = Asked(), [100.0]
    with closing(SqliteStore(":memory:")) as store:
        yield Site(store, Overview(store, lambda: declared, policies, lambda: now[0]), declared, policies, now)  # type: ignore[arg-type]  # what it asks


def test_the_worst_stands_first(site: Site) -> None:
    site.add("calm")
    site.add("new", reference=None)
    site.add("blind", "blind")
    site.add("quiet", "silent")
    site.add("little", "drifting", low=0.1)
    site.add("much", "drifting", low=0.3)
    site.add("grave", "drifting", low=0.05)
    site.store.save(
        alarm(id="l", monitor="little"), alarm(id="m", monitor="much"), replace(alarm(id="g", monitor="grave"), severity=Severity.CRITICAL)
    )
    assert site.names() == ["grave", "much", "little", "blind", "quiet", "new", "calm"]
    first = site.overview.glance().lines[0]
    assert (first.alarms, first.worst and first.worst.id, first.state) == (1, "g", "drifting")
    assert first.spark == tuple(float(n) for n in range(7))
    assert [check.name for check in first.unmet] == ["team"]


def test_alarms_count_until_they_are_over_and_of_another_reference_nothing_counts(site: Site) -> None:
    site.add("chat", "drifting")
    site.store.save(alarm())
    assert site.overview.look().lines[0].alarms == 1
    site.store.save(replace(alarm(), state=AlarmState.RESOLVED, version=2))
    assert site.overview.look().lines[0].alarms == 0
    site.declared["chat"] = replace(site.declared["chat"], reference=2)
    (line,) = site.overview.look().lines
    assert (line.state, line.effect, line.samples) == ("warming up", None, 0)


def test_what_has_not_changed_is_not_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        site.add(name)
    site.overview.look()
    read = list[str]()
    timeline: Callable[..., Sequence[Passage]] = site.store.timeline

    def noting(monitor: str, *rest: Any, **options: Any) -> Sequence[Passage]:
        read.append(monitor)
        return timeline(monitor, *rest, **options)

    monkeypatch.setattr(site.store, "timeline", noting)
    site.decide("b", "watching")
    site.overview.look()
    assert set(read) == {"b"}


def test_it_is_looked_at_while_somebody_asks_and_seldom_else(site: Site) -> None:
    site.add("a")
    site.overview.step()
    made = site.overview.glance().made
    site.add("b")
    assert [line.monitor for line in site.overview.glance().lines] == ["a"], "it is fresh"
    site.now[0] += 3.0
    assert len(site.overview.glance().lines) == 2
    site.overview.step()
    site.now[0] += 30.0
    site.overview.step()
    asked = site.overview.glance().made
    assert asked > made


def test_a_monitor_that_can_not_be_read_hides_no_other(site: Site) -> None:
    site.add("fine")
    site.add("broken")
    site.policies.broken.add("broken")
    checks: Mapping[str, int] = {line.monitor: len(line.checks) for line in site.overview.look().lines}
    assert checks == {"fine": 1, "broken": 0}
    del site.declared["broken"]
    assert site.names() == ["fine"]


def test_alarms_of_a_monitor_that_is_gone_stay_out(site: Site) -> None:
    site.add("chat")
    site.store.save(alarm(monitor="gone"))
    assert [(line.monitor, line.alarms) for line in site.overview.look().lines] == [("chat", 0)]
    assert site.store.find(Alarm)[0].monitor == "gone"


def test_the_worst_alarm_is_found_behind_newer_ones(site: Site) -> None:
    site.add("chat", "drifting")
    critical = replace(alarm(id="old", opened=1.0), severity=Severity.CRITICAL)
    site.store.save(critical, *(alarm(id=f"new-{n}", opened=2.0 + n) for n in range(20)))
    (line,) = site.overview.look().lines
    assert (line.alarms, line.worst) == (21, critical)
