"""A whole cycle whose process dies before any one of its writes: whoever takes over ends at the same state, and a receiver that knows
what it has seen sees each effect once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service import annotation
from service.adapters.sqlite import SqliteStore
from service.cycles.telling import CycleNews
from service.observe import Silent
from service.outbox import Outbox
from service.promotion import Given
from service.records import Alarm, AnnotationBatch, CycleState, Label, OutboxItem, RefreshCycle, RefreshSlot
from tests.service.cycles.test_occasions import Watched
from tests.service.refresh_bench import CLASSES, Bench

if TYPE_CHECKING:
    from tests.service.conftest import World

pytestmark = pytest.mark.long

STATE = "state.db"
WRITES = ("save", "add_labels", "settle", "record_event")
OPTIONS: dict[str, Any] = {
    "selection": {"rounds": 2},
    "refresh": {"after_samples": 1_000_000, "rebase": "first_record"},
    "notify": ["pager"],
}


class KilledError(BaseException):
    """The process is gone: nothing catches it."""


class Mortal:
    """A store whose process dies before the n-th write."""

    def __init__(self, store: SqliteStore, dies_at: int) -> None:
        self._store = store
        self._left = dies_at
        self.written: list[str] = []
        """What each write was."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._writing(found) if name in WRITES else found

    def _writing(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def writing(*given: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise KilledError
            self.written.append(given[0].destination if write.__name__ == "settle" else write.__name__)
            return write(*given, **options)

        return writing


class Receiver:
    """Takes deliveries, dies with the process where it is told to, and keeps what it has seen by id."""

    def __init__(self) -> None:
        self.seen: dict[str, OutboxItem] = {}
        self.deliveries = 0

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        before = self.seen.setdefault(item.id, item)
        assert (before.kind, before.payload) == (item.kind, item.payload)
        assert now
        self.deliveries += 1

    def close(self) -> None:
        """Nothing is open."""


class Site:
    """A bench with a drift under way, and the acts of a whole cycle; each is taken again by whoever takes over."""

    def __init__(self, bench: Bench, store: Mortal) -> None:
        self.bench = bench
        self.written = store.written
        self.bench.store = store  # type: ignore[assignment]  # the same but for when it ends
        self.receiver = Receiver()
        self.restart()

    def restart(self) -> None:
        """Other processes, on what is stored."""
        bench = self.bench
        bench.refresher, bench.promotion = bench.restarted(), bench.promoting()
        destinations = dict.fromkeys(("vendor", "jobs", "pager"), self.receiver)
        self._outbox = Outbox(bench.store, destinations, Silent(), rng=np.random.default_rng(0))
        self._news = CycleNews(bench.store, Watched(bench), {})

    @property
    def acts(self) -> Sequence[Callable[[], object]]:
        """In order, at fixed times."""
        bench, (alarm,) = self.bench, self.bench.store.find(Alarm)
        return (
            lambda: bench.refresher.follow(alarm, samples=1_000_000, now=4_000.0),
            lambda: self.leave(4_010.0),
            lambda: self.answer(1),
            lambda: bench.refresher.step(now=4_100.0),
            lambda: self.leave(4_110.0),
            lambda: self.answer(2),
            lambda: bench.refresher.step(now=4_200.0),
            lambda: self.leave(4_210.0),
            lambda: bench.promotion.register(self.cycle.id, Given(bench.folder / "new.onnx", "m2", CLASSES), actor="job", now=4_900.0),
            lambda: bench.promotion.go_on(self.cycle.id, now=5_000.0),
            lambda: self.leave(5_010.0),
            lambda: self.said(CycleState.VERIFIED) and bench.promotion.promote(self.cycle.id, actor="ana", now=5_100.0),
            lambda: self.said(CycleState.DEPLOYING) and bench.promotion.deployed(self.cycle.id, actor="ana", now=5_200.0),
            lambda: bench.promotion.go_on(self.cycle.id, now=5_300.0),
            lambda: self.leave(5_310.0),
        )

    @property
    def cycle(self) -> RefreshCycle:
        return self.bench.cycle()

    def said(self, state: CycleState) -> bool:
        """Whether a person still has to say so."""
        return self.cycle.state is state

    def answer(self, number: int) -> None:
        """The annotators send their answers again until they were taken."""
        batch = self.bench.store.get(AnnotationBatch, self.cycle.batch)
        assert batch.round == number
        ids = [item.id for item in batch.items]
        truth = zip(ids, self.bench.truth(self.bench.vectors_of(ids)), strict=True)
        labels = [Label("chat", batch.id, name, label, 4_050.0 + number, "ana") for name, label in truth]
        annotation.take_back(self.bench.store, labels, quota=1.0, now=4_060.0 + number)

    def leave(self, now: float) -> None:
        self._news.step(now)
        while self._outbox.step(now):
            pass

    def play(self) -> int:
        """The whole cycle; returns how often its process died."""
        died = 0
        for act in self.acts:
            try:
                act()
            except KilledError:
                died += 1
                self.restart()
                act()
        return died

    def ended(self) -> dict[str, Any]:
        """Everything that is to be the same."""
        store, sets = self.bench.store, self.bench.data_sets
        items = store.outbox(limit=1_000)
        return {
            "entities": [store.find(kind, limit=100) for kind in (AnnotationBatch, RefreshSlot)],
            "cycle": replace(self.cycle, verification={**(self.cycle.verification or {}), "latency": "as measured"}),
            "labels": store.labels("chat"),
            "outbox": sorted((item.id, item.kind, item.destination, item.state, str(item.payload)) for item in items),
            "seen": {name: str(item.payload) for name, item in self.receiver.seen.items()},
            "sets": [{key: each[key] for key in ("role", "version", "rows", "files")} for each in sets.versions("chat")],
            "references": [(each["version"], each["rows"], each["active"]) for each in self.bench.site.references.versions("chat")],
        }


@pytest.fixture(scope="module")
def drifted(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A monitor whose alarm stands."""
    folder = tmp_path_factory.mktemp("drifted")
    with closing(SqliteStore(folder / STATE)) as store:
        bench = Bench(world, store, folder, **{name: dict(part) if isinstance(part, dict) else part for name, part in OPTIONS.items()})
        bench.golden()
        bench.drift()
        bench.model("new.onnx")
    return folder


@pytest.fixture
def make_site(world: World, drifted: Path, tmp_path: Path, refitted: None) -> Iterator[Callable[[int], Site]]:
    assert refitted is None

    @contextmanager
    def opened(dies_at: int) -> Iterator[Site]:
        folder = tmp_path / str(dies_at)
        shutil.copytree(drifted, folder)
        shutil.rmtree(folder / "references")
        with closing(SqliteStore(folder / STATE)) as store:
            bench = Bench(world, store, folder, **{name: dict(part) if isinstance(part, dict) else part for name, part in OPTIONS.items()})
            yield Site(bench, Mortal(store, dies_at))

    return opened  # type: ignore[return-value]  # a context for each site


def test_whoever_takes_over_ends_at_the_same_state(make_site: Any) -> None:
    with make_site(0) as site:
        assert site.play() == 0
        assert site.cycle.state is CycleState.PROMOTED
        expected, written = site.ended(), site.written
        kinds = sorted(item.kind for item in site.receiver.seen.values() if not item.kind.startswith("alarm"))
        assert site.receiver.deliveries == len(site.receiver.seen)
    assert kinds == [
        "annotation.batch", "annotation.batch", "refresh.approval", "refresh.ended", "refresh.opened", "refresh.promoted",
        "refresh.requested", "refresh.verdict", "refresh.verified",
    ]  # fmt: skip
    places = [place for place, what in enumerate(written, 1) if what != "pager"]  # people are told as all others are
    assert len(places) > 15
    for place in places:
        with make_site(place) as site:
            assert site.play() == 1, place
            assert site.ended() == expected, place
