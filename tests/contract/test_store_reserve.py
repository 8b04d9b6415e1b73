"""What every Store promises of a monitor's reserve: the largest keys of each part stay, in whatever order they come."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import ConflictError
from service.ports import Store
from service.records import Partition, Reservation, Reserved, ReservedPart
from tests.contract.stored import PARTITION, Opener, pooled, step

QUOTAS = {"uniform": 3, "drift": 2}
HALF_LIFE = 100.0
MONITORS = itertools.count()


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


def reserved(number: int, keys: Mapping[str, float], *, twin: str = "", at: float = 0.0, monitor: str = "chat") -> Reserved:
    return Reserved(pooled(number, monitor=monitor), keys, at, twin=twin)


def reservation(*rows: Reserved, quotas: Mapping[str, int] = QUOTAS, half_life: float = HALF_LIFE, monitor: str = "chat") -> Reservation:
    return Reservation(monitor, rows, quotas, half_life)


def held(store: Store, part: str | None = None) -> dict[str, tuple[dict[str, float], int]]:
    """Sample → (keys, count)."""
    return {each.row.id: (dict(each.keys), each.count) for each in store.reserve("chat", part=part)}


def test_a_reserve_begins_empty(store: Store) -> None:
    assert (list(store.reserve("chat")), dict(store.reserve_parts("chat")), store.drop_reserved("chat", ["s1"])) == ([], {}, 0)


def test_a_reserved_sample_comes_back_as_it_was(store: Store) -> None:
    given = replace(reserved(1, {"uniform": 1.5, "segment:locale=de": -2.5}, at=7.0), count=4)
    assert store.keep_reserved(reservation(given)) == 1

    (found,) = store.reserve("chat")
    assert (dict(found.keys), found.at, found.count, found.twin) == (given.keys, 7.0, 4, "")
    row, expected = found.row, given.row
    np.testing.assert_array_equal(row.embedding, expected.embedding)
    for name in ("monitor", "id", "time", "partition", "offset", "payload", "segments", "output", "label", "novelty", "reference_version"):
        assert getattr(row, name) == getattr(expected, name), name


def test_the_largest_keys_of_each_part_stay_and_a_row_in_no_part_goes(store: Store) -> None:
    rows = [reserved(n, {"uniform": float(n), "drift": -float(n)}) for n in range(6)]
    assert store.keep_reserved(reservation(*rows)) == 5

    assert held(store) == {
        "s0": ({"drift": 0.0}, 1),
        "s1": ({"drift": -1.0}, 1),
        **{f"s{n}": ({"uniform": float(n)}, 1) for n in (3, 4, 5)},
    }
    assert list(held(store, "drift")) == ["s0", "s1"]
    assert store.reserve_parts("chat") == {"drift": ReservedPart(2, -1.0, HALF_LIFE), "uniform": ReservedPart(3, 3.0, HALF_LIFE)}


def test_a_commit_reserves_or_changes_nothing(store: Store) -> None:
    zombie = store.assign(PARTITION)
    store.commit(step(store.assign(PARTITION), reserved=(reservation(reserved(1, {"uniform": 1.0})),)))

    with pytest.raises(ConflictError):
        store.commit(step(zombie, reserved=(reservation(reserved(2, {"uniform": 2.0})),)))
    assert list(held(store)) == ["s1"]


def test_monitors_have_reserves_of_their_own(store: Store) -> None:
    store.keep_reserved(reservation(reserved(1, {"uniform": 1.0})))
    store.keep_reserved(reservation(reserved(1, {"uniform": 5.0}, monitor="other"), monitor="other"))

    assert held(store) == {"s1": ({"uniform": 1.0}, 1)}
    assert store.drop_reserved("other", ["s1"]) == 1
    assert held(store) == {"s1": ({"uniform": 1.0}, 1)}


def test_what_becomes_known_of_a_sample_is_learnt_and_not_forgotten(store: Store) -> None:
    plain = pooled(1, payload=None)
    store.keep_reserved(reservation(Reserved(plain, {"uniform": 1.0}, 0.0)))
    newer = replace(plain, label="refund", payload="hello", reference_version=2, novelty=0.9, embedding=np.ones(6, np.float16))
    store.keep_reserved(reservation(Reserved(newer, {"failure": 3.0}, 5.0), quotas={"failure": 9}))
    store.keep_reserved(reservation(Reserved(plain, {"uniform": 0.5}, 0.0)))

    (found,) = store.reserve("chat")
    assert (dict(found.keys), found.at, found.count) == ({"uniform": 1.0, "failure": 3.0}, 5.0, 1)
    row = found.row
    assert (row.label, row.payload, row.reference_version, row.novelty, row.embedding.tolist()) == ("refund", "hello", 2, 0.9, [1.0] * 6)


def test_a_twin_raises_the_count_and_the_keys_of_the_one_that_stands_for_it(store: Store) -> None:
    store.keep_reserved(reservation(reserved(1, {"uniform": 1.0}), reserved(2, {"uniform": 0.5})))
    store.keep_reserved(reservation(reserved(3, {"uniform": 4.0, "drift": 1.0}, twin="s1"), reserved(4, {"uniform": 0.0}, twin="s1")))

    assert held(store) == {"s1": ({"uniform": 4.0, "drift": 1.0}, 3), "s2": ({"uniform": 0.5}, 1)}


def test_a_twin_of_one_that_has_gone_stands_in_for_it(store: Store) -> None:
    store.keep_reserved(reservation(reserved(3, {"uniform": 4.0}, twin="s1")))

    store.keep_reserved(reservation(reserved(4, {"uniform": 3.0, "drift": 1.0}, twin="s1")))

    assert held(store) == {"s3": ({"uniform": 4.0, "drift": 1.0}, 2)}
    store.drop_reserved("chat", ["s3"])
    store.keep_reserved(reservation(reserved(5, {"uniform": 3.0}, twin="s1")))
    assert held(store) == {"s5": ({"uniform": 3.0}, 1)}


def test_samples_are_taken_out_of_a_part_or_altogether(store: Store) -> None:
    store.keep_reserved(reservation(reserved(1, {"uniform": 1.0, "drift": 2.0}), reserved(2, {"drift": 1.0})))

    assert store.drop_reserved("chat", ["s1", "s2", "s9"], part="uniform") == 1
    assert held(store) == {"s1": ({"drift": 2.0}, 1), "s2": ({"drift": 1.0}, 1)}
    assert store.drop_reserved("chat", ["s1"], part="drift") == 1
    assert store.drop_reserved("chat", ["s2"]) == 1
    assert held(store) == {}
    assert dict(store.reserve_parts("chat")) == {}


def test_a_part_that_lost_its_room_goes(store: Store) -> None:
    store.keep_reserved(reservation(*(reserved(n, {"uniform": float(n), "segment:locale=de": float(n)}) for n in range(3))))
    store.keep_reserved(reservation(quotas={"segment:locale=de": 0, "uniform": 1}))

    assert held(store) == {"s2": ({"uniform": 2.0}, 1)}


def test_another_half_life_leaves_old_and_new_rows_comparable(store: Store) -> None:
    rate = math.log(2) / HALF_LIFE
    store.keep_reserved(reservation(*(reserved(n, {"uniform": 1000 * n * rate - n}, at=1000.0 * n) for n in (1, 2))))
    store.keep_reserved(reservation(half_life=HALF_LIFE / 2))
    assert store.reserve_parts("chat")["uniform"].half_life == HALF_LIFE / 2

    found = {sample: keys["uniform"] for sample, (keys, _) in held(store).items()}
    assert found == pytest.approx({"s1": 2000 * rate - 1, "s2": 4000 * rate - 2})


def test_the_payloads_of_a_reserve_are_bounded_in_bytes(open_store: Opener) -> None:
    store = open_store(pool_bytes=10)
    for n in range(4):
        store.keep_reserved(reservation(reserved(n, {"uniform": -float(n)}, at=float(n)), quotas={"uniform": 9}))

    assert [each.row.payload for each in store.reserve("chat")] == [None, None, "hello", "hello"]


@given(given=st.lists(st.lists(st.integers(0, 24), max_size=8), max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_split_and_repetition_leaves_the_same_rows(open_store: Opener, given: Sequence[Sequence[int]]) -> None:
    """Batches of samples by way of two partitions and of no partition, against the largest keys of all that ever came."""
    store, monitor = open_store(), f"m{next(MONITORS)}"
    keys = {n: {"uniform": float(u), "drift": float(d)} for n, (u, d) in enumerate(np.random.default_rng(7).normal(size=(25, 2)))}
    partitions = [Partition("http", "topic-1", number) for number in (0, 1)]
    for turn, numbers in enumerate(given):
        coming = reservation(*(reserved(n, keys[n], monitor=monitor) for n in numbers), monitor=monitor)
        if turn % 3 == 2:
            store.keep_reserved(coming)
        else:
            store.commit(step(store.assign(partitions[turn % 3]), reserved=(coming,)))

    came = {n for numbers in given for n in numbers}
    expected = dict[str, dict[str, float]]()
    for part, quota in QUOTAS.items():
        for n in sorted(came, key=lambda n: -keys[n][part])[:quota]:
            expected.setdefault(f"s{n}", {})[part] = keys[n][part]
    assert {each.row.id: dict(each.keys) for each in store.reserve(monitor)} == expected
    assert {each.count for each in store.reserve(monitor)} <= {1}
