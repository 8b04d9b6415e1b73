"""What a Store promises to those who open refresh cycles: of several at the same moment one does, whatever the others have read."""

from __future__ import annotations

import threading
from dataclasses import replace

from service import annotation, refresh
from service.annotation import errands
from service.errors import ConflictError
from service.records import AnnotationBatch, Candidate, Label, Purpose, RefreshCycle, RefreshSlot
from service.settings import MonitorSettings
from tests.contract.stored import Opener, item

SETTINGS = MonitorSettings.model_validate(
    {"name": "chat", "embedder": {"model": "m.onnx"}, "annotation": {"destination": "vendor"}, "notify": ["vendor"]}
)
CANDIDATES = [Candidate(f"s{i}", "new", 0.1, "all") for i in range(3)]
AT_ONCE = 6


def test_news_of_nothing_that_changed_leave_once_and_as_they_were_told_first(open_store: Opener) -> None:
    store, told = open_store(), item("news")
    store.save(outbox=[told])
    store.settle(replace(told, state="delivered", attempts=1))
    store.save(outbox=[told, item("more")])
    assert {(each.id, each.state) for each in store.outbox()} == {("news", "delivered"), ("more", "pending")}


def test_what_is_to_become_of_answers_is_kept_with_the_batch_and_done_once(open_store: Opener) -> None:
    store, taken = open_store(), list[str]()
    items = [replace(each, purpose=Purpose.TOP_UP) for each in CANDIDATES]
    refresh.ask(store, annotation.propose_apart("apart", "chat", 1, items, now=1.0), SETTINGS, now=1.0)
    for sample in ("s0", "s1"):  # the second one late
        annotation.take_back(store, [Label("chat", "apart", sample, "refund", 3.0, "ana")], quota=0.3, now=3.0)
        for _ in range(2):
            errands.run(store, Purpose.TOP_UP, lambda batch: taken.append(batch.id), monitors=["chat"])
    assert taken == ["apart", "apart"]
    assert errands.run(store, Purpose.REVIEW, lambda batch: taken.append(batch.id), monitors=["chat"]) == 0


def test_of_cycles_that_open_at_once_one_does(open_store: Opener) -> None:
    store, start, opened, refused = open_store(), threading.Barrier(AT_ONCE), list[str](), list[str]()

    def attempt(number: int) -> None:
        start.wait(30)
        try:
            opened.append(refresh.start(store, refresh.Opening("chat", 1, f"ana {number}"), CANDIDATES, SETTINGS, now=1.0).id)
        except ConflictError as error:
            refused.append(str(error))

    for turn in (1, 2):
        threads = [threading.Thread(target=attempt, args=(10 * turn + number,)) for number in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(opened), len(refused)) == (turn, turn * (AT_ONCE - 1))
        assert store.get(RefreshSlot, "chat").cycle == opened[-1]
        assert [cycle.id for cycle in store.find(RefreshCycle, states=refresh.OPEN)] == [opened[-1]]
        assert len(store.outbox()) == 2 * turn - 1  # a batch each, and the first one is called back
        assert len(store.find(AnnotationBatch)) == turn
        if turn == 1:
            refresh.cancel(store, opened[0], actor="ana", now=2.0)
