"""What a batch leaves for labels that come later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.observe import Silent
from service.records import Output, Partition, Record, Request, Response, Sample
from service.truth import answers
from service.worker import Worker

if TYPE_CHECKING:
    from tests.service.conftest import MakeMonitor

PARTITION = Partition("ingest", "t1")
REFUND = Output("refund", (0.75, 0.25))


def worked(monitor: object, *items: object, name: str = "chat") -> SqliteStore:
    """A store after a worker has taken these, one a record."""
    store = SqliteStore(":memory:")
    records = [Record(PARTITION, n, 100.0 + n, (item,)) for n, item in enumerate(items)]  # type: ignore[arg-type]  # items of any kind
    worker = Worker(ListSource(records), store, {name: monitor}, Silent())  # type: ignore[dict-item]  # what the fixture makes
    while not worker.ended:
        worker.step(0.0)
    return store


def test_answers_are_kept_with_what_is_known_of_their_samples(
    make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]
) -> None:
    samples = [
        Sample("chat", f"s{n}", 5.0, vector(n), {"locale": "de"} if n else {"plan": "pro"}, REFUND if n < 2 else None) for n in range(3)
    ]
    found = worked(make_monitor(), *samples).answers("chat", ["s0", "s1", "s2"])
    assert set(found) == {"s0", "s1"}, "the model answered to no other"
    assert (found["s1"].predicted, found["s1"].confidence, found["s1"].time, found["s1"].reference_version) == ("refund", 0.75, 101.0, 1)
    assert (dict(found["s1"].segments), found["s1"].streams) == ({"locale": "de"}, ("locale=de",))
    assert (dict(found["s0"].segments), found["s0"].streams) == ({"plan": "pro"}, ("locale=__other__",))
    assert found["s0"].cluster >= 0


def test_an_answer_that_comes_as_a_response_is_kept_too(make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]) -> None:
    monitor = make_monitor(kserve={"service": "chat"})
    request = Request("chat", "ev", (Sample("chat", "ev/0", 5.0, vector(0)),))
    found = worked(monitor, request, Response("chat", "ev", (REFUND,))).answers("chat", ["ev/0"])
    assert found["ev/0"].predicted == "refund"


def test_without_a_reference_answers_are_kept_for_the_report(
    make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]
) -> None:
    found = worked(make_monitor(version=None), Sample("chat", "s0", 5.0, vector(0), {"locale": "de"}, REFUND)).answers("chat", ["s0"])
    assert (found["s0"].reference_version, found["s0"].cluster, found["s0"].streams) == (0, -1, ())


def test_none_are_kept_where_none_are_wanted(make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]) -> None:
    monitor = make_monitor(truth={"keep_answers": 0})
    assert worked(monitor, Sample("chat", "s0", 5.0, vector(0), {}, REFUND)).answers("chat", ["s0"]) == {}


def test_a_sample_that_brings_its_label_is_judged_at_once(make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]) -> None:
    monitor = make_monitor(classes=["refund", "cancel"])
    given = [("s0", "refund", REFUND), ("s1", "cancel", REFUND), ("s2", "refund", None), ("s3", "refnud", REFUND)]
    store = worked(monitor, *(Sample("chat", sample, 5.0, vector(n), {}, output, label) for n, (sample, label, output) in enumerate(given)))
    found = store.judgements("chat")
    assert [(each.sample, each.right, each.time, each.told) for each in found] == [("s0", True, 100.0, 100.0), ("s1", False, 101.0, 101.0)]
    assert len(store.untold("chat", 10).judgements) == 2


def test_a_large_batch_is_several_blocks(make_monitor: MakeMonitor, vector: Callable[[int], NDArray[np.float32]]) -> None:
    size = answers.LARGEST + 5
    record = Record(PARTITION, 0, 100.0, tuple(Sample("chat", f"s{n}", 5.0, vector(0), {}, REFUND) for n in range(size)))
    store = SqliteStore(":memory:")
    worker = Worker(ListSource([record]), store, {"chat": make_monitor()}, Silent())
    worker.step(0.0)
    assert len(store.answers("chat", [f"s{n}" for n in range(size)])) == size
