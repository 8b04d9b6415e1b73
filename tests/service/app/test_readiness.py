"""When a worker counts as ready."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.app.roles import _partitions
from service.records import Partition

CHAT = Partition("chat", "topic-1", 0)


@pytest.mark.parametrize(
    ("partitions", "stopped", "spare", "waits_for"),
    [
        ((CHAT,), {}, False, ""),
        ((), {}, False, "no partition"),
        ((), {}, True, ""),
        ((CHAT,), {CHAT: "the log was cut"}, False, "the log was cut"),
        ((), {CHAT: "the log was cut"}, True, "the log was cut"),
    ],
)
def test_a_worker_is_ready_with_partitions_or_where_there_are_none_for_it(
    partitions: tuple[Partition, ...], stopped: dict[Partition, str], spare: bool, waits_for: str
) -> None:
    worker: Any = SimpleNamespace(partitions=partitions, stopped=stopped)
    found = _partitions(worker, lambda: spare)
    assert waits_for in found
    assert bool(found) == bool(waits_for)
