"""What a monitor's input loses stands in its panes, where it was lost, whatever the batches it was read in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.losses import LATE, RESPONSE, RETENTION, UNMATCHED, unanswered
from service.observe import Silent
from service.ports import Bounds
from service.records import WHOLE, Item, Output, Pane, Partition, Record, Rejected, Request, Response, Sample
from service.watched import WatchedMonitor
from service.worker import Worker

LOG = Partition("chat", "f00d")
START = 1_000_000.0
JOINED = {"kserve": {"responses": "optional", "response_timeout": 10.0}}

MakeVector = Callable[[int], NDArray[np.float32]]
MakeMonitor = Callable[..., WatchedMonitor]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@dataclass(frozen=True)
class Maker:
    """Items of one monitor."""

    vector: MakeVector

    def sample(self, n: int, *, time: float = START) -> Sample:
        return Sample("chat", f"s{n}", time, self.vector(n), {"locale": "en"})

    def request(self, event: str, *, time: float = START) -> Request:
        return Request("chat", event, (Sample("chat", f"{event}/0", time, self.vector(0)),))


@pytest.fixture
def make(vector: MakeVector) -> Maker:
    return Maker(vector)


class Kept(ListSource):
    """A log that begins where its retention left it."""

    first = 0

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - of all alike
        return Bounds(first=self.first)


def records(items: Iterable[Item], *, step: float = 1.0) -> list[Record]:
    return [Record(LOG, n, START + n * step, (item,)) for n, item in enumerate(items)]


def run(store: SqliteStore, log: Sequence[Record], *monitors: WatchedMonitor, batch: int = 512, first: int = 0, ends: bool = True) -> None:
    source = Kept(log, partitions=[LOG], growing=not ends)
    source.first = first
    worker = Worker(source, store, {m.settings.name: m for m in monitors}, Silent(), batch=batch)
    while worker.step(timeout=0.0):
        pass
    while ends and not worker.ended:
        worker.step(timeout=0.0)


def panes(store: SqliteStore, monitor: str = "chat") -> list[Pane]:
    return [entry for entry in store.entries(monitor, 0, 10_000) if isinstance(entry, Pane)]


def lost(store: SqliteStore, monitor: str = "chat") -> Mapping[str, int]:
    return sum((Counter(pane.losses) for pane in panes(store, monitor)), Counter[str]())


def refused(reason: str = "json", *, stage: str = "DECODE", monitor: str = "chat") -> Rejected:
    return Rejected(reason, "", b"", monitor=monitor, stage=stage)


def test_dead_letters_count_by_reason_in_the_whole_streams_pane(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    bad = Sample("chat", "nan", START, np.full(6, np.nan, np.float32))
    run(store, records([make.sample(0), bad, refused(), refused(), refused("json", stage=RESPONSE), make.sample(1)]), make_monitor())
    whole, segment = panes(store)
    assert whole.losses == {"not_finite": 1, "json": 2, "response: json": 1}
    assert (whole.summary.count, segment.losses) == (2, {})


def test_what_is_of_no_monitor_or_of_one_without_panes_counts_nowhere(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    log = records([refused(monitor="nobody"), Rejected("cloudevent", "", b""), refused(monitor="mail"), make.sample(0)])
    run(store, log, make_monitor(), make_monitor("mail", version=None))
    assert lost(store) == {}
    assert lost(store, "mail") == {}


def test_losses_alone_make_a_pane_that_closes_by_time(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    run(store, records([refused()] * 4, step=40.0), make_monitor())
    assert [(pane.key.segment, pane.key.first_offset, pane.summary.count, pane.losses) for pane in panes(store)] == [
        (WHOLE, 0, 0, {"json": 2}),
        (WHOLE, 2, 0, {"json": 2}),
    ]


def test_as_many_losses_as_fill_a_pane_close_it_where_time_stands_still(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    run(store, records([refused()] * 20, step=0.0), make_monitor())
    assert [pane.losses["json"] for pane in panes(store)] == [8, 8, 4]


def test_a_panes_time_begins_with_its_first_sample(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    run(store, records([refused(), make.sample(0), make.sample(1)], step=50.0), make_monitor())
    whole = [pane for pane in panes(store) if pane.key.segment == WHOLE]
    assert [(pane.first_time, pane.last_time, pane.summary.count) for pane in whole] == [(START + 50, START + 100, 2)]


def test_unanswered_requests_are_taken_and_counted(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    run(store, records([make.request("a"), make.request("b"), make.sample(0)], step=6.0), make_monitor(**JOINED))
    assert lost(store) == {unanswered("timeout"): 1, unanswered("ended"): 1}
    assert store.samples_taken("chat") == 3


def test_unmatched_answers_count(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    answer = Response("chat", "nobody asked", (Output(label="a"), Output(label="b")))
    run(store, records([make.request("a"), answer, Response("chat", "a", (Output(label="a"),))]), make_monitor(**JOINED))
    assert lost(store) == {UNMATCHED: 2}


def test_late_samples_are_taken_and_counted(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    late = START - 3_700.0
    log = records([make.sample(0), make.sample(1, time=late), make.request("a", time=late), make.sample(1, time=late)])
    run(store, log, make_monitor(kserve={"responses": "none"}))
    assert lost(store) == {LATE: 2}
    assert store.samples_taken("chat") == 3


def test_what_retention_took_is_lost_to_every_monitor_that_reads_the_topic(
    store: SqliteStore, make_monitor: MakeMonitor, make: Maker
) -> None:
    reading = [make_monitor(topic={"name": "chat"}), make_monitor("mail", topic={"name": "chat"}), make_monitor("other")]
    log = records([make.sample(n) for n in range(12)])
    run(store, log[:2], *reading, ends=False)
    run(store, log[8:], *reading, first=8)
    assert [lost(store, monitor.settings.name) for monitor in reading] == [{RETENTION: 6}, {RETENTION: 6}, {}]
    assert len({pane.key for pane in panes(store)}) == len(panes(store))


def test_what_ingest_fills_is_of_those_without_a_topic_of_their_own(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    reading = [make_monitor(), make_monitor("mail", topic={"name": "elsewhere"})]
    run(store, records([make.sample(n) for n in range(12)])[8:], *reading, first=8)
    assert [lost(store, monitor.settings.name) for monitor in reading] == [{RETENTION: 8}, {}]


def test_what_waited_for_another_embedder_is_lost_where_reading_goes_on(store: SqliteStore, make_monitor: MakeMonitor, make: Maker) -> None:
    from service.adapters.onnx_embedder.vectors import VectorEmbedder

    log = records([make.request("a"), make.sample(0), make.sample(1)], step=200.0)
    run(store, log[:1], make_monitor(**JOINED), ends=False)
    run(store, log, make_monitor(model=VectorEmbedder(6, normalize=True), version=2, **JOINED))
    whole = [pane for pane in panes(store) if pane.key.segment == WHOLE]
    assert [(pane.key.first_offset, pane.summary.count, pane.losses) for pane in whole] == [(1, 1, {"embedder_changed": 1}), (2, 1, {})]


STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 5.0, 61.0, -20.0]), st.sampled_from(["sample", "late", "refused", "request", "answer", "gap"])),
    max_size=30,
)


@given(steps=STEPS, batch=st.integers(1, 7), restarts=st.sets(st.integers(0, 30)))
def test_batches_and_restarts_change_no_loss(
    make_monitor: MakeMonitor, vector: MakeVector, steps: list[tuple[float, str]], batch: int, restarts: set[int]
) -> None:
    log, monitors = list(drawn(steps, Maker(vector))), {"chat": make_monitor(**JOINED)}
    with closing(SqliteStore(":memory:")) as one, closing(SqliteStore(":memory:")) as other:
        run(one, log, monitors["chat"])
        source = ListSource(log, partitions=[LOG])
        worker, turn = Worker(source, other, monitors, Silent(), batch=batch), 0
        while not worker.ended:
            worker.step(timeout=0.0)
            turn += 1
            if turn in restarts and not worker.ended:
                worker = Worker(ListSource(log, partitions=[LOG]), other, monitors, Silent(), batch=batch)
        assert shown(one) == shown(other)
        assert len({pane.key for pane in panes(one)}) == len(panes(one))
        counted = lost(one)
        assert sum(count for reason, count in counted.items() if reason in {"json", UNMATCHED}) == len(one.dead_letters(limit=1_000))
        assert sum(pane.summary.count for pane in panes(one) if pane.key.segment == WHOLE) == one.samples_taken("chat")


def shown(store: SqliteStore) -> list[object]:
    return [(pane.key, pane.last_offset, pane.first_time, pane.last_time, pane.summary.count, pane.losses) for pane in panes(store)]


def drawn(steps: Sequence[tuple[float, str]], make: Maker) -> Iterator[Record]:
    time = START
    for n, (step, what) in enumerate(steps):
        time += step
        items: dict[str, tuple[Item, ...]] = {
            "sample": (make.sample(n, time=time),),
            "late": (make.sample(n, time=0.0),),
            "refused": (refused(),),
            "request": (make.request(f"e{n % 3}", time=time),),
            "answer": (Response("chat", f"e{n % 3}", (Output(label="a"),)),),
            "gap": (),
        }
        yield Record(LOG, n, time, items[what])
