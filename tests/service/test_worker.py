from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.errors import ArtefactError
from service.observe import Silent
from service.ports import Bounds
from service.records import WHOLE, Commit, Item, Original, Output, Pane, Partition, Record, Rejected, Request, Response, Sample
from service.watched import WatchedMonitor
from service.worker import Worker

LOG = Partition("chat", "f00d")
MakeVector = Callable[[int], NDArray[np.float32]]
MakeMonitor = Callable[..., WatchedMonitor]
JOINED = {"kserve": {"responses": "optional", "response_timeout": 10.0}}
NO_TIME = 0.0


class Tally(Silent):
    """Counts what the worker reports."""

    def __init__(self) -> None:
        self.taken = 0
        self.duplicates = 0
        self.letters = 0
        self.unanswered_why: dict[str, int] = {}

    def samples(self, _monitor: str, taken: int, duplicates: int) -> None:
        self.taken += taken
        self.duplicates += duplicates

    def dead_letter(self, _monitor: str | None, _reason: str) -> None:
        self.letters += 1

    def unanswered(self, _monitor: str, reason: str, samples: int) -> None:
        self.unanswered_why[reason] = self.unanswered_why.get(reason, 0) + samples


def records(items: Iterable[Item | Sequence[Item]], *, step: float = 1.0, partition: Partition = LOG) -> list[Record]:
    """One record per item (or items), `step` seconds apart."""
    rows = [tuple(item) if isinstance(item, list | tuple) else (item,) for item in items]
    return [Record(partition, n, 1000.0 + n * step, row) for n, row in enumerate(rows)]


def closed(store: SqliteStore, segment: str = WHOLE, monitor: str = "chat") -> list[Pane]:
    return [entry for entry in store.entries(monitor, 0, 10_000) if isinstance(entry, Pane) and entry.key.segment == segment]


@pytest.fixture
def store() -> Iterable[SqliteStore]:
    store = SqliteStore(":memory:")
    yield store
    store.close()


@pytest.fixture
def sample(vector: MakeVector) -> Callable[..., Sample]:
    def make(n: int, *, monitor: str = "chat", id: str | None = None, output: Output | None = None) -> Sample:
        return Sample(monitor, id or f"s{n}", 0.0, vector(n), {"locale": "en" if n % 2 else "fr"}, output)

    return make


MakeSample = Callable[..., Sample]


@pytest.fixture
def request_of(vector: MakeVector) -> Callable[[str, int], Request]:
    def make(event: str, instances: int = 1) -> Request:
        return Request("chat", event, tuple(Sample("chat", f"{event}/{i}", 0.0, vector(i)) for i in range(instances)))

    return make


MakeRequest = Callable[..., Request]


def run(store: SqliteStore, log: Sequence[Record], *monitors: WatchedMonitor, batch: int = 512, observer: Silent | None = None) -> Worker:
    worker = Worker(ListSource(log, partitions=[LOG]), store, {m.settings.name: m for m in monitors}, observer or Silent(), batch=batch)
    while not worker.ended:
        worker.step(NO_TIME)
    return worker


# --- panes, pool and dead letters -------------------------------------------------------------------------------------


def test_every_sample_is_in_a_pane_of_the_whole_and_of_its_segment(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    run(store, records(sample(n) for n in range(20)), make_monitor(), batch=7)
    assert [pane.summary.count for pane in closed(store)] == [8, 8, 4]
    assert sum(pane.summary.count for pane in closed(store, "locale=en")) == 10
    assert sum(pane.summary.count for pane in closed(store, "locale=__other__")) == 10
    assert store.samples_taken("chat") == 20
    assert store.open_panes("chat") == []


def test_the_pool_keeps_what_the_next_steps_need(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample, vector: MakeVector
) -> None:
    monitor = make_monitor(embedder={"input": "tensor", "model": "model.onnx"})
    run(store, records([sample(3, output=Output(label="refund"))]), monitor)
    (row,) = store.pool("chat")
    assert (row.id, row.time, row.offset, row.reference_version, row.output) == ("s3", 1000.0, 0, 1, Output(label="refund"))
    np.testing.assert_allclose(row.embedding, vector(3), rtol=1e-3)
    np.testing.assert_array_equal(np.asarray(row.payload), vector(3))
    assert 0 <= row.novelty <= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"embedder": {"input": "tensor", "model": "model.onnx"}, "pool": {"keep_payloads": False}},
        {"embedder": {"input": "none", "dimension": 6}},
    ],
    ids=["asked not to", "embeddings that samples bring"],
)
def test_the_pool_keeps_no_payload(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample, settings: dict[str, Any]) -> None:
    run(store, records([sample(0)]), make_monitor(**settings))
    assert store.pool("chat")[0].payload is None


def test_without_a_reference_samples_are_kept_for_building_one(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    run(store, records(sample(n) for n in range(20)), make_monitor(version=None))
    assert store.entries("chat", 0, 10) == []
    assert [(row.novelty, row.reference_version) for row in store.pool("chat")] == [(0.0, 0)] * 20


def test_what_cannot_be_used_is_a_dead_letter_and_the_rest_goes_on(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    bad = Sample("chat", "nan", 0.0, np.full(6, np.nan, np.float32))
    came_bad = Rejected("json", "not JSON", b"{", index=2, monitor="chat")
    log = records([[sample(0), bad, came_bad, sample(1, monitor="nobody")], sample(2)])
    run(store, log, make_monitor())
    letters = {letter.rejected.index: letter.rejected for letter in store.dead_letters()}
    assert {index: (r.stage, r.reason, r.monitor) for index, r in letters.items()} == {
        1: ("EMBED", "not_finite", "chat"),
        2: ("DECODE", "json", "chat"),
        3: ("ROUTE", "unknown_monitor", "nobody"),
    }
    assert "nobody" in letters[3].message
    assert store.samples_taken("chat") == 2


def test_a_repeated_id_is_counted_and_not_taken(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    tally = Tally()
    run(store, records([sample(0), sample(1), sample(2, id="s0")]), make_monitor(), observer=tally, batch=2)
    assert (tally.taken, tally.duplicates) == (2, 1)
    assert store.dead_letters() == []


def test_a_refused_sample_may_come_again_mended(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    bad = Sample("chat", "s0", 0.0, np.zeros(2, np.float32))
    run(store, records([bad, sample(0)]), make_monitor())
    assert [row.id for row in store.pool("chat")] == ["s0"]


# --- requests and responses -------------------------------------------------------------------------------------------


def test_a_response_completes_its_request(store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest) -> None:
    answers = Response("chat", "e1", (Output(label="a"), Output(label="b")))
    run(store, records([request_of("e1", 2), request_of("e2"), answers]), make_monitor(**JOINED), batch=1)
    pooled = {row.id: row for row in store.pool("chat")}
    assert {name: row.output and row.output.label for name, row in pooled.items()} == {"e1/0": "a", "e1/1": "b", "e2/0": None}
    assert pooled["e1/0"].offset == 2
    assert store.assign(LOG).waiting == ()


def test_a_gap_left_by_a_refused_instance_shifts_no_answer(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    request = Request("chat", "e", (Sample("chat", "e/2", 0.0, vector(0)),))
    response = Response("chat", "e", tuple(Output(label=name) for name in "abc"))
    run(store, records([request, response]), make_monitor(**JOINED))
    (row,) = store.pool("chat")
    assert row.output == Output(label="c")


def test_an_unanswered_request_becomes_a_sample_when_log_time_has_passed(
    store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest, sample: MakeSample
) -> None:
    tally = Tally()
    run(store, records([request_of("e"), sample(0), sample(1)], step=6.0), make_monitor(**JOINED), observer=tally, batch=1)
    assert {row.id: row.offset for row in store.pool("chat")} == {"e/0": 2, "s0": 1, "s1": 2}
    assert tally.unanswered_why == {"timeout": 1}


def test_a_response_that_nothing_waits_for_is_a_dead_letter_and_its_repeat_a_duplicate(
    store: SqliteStore, make_monitor: MakeMonitor
) -> None:
    tally, response = Tally(), Response("chat", "e", (Output(label="a"),))
    run(store, records([response, response]), make_monitor(**JOINED), observer=tally)
    (letter,) = store.dead_letters()
    assert (letter.rejected.stage, letter.rejected.reason) == ("JOIN", "unmatched_response")
    assert tally.duplicates == 1


def test_where_no_responses_are_expected_requests_count_on_arrival(
    store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest
) -> None:
    log = records([request_of("e"), Response("chat", "e", (Output(label="a"),))])
    run(store, log, make_monitor(kserve={"responses": "none"}))
    assert [(row.id, row.offset) for row in store.pool("chat")] == [("e/0", 0)]
    assert store.dead_letters() == []


def test_what_waits_for_a_monitor_that_is_gone_is_not_lost_silently(
    store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest
) -> None:
    source = ListSource(records([request_of("e")]), growing=True)
    Worker(source, store, {"chat": make_monitor(**JOINED)}, Silent()).step(NO_TIME)
    run(store, records([request_of("e")]), make_monitor("mail"))
    assert [letter.rejected.reason for letter in store.dead_letters()] == ["embedder_changed"]
    assert store.assign(LOG).waiting == ()


def test_what_waits_with_a_vector_of_another_embedder_meets_none_of_the_new_one_after_a_restart(
    store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest
) -> None:
    from service.adapters.onnx_embedder.vectors import VectorEmbedder

    source = ListSource(records([request_of("e")]), growing=True)
    Worker(source, store, {"chat": make_monitor(**JOINED)}, Silent()).step(NO_TIME)
    run(store, [], make_monitor(model=VectorEmbedder(6, normalize=True), **JOINED))
    assert [letter.rejected.reason for letter in store.dead_letters()] == ["embedder_changed"]
    assert store.samples_taken("chat") == 0


def test_a_large_record_is_embedded_with_signs_of_life(store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest) -> None:
    beats: list[int] = []
    log = ListSource(records([request_of("e", 1_200)]), growing=True)
    Worker(log, store, {"chat": make_monitor()}, Silent(), beat=lambda: beats.append(1)).step(NO_TIME)
    assert len(beats) >= 3
    assert store.samples_taken("chat") == 1_200


# --- restarts, conflicts, replacement ---------------------------------------------------------------------------------


class Stuttering(ListSource):
    """Gives the record before once more, as at-least-once logs may."""

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        found = super().poll(limit, timeout)
        if found and found[0].offset:
            self.seek(LOG, found[0].offset - 1)
            return super().poll(limit + 1, timeout)
        return found


def test_a_record_delivered_again_is_passed_over(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    log = records([Rejected("json", "not JSON", b"{")] * 6)
    tally = Tally()
    worker = Worker(Stuttering(log), store, {"chat": make_monitor()}, tally, batch=2)
    while not worker.ended:
        worker.step(NO_TIME)
    assert (len(store.dead_letters()), tally.letters) == (6, 6)


def test_flushing_twice_and_starting_again_change_nothing(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    log = records(sample(n) for n in range(5))
    run(store, log, make_monitor()).flush()
    before = [pane.key for pane in closed(store)]
    run(store, log, make_monitor())
    assert [pane.key for pane in closed(store)] == before
    assert store.samples_taken("chat") == 5


def test_two_workers_that_fight_for_a_partition_take_every_sample_once(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    log = records(sample(n) for n in range(20))
    monitors = {"chat": make_monitor()}
    workers = [Worker(ListSource(log), store, monitors, Silent(), batch=3) for _ in range(2)]
    turns = 0
    while not all(worker.ended for worker in workers):
        workers[turns // 2 % 2].step(NO_TIME)
        turns += 1
    assert store.samples_taken("chat") == 20
    assert [pane.summary.count for pane in closed(store)] == [8, 8, 4]


def test_a_partition_that_appears_later_is_taken_from_its_start(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    source = ListSource(records([sample(0)]), growing=True)
    worker = Worker(source, store, {"chat": make_monitor()}, Silent())
    worker.step(NO_TIME)
    source.push(*records((sample(n) for n in range(10)), partition=Partition("chat", "beef")))
    source.end()
    while not worker.ended:
        worker.step(NO_TIME)
    assert store.samples_taken("chat") == 11


class Shared(ListSource):
    """Partitions that come and go, of a log whose bounds can be set."""

    def __init__(self, log: Iterable[Record]) -> None:
        super().__init__(log, growing=True)
        self.given: list[Partition] = [LOG]
        self.known = Bounds()

    def partitions(self) -> Sequence[Partition]:
        return tuple(self.given)

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - of all alike
        return self.known


def test_a_partition_that_is_given_away_is_let_go_of_and_taken_up_where_the_other_left_it(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    log, monitors = records(sample(n) for n in range(20)), {"chat": make_monitor()}
    mine, other = Shared(log), ListSource(log)
    worker = Worker(mine, store, monitors, Silent(), batch=5)
    worker.step(NO_TIME)
    mine.given = []
    worker.step(NO_TIME)
    assert worker.partitions == ()
    Worker(other, store, monitors, Silent(), batch=6).step(NO_TIME)
    mine.given = [LOG]
    worker.step(NO_TIME)
    assert store.samples_taken("chat") == 16
    [position] = store.positions()
    assert (position.offset, position.epoch) == (16, 3)


def test_a_partition_never_read_begins_where_its_source_says(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    source = Shared(records(sample(n) for n in range(20)))
    source.known = Bounds(end=20, start=15)
    Worker(source, store, {"chat": make_monitor()}, Silent()).step(NO_TIME)
    assert store.samples_taken("chat") == 5
    assert store.positions()[0].start == 15


def test_what_the_log_let_go_of_is_counted_and_reading_goes_on(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    log = records(sample(n) for n in range(20))
    Worker(Shared(log[:4]), store, {"chat": make_monitor()}, Silent()).step(NO_TIME)
    later = Shared(log)
    later.known = Bounds(first=10, end=20)
    Worker(later, store, {"chat": make_monitor()}, Silent()).step(NO_TIME)
    assert store.samples_taken("chat") == 14
    [position] = store.positions()
    assert (position.offset, position.lost) == (20, 6)


def test_an_offset_beyond_the_log_stops_the_partition_until_a_person_says_where_to_read_on(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.holding.LOOK_AGAIN", 0.0)
    log = records(sample(n) for n in range(20))
    Worker(Shared(log), store, {"chat": make_monitor()}, Silent()).step(NO_TIME)
    cut = Shared(log[:5])
    cut.known = Bounds(end=5)
    worker = Worker(cut, store, {"chat": make_monitor()}, Silent())
    worker.step(NO_TIME)
    assert "the log ends at 5" in worker.stopped[LOG]
    assert "`driftgate offsets reset --topic chat --partition 0 --to earliest|latest|OFFSET`" in worker.stopped[LOG]
    assert store.positions()[0].stopped == worker.stopped[LOG]
    store.reset(LOG, 5)
    cut.push(*log[5:7])
    cut.known = Bounds(end=7)
    worker.step(NO_TIME)
    worker.step(NO_TIME)
    assert worker.stopped == {}
    assert store.samples_taken("chat") == 22


def test_a_topic_made_anew_stops_until_a_person_says_where_to_read_on(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.holding.LOOK_AGAIN", 0.0)
    Worker(Shared(records(sample(n) for n in range(20))), store, {"chat": make_monitor()}, Silent()).step(NO_TIME)
    anew = Partition(LOG.topic, "beef")
    source = Shared(records((sample(n) for n in range(20, 30)), partition=anew))
    source.given, source.known = [anew], Bounds(succeeds=True)
    worker = Worker(source, store, {"chat": make_monitor()}, Silent())
    worker.step(NO_TIME)
    assert "made anew" in worker.stopped[anew]
    assert f"--topic {LOG.topic} --partition 0 " in worker.stopped[anew]
    store.reset(anew, 2)
    worker.step(NO_TIME)
    assert store.samples_taken("chat") == 28
    assert {position.partition.topic_id: position.retired for position in store.positions()} == {"f00d": True, "beef": False}


def test_a_worker_that_knows_an_older_shape_leaves_the_partition_alone(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.holding.LOOK_AGAIN", 0.0)
    log = records(sample(n) for n in range(20))
    older, newer = make_monitor(), replace(make_monitor(version=2), shape=2)
    behind = Worker(Shared(log), store, {"chat": replace(older, shape=1)}, Silent(), batch=5)
    behind.step(NO_TIME)
    Worker(Shared(log), store, {"chat": newer}, Silent(), batch=5).step(NO_TIME)
    for _ in range(3):
        behind.step(NO_TIME)
    assert behind.partitions == ()
    assert store.samples_taken("chat") == 10
    behind.replace("chat", newer)
    for _ in range(3):
        behind.step(NO_TIME)
    assert store.samples_taken("chat") == 20
    assert store.positions()[0].shapes == {"chat": (2, 5)}


def test_a_worker_that_has_yet_to_load_a_monitor_leaves_its_partition_alone(
    store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest, sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.holding.LOOK_AGAIN", 0.0)
    log, known = records([request_of("e"), sample(1), sample(2)]), replace(make_monitor(**JOINED), shape=1)
    Worker(Shared(log), store, {"chat": known}, Silent(), batch=2).step(NO_TIME)
    late = Worker(Shared(log), store, {}, Silent())
    late.awaits = lambda _: True
    late.step(NO_TIME)
    assert "newer settings of chat" in late.stopped[LOG]
    late.replace("chat", known)
    late.step(NO_TIME)
    assert late.stopped == {}
    assert store.dead_letters() == []
    assert [pane.summary.count for pane in store.open_panes("chat") if pane.key.segment == WHOLE] == [2]


def test_samples_of_a_monitor_that_is_on_its_way_are_read_again_once_it_is_there(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    worker = Worker(ListSource(records(sample(n) for n in range(5)), growing=True), store, {}, Silent())
    worker.awaits = lambda _: True
    for _ in range(3):
        worker.step(NO_TIME)
    worker.replace("chat", make_monitor())
    worker.step(NO_TIME)
    assert store.samples_taken("chat") == 5
    assert store.dead_letters() == []
    assert store.positions()[0].epoch == 2


def test_panes_of_another_shape_close_as_they_stand_at_a_restart(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    log = records(sample(n) for n in range(12))
    Worker(ListSource(log), store, {"chat": replace(make_monitor(), shape=1)}, Silent(), batch=5).step(NO_TIME)
    run(store, log, replace(make_monitor(), shape=2))
    assert [(pane.key.first_offset, pane.summary.count) for pane in closed(store)] == [(0, 5), (5, 7)]
    assert store.positions()[0].shapes == {"chat": (2, 5)}


def test_a_source_is_told_of_the_monitors_as_they_are_worked_on(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    told: list[list[str]] = []
    worker = Worker(ListSource(growing=True), store, {"chat": make_monitor()}, Silent())
    worker.follow = lambda monitors: told.append([monitor.settings.name for monitor in monitors])
    worker.replace("other", make_monitor())
    assert told == []
    worker.step(NO_TIME)
    worker.replace("other", None)
    worker.step(NO_TIME)
    assert told == [["chat", "chat"], ["chat"]]


def test_a_record_of_many_bad_items_is_kept_once(store: SqliteStore) -> None:
    items = [Rejected("json", "no JSON", b"x", n) for n in range(3)]
    record = replace(records([items])[0], original=Original(None, b"xxx"))
    Worker(ListSource([record]), store, {}, Silent()).step(NO_TIME)
    assert [letter.original for letter in reversed(store.dead_letters())] == [record.original, None, None]


def test_a_monitor_that_is_withdrawn_closes_its_panes_and_its_samples_are_dead_letters(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    source = ListSource(records(sample(n) for n in range(5)), growing=True)
    worker = Worker(source, store, {"chat": make_monitor()}, Silent())
    worker.step(NO_TIME)
    worker.replace("chat", None)
    source.push(*records(sample(n) for n in range(7))[5:])
    worker.step(NO_TIME)
    worker.step(NO_TIME)
    assert [pane.summary.count for pane in closed(store)] == [5]
    assert [letter.rejected.reason for letter in store.dead_letters()] == ["unknown_monitor"] * 2


def test_a_replaced_reference_starts_where_the_batch_before_ended(
    store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample
) -> None:
    source = ListSource(records(sample(n) for n in range(5)), growing=True)
    worker = Worker(source, store, {"chat": make_monitor()}, Silent())
    worker.step(NO_TIME)
    worker.replace("chat", make_monitor(version=2))
    worker.step(NO_TIME)
    assert [(pane.key.reference_version, pane.last_offset, pane.summary.count) for pane in closed(store)] == [(1, 4, 5)]
    source.push(*records(sample(n) for n in range(9))[5:])
    worker.step(NO_TIME)
    assert {(pane.key.reference_version, pane.key.first_offset) for pane in store.open_panes("chat")} == {(2, 5), (2, 6)}


def test_what_waits_survives_a_new_reference_and_goes_before_a_new_embedder(
    store: SqliteStore, make_monitor: MakeMonitor, request_of: MakeRequest
) -> None:
    from service.adapters.onnx_embedder.vectors import VectorEmbedder

    tally = Tally()
    worker = Worker(ListSource(records([request_of("e")]), growing=True), store, {"chat": make_monitor(**JOINED)}, tally)
    worker.step(NO_TIME)
    worker.replace("chat", make_monitor(version=2, **JOINED))
    worker.step(NO_TIME)
    assert tally.taken == 0
    worker.replace("chat", make_monitor(version=3, model=VectorEmbedder(6, normalize=True), **JOINED))
    worker.step(NO_TIME)
    assert tally.unanswered_why == {"replaced": 1}
    assert [pane.key.reference_version for pane in closed(store)] == [2]


def test_open_panes_of_an_old_reference_close_at_the_restart(store: SqliteStore, make_monitor: MakeMonitor, sample: MakeSample) -> None:
    source = ListSource(records([sample(0)]), growing=True)
    Worker(source, store, {"chat": make_monitor()}, Silent()).step(NO_TIME)
    Worker(source, store, {"chat": make_monitor(version=2)}, Silent()).step(NO_TIME)
    assert [pane.summary.count for pane in closed(store)] == [1]
    assert store.open_panes("chat") == []


def test_a_reference_of_another_embedder_is_refused(make_monitor: MakeMonitor) -> None:
    from service.adapters.onnx_embedder.vectors import VectorEmbedder

    made = make_monitor()
    with pytest.raises(ArtefactError, match="another embedder"):
        WatchedMonitor(made.settings, VectorEmbedder(6, normalize=True), made.reference)


class Broken(SqliteStore):
    """A disk that fails now and then."""

    failures = 2

    def commit(self, commit: Commit) -> Sequence[Pane]:
        if self.failures:
            self.failures -= 1
            raise OSError("disk is full")
        return super().commit(commit)


def test_a_worker_that_forgets_after_failures_loses_nothing(make_monitor: MakeMonitor, sample: MakeSample) -> None:
    store = Broken(":memory:")
    worker = Worker(ListSource(records(sample(n) for n in range(20))), store, {"chat": make_monitor()}, Silent(), batch=3)
    failures = 0
    while not worker.ended:
        try:
            worker.step(timeout=0)
        except OSError:
            failures += 1
            worker.forget()
    assert failures == 2
    assert store.samples_taken("chat") == 20
    store.close()


def test_a_new_reference_survives_a_commit_that_fails_while_it_is_taken_up(make_monitor: MakeMonitor, sample: MakeSample) -> None:
    store, source = Broken(":memory:"), ListSource(records(sample(n) for n in range(5)), growing=True)
    store.failures = 0
    worker = Worker(source, store, {"chat": make_monitor()}, Silent())
    worker.step(NO_TIME)
    worker.replace("chat", make_monitor(version=2))
    store.failures = 1
    with pytest.raises(OSError, match="disk is full"):
        worker.step(NO_TIME)
    worker.forget()
    source.push(*records(sample(n) for n in range(9))[5:])
    worker.step(NO_TIME)
    assert [(pane.key.reference_version, pane.summary.count) for pane in closed(store)] == [(1, 5)]
    assert {pane.key.reference_version for pane in store.open_panes("chat")} == {2}
    store.close()


# --- the whole, against itself ----------------------------------------------------------------------------------------

EVENT = st.sampled_from("abc")
ITEM = st.one_of(
    st.tuples(st.just("sample"), st.integers(0, 30)),
    st.tuples(st.just("bad"), st.integers(0, 30)),
    st.tuples(st.just("request"), EVENT, st.integers(1, 3)),
    st.tuples(st.just("response"), EVENT, st.integers(0, 3)),
    st.tuples(st.just("rejected")),
)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 7.0, 11.0, 61.0, -20.0]), st.lists(ITEM, max_size=4)), max_size=20)


def item_of(drawn: tuple[object, ...], vector: MakeVector) -> Item:
    match drawn:
        case ("sample", int(n)):
            return Sample("chat", f"s{n}", 0.0, vector(n), {"locale": ["en", "de", "fr"][n % 3]})
        case ("bad", int(n)):
            return Sample("chat", f"s{n}", 0.0, np.full(6, np.inf, np.float32))
        case ("request", str(event), int(n)):
            return Request("chat", event, tuple(Sample("chat", f"{event}/{i}", 0.0, vector(i)) for i in range(n)))
        case ("response", str(event), int(n)):
            return Response("chat", event, tuple(Output(label=str(i)) for i in range(n)))
    return Rejected("json", "not JSON", b"", monitor="chat")


def log_of(steps: Sequence[tuple[float, list[tuple[object, ...]]]], vector: MakeVector) -> list[Record]:
    time, log = 1000.0, []
    for offset, (step, drawn) in enumerate(steps):
        time += step
        log.append(Record(LOG, offset, time, tuple(item_of(each, vector) for each in drawn)))
    return log


@given(steps=STEPS, batch=st.integers(1, 7), restarts=st.sets(st.integers(0, 20)))
def test_state_is_a_function_of_the_log_alone(
    make_monitor: MakeMonitor, vector: MakeVector, steps: list[tuple[float, list[tuple[object, ...]]]], batch: int, restarts: set[int]
) -> None:
    log, monitors = log_of(steps, vector), {"chat": make_monitor(**JOINED)}
    one, other = SqliteStore(":memory:"), SqliteStore(":memory:")
    run(one, log, monitors["chat"], batch=10_000)
    worker, turn = Worker(ListSource(log, partitions=[LOG]), other, monitors, Silent(), batch=batch), 0
    while not worker.ended:
        worker.step(NO_TIME)
        turn += 1
        if turn in restarts and not worker.ended:
            worker = Worker(ListSource(log, partitions=[LOG]), other, monitors, Silent(), batch=batch)
    assert exact(one) == exact(other)
    for pane, same in zip(closed(one), closed(other), strict=True):
        np.testing.assert_allclose(pane.summary.sums, same.summary.sums, atol=1e-4)
    one.close()
    other.close()


def exact(store: SqliteStore) -> list[object]:
    """Everything of a store that may not differ by as much as a bit."""
    panes = [entry for entry in store.entries("chat", 0, 10_000) if isinstance(entry, Pane)]
    left = store.assign(LOG)
    return [
        [(p.sequence, p.key, p.last_offset, p.first_time, p.last_time, p.losses) for p in panes],
        [(p.summary.count, p.summary.clusters.tolist()) for p in panes],
        [(row.id, row.offset, row.time, row.output, dict(row.segments)) for row in store.pool("chat")],
        sorted((letter.id, letter.rejected.reason) for letter in store.dead_letters()),
        store.samples_taken("chat"),
        (left.offset, left.time, left.open_panes, left.waiting, left.recent_ids.tolist()),
    ]
