"""Where partitions are read on: shown with their lag, and set by a person's word that every monitor's log keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import InputError, NotFoundError, UnavailableError
from service.ledger import OFFSETS, keep
from service.offsets import Offsets, readers
from service.ports import Bounds
from service.records import Event, Original, Partition
from service.settings import BudgetSettings, EmbedderSettings, KafkaSettings, MonitorSettings, TopicSettings

CHATS = Partition("chats", "new", 0)
FORMER = Partition("chats", "old", 0)


class KnownTopics:
    """One topic of one partition with offsets 100 to 200, a second between two records from 1,000 on."""

    def find(self, topic: str, number: int) -> Partition:
        if (topic, number) != ("chats", 0):
            raise NotFoundError("no such partition")
        return CHATS

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - there is one
        return Bounds(100, 200, 100)

    def at(self, partition: Partition, moment: float) -> int:  # noqa: ARG002 - there is one
        return 100 + int(moment - 1_000)

    def write(self, topic: str, original: Original) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class SilentTopics(KnownTopics):
    """Of brokers that are away."""

    asked = 0

    def find(self, topic: str, number: int) -> Partition:  # noqa: ARG002 - the port's signature
        self.asked += 1
        raise UnavailableError("nobody answers")


def monitor(name: str, topic: str | None) -> MonitorSettings:
    embedder = EmbedderSettings(input="none", dimension=4)
    return MonitorSettings(name=name, embedder=embedder, topic=TopicSettings(name=topic) if topic else None)


MONITORS = (monitor("one", "chats"), monitor("two", "chats"), monitor("other", None))
KAFKA = KafkaSettings(brokers=("localhost:9092",))


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@pytest.fixture
def offsets(store: SqliteStore) -> Offsets:
    return Offsets(store, KnownTopics(), readers(MONITORS, KAFKA))


def test_who_reads_what() -> None:
    on_kafka, embedded = readers(MONITORS, KAFKA), readers(MONITORS, None)
    assert on_kafka("chats") == ["one", "two"]
    assert on_kafka("driftgate-ingest") == ["one", "two", "other"]
    assert on_kafka("elsewhere") == []
    assert embedded("http") == ["one", "two", "other"]


def test_a_partition_is_shown_with_what_is_left_of_it(store: SqliteStore, offsets: Offsets) -> None:
    store.assign(CHATS, start=150)
    (place,) = offsets.shown()
    assert (place.end, place.lag) == (200, 50)
    store.assign(FORMER, start=7)
    shown = {place.position.partition: (place.end, place.lag) for place in offsets.shown()}
    assert shown == {CHATS: (200, 50), FORMER: (None, None)}
    absent = {place.position.partition: place.absent for place in offsets.shown()}
    assert absent == {CHATS: "", FORMER: "gone"}


def test_a_topic_that_is_not_found_is_shown_as_such(store: SqliteStore, offsets: Offsets) -> None:
    store.assign(Partition("lost", "id", 0))
    (place,) = offsets.shown()
    assert (place.end, place.absent, offsets.silent) == (None, "not found", "")


def test_without_brokers_positions_are_shown_after_one_question(store: SqliteStore) -> None:
    topics = SilentTopics()
    offsets = Offsets(store, topics, readers(MONITORS, KAFKA))
    store.assign(CHATS, start=150)
    store.assign(Partition("more", "id", 0), start=3)
    assert [(place.position.offset, place.end, place.absent) for place in offsets.shown()] == [(150, None, ""), (3, None, "")]
    assert (offsets.silent, topics.asked) == ("nobody answers", 1)
    assert offsets.topics() == ["chats", "more"]


@pytest.mark.parametrize(
    ("to", "offset"), [("earliest", 100), ("latest", 200), ("160", 160), ("100", 100), ("200", 200), ("1970-01-01T00:17:10Z", 130)]
)
def test_a_reset_is_kept_by_every_monitor_that_reads_the_topic(store: SqliteStore, offsets: Offsets, to: str, offset: int) -> None:
    store.assign(CHATS, start=150)
    found = offsets.reset("chats", 0, to, actor="ana", now=5.0)
    assert found.offset == offset
    for name in ("one", "two"):
        (event,) = store.events(name)
        body = {"partition": str(CHATS), "from": 150, "to": offset, "asked": to}
        assert replace(event, id="", sequence=0) == Event("", name, OFFSETS, 5.0, "ana", str(CHATS), body)
    assert not store.events("other")
    (entry,) = keep(store, ["one"], BudgetSettings(), weeks=60).entries
    assert (entry.what, entry.says) == ("offsets", f"{CHATS} is read on at offset {offset}, instead of 150 [ana]")


def test_a_successor_that_was_never_read_begins_where_a_person_says(store: SqliteStore, offsets: Offsets) -> None:
    store.assign(FORMER, start=7)
    assert offsets.reset("chats", 0, "120", actor="ana", now=5.0).partition == CHATS
    retired = {position.partition: position.retired for position in store.positions()}
    assert retired == {CHATS: False, FORMER: True}


@pytest.mark.parametrize("to", ["99", "201", "yesterday", "-1", ""])
def test_an_offset_that_the_log_does_not_hold_is_refused(store: SqliteStore, offsets: Offsets, to: str) -> None:
    store.assign(CHATS, start=150)
    with pytest.raises(InputError):
        offsets.reset("chats", 0, to, actor="ana", now=5.0)
    assert not store.events("one")


def test_unknown_topics_and_partitions_are_refused(offsets: Offsets) -> None:
    with pytest.raises(NotFoundError, match="no monitor reads topic 'elsewhere'"):
        offsets.reset("elsewhere", 0, "0", actor="ana", now=5.0)
    with pytest.raises(NotFoundError):
        offsets.reset("chats", 9, "0", actor="ana", now=5.0)


def test_the_embedded_log_takes_an_offset_only(store: SqliteStore) -> None:
    offsets, log = Offsets(store, None, readers(MONITORS, None)), Partition("http", "1")
    store.assign(log)
    assert offsets.reset("http", 0, "12", actor="ana", now=5.0).offset == 12
    assert [place.lag for place in offsets.shown()] == [None]
    with pytest.raises(InputError, match="takes an offset"):
        offsets.reset("http", 0, "latest", actor="ana", now=5.0)
    with pytest.raises(NotFoundError, match="was never read; there are: http/1/0"):
        offsets.reset("http", 3, "12", actor="ana", now=5.0)
