"""What the store holds besides monitors' figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from service.adapters.sqlite import SqliteStore
from service.metrics.installed import entities, lag, outbox, positions
from service.metrics.reading import Point
from service.records import AnnotationBatch, BatchState, Commit, CycleState, OutboxItem, Partition, RefreshCycle

LOG, OTHER = Partition("chat", "a", 0), Partition("chat", "a", 1)


def values(points: Iterable[Point]) -> Mapping[tuple[str, ...], float]:
    return {(declaration.name.removeprefix("driftgate_"), *labels): value for declaration, labels, value in points}


def test_cycles_and_batches_are_counted_by_state(store: SqliteStore) -> None:
    cycle = RefreshCycle("c1", "mail", 1, "request", 1, CycleState.TRAINING, 5.0, version=1)
    batch = AnnotationBatch("b1", "mail", "c1", 1, BatchState.SENT, (), 5.0, version=1)
    store.save(cycle, replace(cycle, id="c2", state=CycleState.PROMOTED), replace(cycle, id="c3", monitor="gone"), batch)
    assert values(entities(store, lambda: ["chat", "mail"])) == {
        ("refresh_cycles", "mail", "training"): 1, ("refresh_cycles", "mail", "promoted"): 1, ("annotation_batches", "mail", "sent"): 1,
    }  # fmt: skip


def test_what_has_not_left_counts_by_kind_and_what_is_held_back_does_not_age(store: SqliteStore) -> None:
    items = [OutboxItem(f"o{n}", "alarm.opened", "ops", {}, created) for n, created in enumerate((10.0, 40.0, 70.0, 99.0))]
    store.save(outbox=[*items, OutboxItem("o9", "refresh.due", "ops", {}, 80.0)])
    store.settle(replace(items[0], held="silenced"))
    store.settle(replace(items[1], state="dead"))
    assert values(outbox(store, now=100.0)) == {
        ("outbox_items", "alarm.opened", "pending"): 3, ("outbox_items", "alarm.opened", "dead"): 1,
        ("outbox_items", "refresh.due", "pending"): 1, ("outbox_oldest_age_seconds", "alarm.opened", "pending"): 30,
        ("outbox_oldest_age_seconds", "alarm.opened", "dead"): 60, ("outbox_oldest_age_seconds", "refresh.due", "pending"): 20,
    }  # fmt: skip


def test_what_waits_longest_is_seen_behind_any_number_of_newer_and_dead_ones(store: SqliteStore) -> None:
    stuck = OutboxItem("stuck", "alarm.opened", "ops", {}, 10.0)
    newer = [OutboxItem(f"o{n}", "alarm.opened", "ops", {}, 90.0) for n in range(1_200)]
    dead = [replace(item, id=f"d{n}", state="dead") for n, item in enumerate(newer)]
    store.save(outbox=[stuck, *newer, *dead])
    seen = values(outbox(store, now=100.0))
    assert seen["outbox_oldest_age_seconds", "alarm.opened", "pending"] == 90
    assert (seen["outbox_items", "alarm.opened", "pending"], seen["outbox_items", "alarm.opened", "dead"]) == (1_201, 1_200)


def test_how_far_partitions_are(store: SqliteStore) -> None:
    store.assign(LOG)
    store.commit(Commit(LOG, 1, 0, 12, 0.0, lost=7))
    store.assign(OTHER)
    store.halt(OTHER, 1, "the log ends at 5")
    assert values(positions(store)) == {("records_lost_total", "chat"): 7, ("partition_stopped", "chat"): 1}
    store.reset(OTHER, 5)
    assert values(positions(store))["partition_stopped", "chat"] == 0


def test_lag_in_records_and_seconds_is_that_of_the_partition_that_is_farthest_behind() -> None:
    behind = values(lag({LOG: 3, OTHER: 4, Partition("mail", "b", 0): 0}, {LOG: 90.0, OTHER: 40.0}, now=100.0))
    assert behind == {
        ("consumer_lag_records", "chat"): 7, ("consumer_lag_seconds", "chat"): 60,
        ("consumer_lag_records", "mail"): 0, ("consumer_lag_seconds", "mail"): 0,
    }  # fmt: skip
    assert values(lag({LOG: 0}, {LOG: 90.0}, now=100.0))["consumer_lag_seconds", "chat"] == 0
