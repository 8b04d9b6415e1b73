"""The reserve of a monitor: a function of the samples that came, bounded, with rare and failing mass in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.observe import Silent
from service.ports import Store
from service.records import DRIFT, FAILURE, UNIFORM, Commit, Output, Pane, Partition, Pooled, Record, Sample
from service.reserve import Room, failed, part_of
from service.settings import PoolSettings
from service.watched import WatchedMonitor
from service.worker import Worker

MakeVector = Callable[[int], NDArray[np.float32]]
MakeMonitor = Callable[..., WatchedMonitor]

START = 1_000_000.0
SMALL = {"pool": {"reserve_rows": 40, "half_life_days": 0.01}}
"""12 uniform rows, 12 new ones, 2 of each of three segments."""


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def sample(n: int, vector: NDArray[np.float32], *, time: float | None = None, locale: str = "", label: str | None = None) -> Sample:
    tags = {"locale": locale or ("en" if n % 3 else "fr")}
    return Sample("chat", f"s{n}", START + n if time is None else time, vector, tags, Output("a"), label)


def log(samples: Sequence[Sample], *, partitions: int = 1) -> list[Record]:
    """One sample a record, each a second after the one before."""
    offsets = dict.fromkeys(range(partitions), 0)
    made = []
    for n, each in enumerate(samples):
        number = n % partitions
        made.append(Record(Partition("chat", "f00d", number), offsets[number], START + n, (each,)))
        offsets[number] += 1
    return made


def run(store: Store, records: Sequence[Record], monitor: WatchedMonitor, *, batch: int = 512) -> None:
    source = ListSource(records)
    worker = Worker(source, store, {"chat": monitor}, Silent(), batch=batch)
    while not worker.ended:
        worker.step(0.0)


def held(store: Store, part: str | None = None) -> dict[str, dict[str, float]]:
    return {each.row.id: dict(each.keys) for each in store.reserve("chat", part=part)}


def pooled(n: int, *, time: float = START, vector: Sequence[float] = (1.0, 0.0), label: str | None = None) -> Pooled:
    embedding = np.array(vector, np.float16)
    return Pooled("chat", f"s{n}", time, Partition("chat", "f00d"), n, None, {}, None, label, embedding, 0.5, 1)


def test_every_part_has_its_room_and_all_together_no_more_than_there_is() -> None:
    room = Room.of(PoolSettings(reserve_rows=1_000, half_life_days=2.0), [part_of(f"locale={n}") for n in range(7)])
    assert room.half_life == 2 * 86_400.0
    assert (room.parts[DRIFT], room.parts[FAILURE], room.parts["segment:locale=3"]) == (300, 200, 28)
    assert 990 < sum(room.parts.values()) <= 1_000
    assert sum(Room.of(PoolSettings(reserve_rows=1_000)).parts.values()) == 1_000
    assert Room.of(PoolSettings(reserve_rows=100), [part_of(f"t={n}") for n in range(400)]).parts["segment:t=0"] == 0


@given(batch=st.integers(1, 40), other=st.integers(1, 40), partitions=st.integers(1, 3), restarts=st.sets(st.integers(1, 6)))
@settings(max_examples=8, deadline=None)
def test_batches_partitions_workers_and_refused_commits_change_no_row(
    make_monitor: MakeMonitor, vector: MakeVector, batch: int, other: int, partitions: int, restarts: set[int]
) -> None:
    monitor, samples = make_monitor(**SMALL), [sample(n, vector(n)) for n in range(120)]
    with closing(SqliteStore(":memory:")) as one, closing(SqliteStore(":memory:")) as two:
        run(one, log(samples), monitor, batch=batch)
        records, turn = log(samples, partitions=partitions), 0
        worker = Worker(ListSource(records), two, {"chat": monitor}, Silent(), batch=other)
        while not worker.ended:
            worker.step(0.0)
            turn += 1
            if turn in restarts and not worker.ended:
                worker = Worker(ListSource(records), two, {"chat": monitor}, Silent(), batch=other)
        assert held(one) == held(two)
        assert {part: figures.rows for part, figures in one.reserve_parts("chat").items()} == {
            UNIFORM: 12,
            DRIFT: 12,
            **{f"segment:locale={value}": 2 for value in ("en", "__other__")},
        }


def test_a_record_that_comes_again_later_changes_nothing(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    monitor, records = make_monitor(**SMALL), log([sample(n, vector(n)) for n in range(60)])
    run(store, records, monitor)
    before = held(store)
    again = [replace(record, partition=Partition("chat", "again")) for record in records]
    run(store, again, monitor, batch=7)
    assert held(store) == before
    assert {each.count for each in store.reserve("chat")} == {1}


def test_a_storm_of_retries_takes_the_room_of_one(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    storm = [sample(n, vector(n if n % 3 else 0), locale="en") for n in range(240)]
    run(store, log(storm), make_monitor(**SMALL), batch=20)
    copies = [each for each in store.reserve("chat") if int(each.row.id[1:]) % 3 == 0]
    assert len(copies) == 1
    assert copies[0].count > 10
    assert len(held(store)) > 20


def test_near_duplicates_of_other_segments_or_labels_stay_apart(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    same = [sample(0, vector(0), locale="en"), sample(1, vector(0), locale="de"), sample(2, vector(0), locale="en", label="b")]
    run(store, log([*same, sample(3, vector(0), locale="en")]), make_monitor(**SMALL))
    assert {each.row.id: each.count for each in store.reserve("chat")} == {"s0": 2, "s1": 1, "s2": 1}


def test_new_and_contradicted_samples_have_the_larger_keys_in_the_drift_part(
    store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector
) -> None:
    rng = np.random.default_rng(3)
    novel = [n for n in range(400) if n % 20 == 0]
    wrong = [n for n in range(400) if n % 20 == 1]
    samples = [
        sample(n, (rng.normal(size=6) + (9.0 if n in novel else 0.0)).astype(np.float32), label="b" if n in wrong else "a")
        for n in range(400)
    ]
    run(store, log(samples), make_monitor(pool={"reserve_rows": 100}))
    drift, uniform = ({int(name[1:]) for name in held(store, part)} for part in (DRIFT, UNIFORM))
    assert len(drift & set(novel)) >= 8 > 2 * len(uniform & set(novel))
    assert len(drift & set(wrong)) > len(uniform & set(wrong))


def test_a_sample_from_the_future_ages_from_when_it_came(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    samples = [sample(0, vector(0), time=START + 1e9), *(sample(n, vector(n)) for n in range(1, 200))]
    run(store, log(samples), make_monitor(pool={"reserve_rows": 20, "half_life_days": 0.0101}))
    assert all(each.at <= START + 200 for each in store.reserve("chat"))
    assert all(key < 1e7 for keys in held(store).values() for key in keys.values())


def test_the_young_are_kept_before_the_old(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    samples = [sample(n, vector(n), time=START + 100.0 * n) for n in range(300)]
    records = [replace(record, time=START + 100.0 * record.offset) for record in log(samples)]
    run(store, records, make_monitor(pool={"reserve_rows": 100, "half_life_days": 0.02}))
    assert np.mean([int(name[1:]) for name in held(store, UNIFORM)]) > 230


def test_without_a_reference_nothing_is_reserved(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    run(store, log([sample(n, vector(n)) for n in range(9)]), make_monitor(version=None))
    assert held(store) == {}


@pytest.mark.parametrize(("rows", "kept"), [(0, 0), (20, 20)])
def test_another_capacity_takes_effect_with_the_next_commit(
    store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector, rows: int, kept: int
) -> None:
    run(store, log([sample(n, vector(n)) for n in range(60)]), make_monitor(**SMALL))
    store.keep_reserved(failed(make_monitor(**SMALL).settings, [pooled(n) for n in range(1_000, 1_009)], [1.0] * 9, now=START))
    more = [replace(record, partition=Partition("chat", "more")) for record in log([sample(60, vector(60))])]
    run(store, more, make_monitor(pool={"reserve_rows": rows, "half_life_days": 0.01}))
    assert sum(part.rows for part in store.reserve_parts("chat").values()) <= kept


def test_another_half_life_leaves_new_samples_their_chance(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    records = log([sample(n, vector(n)) for n in range(240)])
    run(store, records[:120], make_monitor(**SMALL))
    run(store, records, make_monitor(pool={"reserve_rows": 40, "half_life_days": 30.0}), batch=10)
    assert any(int(name[1:]) >= 120 for name in held(store, UNIFORM))
    assert any(int(name[1:]) < 120 for name in held(store, UNIFORM))


def test_tags_that_are_gone_leave_no_part(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    run(store, log([sample(n, vector(n)) for n in range(30)]), make_monitor(**SMALL))
    more = [replace(record, partition=Partition("chat", "more")) for record in log([sample(60, vector(60))])]
    run(store, more, make_monitor(**SMALL, segments={"tags": []}))
    assert store.reserve_parts("chat").keys() == {UNIFORM, DRIFT}


def test_the_dearest_failures_stay_and_the_same_ones_whenever_they_are_told(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    settings = make_monitor(pool={"reserve_rows": 100}).settings
    rows, losses = [pooled(n, label="b") for n in range(200)], [5.0 if n < 20 else 0.05 for n in range(200)]
    assert store.keep_reserved(failed(settings, rows, losses, now=START)) == 20
    kept = held(store, FAILURE)
    assert sum(int(name[1:]) < 20 for name in kept) >= 9
    for n in (3, 150, 7):
        store.keep_reserved(failed(settings, rows[n:], losses[n:], now=START))
    assert held(store, FAILURE) == kept


class Refusing(SqliteStore):
    """Every third commit fails."""

    commits = 0

    def commit(self, commit: Commit) -> Sequence[Pane]:
        self.commits += 1
        if self.commits % 3 == 0:
            raise ConflictError("somebody else holds it")
        return super().commit(commit)


def test_commits_that_fail_lose_no_row(store: SqliteStore, make_monitor: MakeMonitor, vector: MakeVector) -> None:
    records = log([sample(n, vector(n if n % 5 else 0), locale="en") for n in range(120)])
    run(store, records, make_monitor(**SMALL), batch=10)
    with closing(Refusing(":memory:")) as failing:
        run(failing, records, make_monitor(**SMALL), batch=10)
        assert failing.commits > 15
        assert _groups(store) == _groups(failing)


def _groups(store: Store) -> Mapping[bytes, Mapping[str, float]]:
    """Content → its largest keys: which of the copies stands for the others may differ."""
    found = dict[bytes, dict[str, float]]()
    for each in store.reserve("chat"):
        keys = found.setdefault(each.row.embedding.tobytes(), {})
        keys |= {part: max(key, keys.get(part, key)) for part, key in each.keys.items()}
    return found
