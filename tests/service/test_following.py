"""A worker takes up what is declared: loaded beforehand, one that fails without harm to what it had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.declarations import Declared
from service.errors import ArtefactError
from service.following import AWAITED_SECONDS, Following
from service.observe import Silent
from service.records import Partition, Record, Sample
from service.watched import WatchedMonitor
from service.worker import Worker
from tests.service.conftest import MakeMonitor


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Failures are meant here."""
    with capture_logs():
        yield


class Plant:
    """Loads monitors, and notes what a worker is handed."""

    def __init__(self, make: MakeMonitor) -> None:
        self.make = make
        self.seconds = 0.0
        self.damaged: set[str] = set()
        self.handed: list[str] = []
        self.loads = 0
        self.following = Following(self.load, self.hand_over, clock=lambda: self.seconds)

    def load(self, name: str) -> WatchedMonitor:
        self.loads += 1
        if name in self.damaged:
            raise ArtefactError(f"{name} is damaged")
        return self.make(name)

    def hand_over(self, name: str, monitor: WatchedMonitor | None) -> None:
        self.handed.append(name if monitor else f"-{name}")

    def declared(self, *names: str, shape: int = 1) -> dict[str, Declared]:
        return {name: Declared(self.make(name).settings, "api", 1, shape, shape) for name in names}


@pytest.fixture
def plant(make_monitor: MakeMonitor) -> Plant:
    return Plant(make_monitor)


def test_only_what_changed_is_loaded_and_handed_over(plant: Plant) -> None:
    first = plant.declared("chat", "mail")
    assert list(plant.following.begin(first, must=lambda _: True)) == ["chat", "mail"]
    assert plant.following.step(first) == 0
    changed = {**first, **plant.declared("mail", shape=2), **plant.declared("new")}
    assert plant.following.step(changed) == 2
    assert plant.handed == ["mail", "new"]
    assert plant.following.step(plant.declared("chat")) == 2
    assert plant.handed[2:] == ["-mail", "-new"]


def test_what_is_not_the_workers_is_left_alone(plant: Plant) -> None:
    first = plant.declared("chat")
    plant.following.begin(first, must=lambda _: True)
    other = first["chat"].settings.model_copy(update={"importance": 3.0})
    assert plant.following.step({"chat": replace(first["chat"], settings=other, version=2)}) == 0
    assert (plant.loads, plant.handed) == (1, [])
    smaller = other.model_copy(update={"pool": other.pool.model_copy(update={"keep_payloads": False})})
    assert plant.following.step({"chat": replace(first["chat"], settings=smaller, version=3)}) == 1


def test_one_that_cannot_be_loaded_keeps_what_it_had_and_is_tried_again(plant: Plant) -> None:
    plant.following.begin(plant.declared("chat", "mail"), must=lambda _: True)
    plant.damaged.add("chat")
    later = plant.declared("chat", "mail", shape=2)
    assert plant.following.step(later) == 1
    assert (plant.handed, plant.following.problems) == (["mail"], {"chat": "chat is damaged"})
    loads = plant.loads
    plant.following.step(later)
    assert plant.loads == loads, "it rests"
    plant.damaged.clear()
    plant.seconds += 1.5
    assert plant.following.step(later) == 1
    assert plant.following.problems == {}


def test_at_the_start_a_file_s_monitors_must_load_and_others_may_wait(plant: Plant) -> None:
    plant.damaged.add("chat")
    declared = plant.declared("chat", "mail")
    with pytest.raises(ArtefactError, match="chat is damaged"):
        plant.following.begin(declared, must=lambda _: True)
    assert list(plant.following.begin(declared, must=lambda _: False)) == ["mail"]
    assert plant.following.problems == {"chat": "chat is damaged"}


def test_samples_of_one_that_is_on_its_way_wait(plant: Plant) -> None:
    plant.following.begin(plant.declared("chat"), must=lambda _: True)
    stands = {"new", "broken"}.__contains__
    assert plant.following.awaits({"new"}, stands)
    assert not plant.following.awaits({"nobody"}, stands)
    plant.damaged.add("broken")
    plant.following.step(plant.declared("chat", "broken"))
    assert plant.following.awaits({"broken"}, stands), "what is away for a moment costs no sample"
    plant.seconds += AWAITED_SECONDS
    assert not plant.following.awaits({"broken"}, stands), "nobody knows when it will come, and others wait behind it"


def test_a_worker_takes_nothing_while_a_monitor_is_on_its_way(
    make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]
) -> None:
    partition = Partition("ingest", "t1")
    samples = [Sample(name, f"{name}-{n}", float(n), vector(n)) for n, name in enumerate(["chat", "new", "chat"])]
    source = ListSource([Record(partition, n, float(n), (sample,)) for n, sample in enumerate(samples)], growing=True)
    with closing(SqliteStore(":memory:")) as store:
        worker = Worker(source, store, {"chat": make_monitor("chat")}, Silent())
        worker.awaits = lambda names: "new" in names
        assert [worker.step(0.0) for _ in range(3)] == [0, 0, 0]
        assert store.samples_taken("chat") == 0
        worker.replace("new", make_monitor("new"))
        while worker.step(0.0):
            pass
        assert (store.samples_taken("chat"), store.samples_taken("new"), store.dead_letters()) == (2, 1, [])
