"""What annotators' tools hold and have not told comes in all the same; what they hold no more is taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import annotation
from service.adapters.sqlite import SqliteStore
from service.annotation import TakenBack
from service.collecting import AFTERWARDS, Collecting, gone, newest, news
from service.errors import DeliveryError
from service.inbox import Inbox
from service.records import AnnotationBatch, BatchState, Candidate, Delivery, Label, OutboxItem, Step

NOW = 1_000.0


@dataclass
class Tool:
    """An annotators' tool that holds what it is given."""

    held: list[Label] = field(default_factory=list)
    poll_seconds: float = 60.0
    asked: list[str] = field(default_factory=list)
    failure: DeliveryError | None = None
    failing: str = ""
    """The batch that fails; '': every one."""
    meanwhile: Callable[[], object] = lambda: None
    """What goes on between the tool's answer and its arrival."""

    def deliver(self, item: OutboxItem, *, now: float) -> None: ...

    def answers(self, batches: Sequence[AnnotationBatch], *, now: float) -> Sequence[Delivery]:
        self.asked += [batch.id for batch in batches]
        if self.failure is not None and self.failing in ("", *(batch.id for batch in batches)):
            raise self.failure
        held = [(batch, tuple(label for label in self.held if label.batch == batch.id)) for batch in batches]
        self.meanwhile()
        return [Delivery(f"held-{batch.id}", batch.monitor, batch.id, labels, now, "tool") for batch, labels in held if labels]

    def close(self) -> None: ...


@dataclass
class Site:
    store: SqliteStore
    inbox: Inbox
    collecting: Collecting
    tool: Tool

    def look(self, now: float) -> dict[str, str | None]:
        """The labels after a look."""
        self.collecting.step(now)
        self.inbox.step(now)
        return {label.sample: label.label for label in self.store.labels("support")}


@pytest.fixture
def site() -> Iterator[Site]:
    with closing(SqliteStore(":memory:")) as store:
        store.save(batch("b1"))

        def take(labels: Sequence[Label], *, now: float) -> TakenBack:
            return annotation.take_back(store, labels, quota=1.0, now=now)

        inbox, tool = Inbox(store, take), Tool()
        yield Site(store, inbox, Collecting(store, lambda: {"tool": tool}, inbox), tool)


def batch(id: str, state: BatchState = BatchState.SENT, *, ended: float = 0.0, destination: str = "tool") -> AnnotationBatch:
    items = tuple(Candidate(f"s{number}", "new", 0.1, "all") for number in range(4))
    history = (Step(state, "so", ended),) if ended else ()
    return AnnotationBatch(id, "support", "c1", 1, state, items, NOW, version=1, destination=destination, history=history)


def label(sample: str, said: str = "refund", *, annotator: str = "ana", time: float = NOW) -> Label:
    return Label("support", "b1", sample, said, time, annotator)


def nobody(sample: str) -> Label:
    return label(sample, "", annotator="", time=0.0)


def test_what_the_tool_holds_comes_in_once(site: Site) -> None:
    site.tool.held = [label("s0"), nobody("s1")]
    assert site.look(NOW) == {"s0": "refund"}
    assert site.look(NOW + 61) == {"s0": "refund"}
    assert len(site.store.find(Delivery)) == 1


def test_what_its_webhook_told_is_no_news(site: Site) -> None:
    site.inbox.receive([label("s0")], source="tool", now=NOW)
    site.tool.held = [label("s0"), label("s1")]
    assert site.look(NOW + 1) == {"s0": "refund", "s1": "refund"}
    assert sorted(delivery.count for delivery in site.store.find(Delivery)) == [1, 1]


def test_changed_and_taken_back(site: Site) -> None:
    site.tool.held = [label("s0"), label("s1")]
    site.look(NOW)
    site.tool.held = [label("s0", "loan", time=NOW - 500), nobody("s1")]  # its clock is behind
    assert site.look(NOW + 61) == {"s0": "loan", "s1": "refund"}  # missing once
    assert site.look(NOW + 122) == {"s0": "loan"}
    site.tool.held = [label("s0", "loan"), label("s1", "card", time=NOW - 400)]
    assert site.look(NOW + 183) == {"s0": "loan", "s1": "card"}


def test_what_comes_while_the_tool_is_asked_is_not_taken_back(site: Site) -> None:
    site.tool.held = [nobody("s0")]
    site.tool.meanwhile = lambda: site.inbox.receive([label("s0", time=NOW + 1)], source="tool", now=NOW + 1)
    assert site.look(NOW) == {"s0": "refund"}
    site.tool.held, site.tool.meanwhile = [label("s0", time=NOW + 1)], lambda: None
    for number in range(1, 4):
        assert site.look(NOW + number * 61) == {"s0": "refund"}


def test_a_task_that_was_removed_with_its_answers_leaves_its_labels(site: Site) -> None:
    site.tool.held = [label("s0"), label("s1")]
    site.look(NOW)
    for number, held in enumerate(([label("s1")], [label("s1")], [], []), start=1):
        site.tool.held = held
        assert site.look(NOW + number * 61) == {"s0": "refund", "s1": "refund"}


def test_labels_from_elsewhere_are_not_taken_back(site: Site) -> None:
    site.inbox.receive([label("s0")], source="file", now=NOW)
    site.tool.held = [nobody("s0")]
    for number in range(3):
        assert site.look(NOW + number * 61) == {"s0": "refund"}


def test_who_is_asked_about_what_and_when(site: Site) -> None:
    site.store.save(
        batch("proposed", BatchState.PROPOSED),
        batch("elsewhere", destination="other"),
        batch("lately", BatchState.CLOSED, ended=NOW - 60),
        batch("long-ago", BatchState.CLOSED, ended=NOW - AFTERWARDS - 1),
    )
    for now in (NOW, NOW + 30, NOW + 59.9):
        site.look(now)
    assert sorted(site.tool.asked) == ["b1", "lately"]
    site.look(NOW + 60)
    assert len(site.tool.asked) == 4


def test_a_tool_that_takes_long_is_asked_less_often(site: Site) -> None:
    moments = iter([0.0, 30.0])
    slow = Collecting(site.store, lambda: {"tool": site.tool}, site.inbox, clock=lambda: next(moments, 30.0))
    for now in (NOW, NOW + 60, NOW + 299, NOW + 301):
        slow.step(now)
    assert len(site.tool.asked) == 2


def test_a_tool_that_does_not_answer_is_named_and_asked_again(site: Site) -> None:
    site.tool.failure = DeliveryError("refuses our token", retryable=False)
    site.look(NOW)
    assert site.collecting.problems == {"tool": "refuses our token"}
    site.tool.failure, site.tool.held = None, [label("s0")]
    assert site.look(NOW + 60) == {"s0": "refund"}
    assert site.collecting.problems == {}


@pytest.mark.parametrize(("retryable", "found"), [(False, {"s0": "refund"}), (True, {})])
def test_a_batch_that_can_not_be_read_holds_up_no_other(site: Site, retryable: bool, found: dict[str, str]) -> None:
    site.store.save(replace(batch("b2"), created=NOW + 1))
    site.tool.held, site.tool.failing, site.tool.failure = [label("s0")], "b2", DeliveryError("odd", retryable=retryable)
    assert site.look(NOW) == found  # a tool that can't be reached is not asked for the next one
    assert site.collecting.problems == {"tool": "odd"}


ANSWERS = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(["ana", "bo"])), st.sampled_from(["x", "y"]))


@given(st.lists(ANSWERS, min_size=1, max_size=5))
def test_after_each_look_what_is_known_is_what_is_held(looks: list[dict[tuple[str, str], str]]) -> None:
    said: list[Label] = []
    for number, answers in enumerate(looks):
        held = [label(sample, word, annotator=name, time=float(number)) for (sample, name), word in answers.items()]
        held += [nobody(sample) for sample in "abc" if sample not in {sample for sample, _ in answers}]
        said += news(newest(said), held)
        assert news(newest(said), held) == []
        missing = gone(newest(said), held)
        said += [replace(each, label="", time=each.time + 1) for each in missing.values()]
        assert gone(newest(said), held) == {}
        assert {key: each.label for key, each in newest(said).items() if not each.withdrawn} == answers
