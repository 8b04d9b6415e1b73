"""The audit would notice: a sample lost, counted twice or counted wrongly, an alarm that nobody raised, a delivery that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.app import Installation, opened
from service.records import OutboxItem, Partition, Record, Sample
from service.settings import parse
from tests.chaos.audit import (
    Recount,
    check_alarms,
    check_deliveries,
    check_panes,
    check_progress,
    check_reserve,
    records_of,
    recount,
    undisturbed,
)
from tests.chaos.receiver import Inbox
from tests.chaos.site import MONITOR, build_reference, monitor
from tests.chaos.traffic import BLOCK, block

PARTITION = Partition("topic", "id")
CALM, DRIFTED = 10, 40
"""Blocks."""


@dataclass(frozen=True, slots=True)
class Message:
    """As the client library gives it."""

    offset: int
    key: bytes
    value: bytes | None

    @property
    def timestamp(self) -> int:
        """Milliseconds."""
        return self.offset

    headers: tuple[tuple[str, bytes], ...] = ()


LOG = [
    Message(index * BLOCK + i, key, value)
    for index in range(CALM + DRIFTED)
    for i, (key, value) in enumerate(block(index, new=0.0 if index < CALM else 0.5))
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = parse({"directory": "state", "monitors": [monitor("topic")]}, base=tmp_path_factory.mktemp("site"))
    with opened(settings) as made:
        build_reference(made)
        yield made


@pytest.fixture(scope="module")
def still(installation: Installation) -> Iterator[SqliteStore]:
    with closing(run(installation, lambda records: records)) as store:
        yield store


def run(installation: Installation, change: Callable[[list[Record]], list[Record]]) -> SqliteStore:
    """The log as somebody would have counted it who changed it on the way."""
    return undisturbed(installation, {PARTITION: change(list(records_of(PARTITION, LOG, installation)))})


def lose(records: list[Record]) -> list[Record]:
    return [record for record in records if record.offset != 700]


def double(records: list[Record]) -> list[Record]:
    """The second time under another name, so that nothing can tell."""
    again = replace(records[700], items=(*records[700].items, replace(sample(records[700]), id="again")))
    return [*records[:700], again, *records[701:]]


def distort(records: list[Record]) -> list[Record]:
    taken = sample(records[700])
    changed = replace(taken, payload=np.asarray(taken.payload, np.float32) * np.float32(1.01))
    return [*records[:700], replace(records[700], items=(changed,)), *records[701:]]


def sample(record: Record) -> Sample:
    (item,) = record.items
    assert isinstance(item, Sample)
    return item


def test_what_is_exact_passes(installation: Installation, still: SqliteStore) -> None:
    with closing(run(installation, lambda records: records)) as again:
        check_progress(again, {PARTITION: recount(LOG)})
        check_panes(again, still)
        check_alarms(again, still, alike=True)


def test_recount_knows_what_is_in_the_log() -> None:
    found = recount(LOG)
    assert found == Recount((CALM + DRIFTED) * (BLOCK - 2), found.refused, len(LOG))
    assert found.refused == frozenset(range(BLOCK - 1, len(LOG), BLOCK))


@pytest.mark.parametrize("change", [lose, double, distort])
def test_another_count_is_noticed(change: Callable[[list[Record]], list[Record]], installation: Installation, still: SqliteStore) -> None:
    with closing(run(installation, change)) as store, pytest.raises(AssertionError):
        check_panes(store, still)


@pytest.mark.parametrize("change", [lose, double])
def test_another_number_of_samples_is_noticed(change: Callable[[list[Record]], list[Record]], installation: Installation) -> None:
    with closing(run(installation, change)) as store, pytest.raises(AssertionError):
        check_progress(store, {PARTITION: recount(LOG)})


def test_a_reserve_filled_in_other_batches_passes_and_one_that_lost_rows_does_not(installation: Installation, still: SqliteStore) -> None:
    reference = installation.references.load(MONITOR)
    with closing(undisturbed(installation, {PARTITION: list(records_of(PARTITION, LOG, installation))}, batch=50)) as store:
        check_reserve(store, still, reference)
        store.drop_reserved(MONITOR, [each.row.id for each in store.reserve(MONITOR)][::20])
        with pytest.raises(AssertionError):
            check_reserve(store, still, reference)


def test_missing_alarm_is_noticed(still: SqliteStore) -> None:
    with closing(SqliteStore(":memory:")) as store, pytest.raises(AssertionError):
        check_alarms(store, still, alike=False)


@pytest.mark.parametrize("deliveries", [[], [("a", b"1"), ("a", b"2")], [("a", b"1"), ("b", b"1")]])
def test_wrong_deliveries_are_noticed(deliveries: Sequence[tuple[str, bytes]], tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        store.save(outbox=[OutboxItem("a", "alarm.opened", "hook", {}, created=1.0, state="delivered")])
        check_deliveries(store, Inbox(deliveries=[("a", b"1"), ("a", b"1")]))
        with pytest.raises(AssertionError):
            check_deliveries(store, Inbox(deliveries=list(deliveries)))
