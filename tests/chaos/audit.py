"""What is promised whatever happened, checked against the log itself: a recount of its bytes, and a run that nothing disturbed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.selection.kernel import directions
from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.app import Installation
from service.backtest import Backtest, History, differences, stored
from service.controller import Controller
from service.decoding.kafka_records import KafkaDecoder
from service.observe import Silent
from service.ports import Store
from service.records import WHOLE, Alarm, Original, Pane, Partition, Record
from service.reference import Reference
from service.worker import Worker
from tests.chaos.receiver import Inbox
from tests.chaos.site import MONITOR, Site
from tests.chaos.traffic import DIMENSION, messages

MOST = 10**6
CLOSE = 1e-4
"""Of a pane's norm: how far its sums may be from those of a run in other batches."""
MERGED = 0.02
"""Share of a reserve's rows that may differ for the near-duplicates among all."""
PLANTED = {(segment, "input") for segment in (WHOLE, "locale=en", "locale=de")}
"""Where half of the traffic turns to new topics."""


@dataclass(frozen=True, slots=True)
class Recount:
    """A partition's log as its bytes say, without the program."""

    samples: int
    """Distinct ids."""
    refused: frozenset[int]
    """Offsets that hold no sample."""
    end: int


def audit(site: Site, *, told_alike: bool = True) -> None:
    """Waits until all is read, decided and delivered. AssertionError where anything that is promised does not hold. `told_alike`: what is
    told again is told in the same words, which a state that was put back does not know any more."""
    site.settle()
    log = messages(site.kafka.bootstrap, site.topic)
    with site.opened() as installation:
        store = installation.store
        parts = {p.partition.number: p.partition for p in store.positions() if p.partition.topic == site.topic}
        records = {parts[number]: list(records_of(parts[number], found, installation)) for number, found in log.items()}
        recounts = {parts[number]: recount(found) for number, found in log.items()}
        check_progress(store, recounts)
        check_letters(store, recounts, [key for _, key in _letters(site)])
        with closing(undisturbed(installation, records)) as still:
            check_panes(store, still)
            check_reserve(store, still, installation.references.load(MONITOR))
            check_alarms(store, still, alike=len(records) == 1)
        check_replay(installation)
        if told_alike:
            check_deliveries(store, site.inbox)


def recount(found: Sequence[object]) -> Recount:
    """What a partition holds."""
    ids, refused = set(), set()
    for message in found:
        sample = _sample(message.value)  # type: ignore[attr-defined]  # the client library has no types
        if sample is None:
            refused.add(message.offset)  # type: ignore[attr-defined]  # as above
        else:
            ids.add(sample)
    return Recount(len(ids), frozenset(refused), len(found))


def undisturbed(installation: Installation, records: Mapping[Partition, Sequence[Record]], *, batch: int = 333) -> SqliteStore:
    """The same records through one worker and one controller, in memory, in batches of another size."""
    store = SqliteStore(":memory:", pool_rows={MONITOR: 1_000})
    everything = [record for part in records.values() for record in part]
    source = ListSource(everything, partitions=records, growing=True)
    worker = Worker(source, store, {MONITOR: installation.watched(MONITOR)}, Silent(), batch=batch)
    while worker.step(0.0):
        pass
    controller = Controller(installation.effective(MONITOR), installation.references.load(MONITOR), store, Silent())
    while controller.step(now=0.0):
        pass
    return store


def check_progress(store: Store, recounts: Mapping[Partition, Recount]) -> None:
    """Each partition is read to its end, nothing was passed over, and every id was taken once."""
    positions = {position.partition: position for position in store.positions() if position.partition in recounts}
    assert {p: position.offset for p, position in positions.items()} == {p: found.end for p, found in recounts.items()}
    assert {p: (position.lost, position.stopped) for p, position in positions.items()} == dict.fromkeys(positions, (0, ""))
    assert store.samples_taken(MONITOR) == sum(found.samples for found in recounts.values())


def check_panes(store: Store, still: Store) -> None:
    """Every pane, closed or open, is that of the undisturbed run; closed ones have each sequence number once."""
    panes = list(closed_panes(store))
    sequences = [pane.sequence for pane in panes]
    assert sequences == sorted(set(sequences)), "a sequence number was given twice"
    _check_alike(panes, list(closed_panes(still)))
    _check_alike(store.open_panes(MONITOR), still.open_panes(MONITOR))
    whole = [p for p in (*panes, *store.open_panes(MONITOR)) if p.key.segment == WHOLE]
    assert sum(pane.summary.count for pane in whole) == store.samples_taken(MONITOR)
    assert not list(overlaps(whole)), "two panes hold the same offsets"


def check_reserve(store: Store, still: Store, reference: Reference) -> None:
    """In each part the samples of the undisturbed run, or near-duplicates of them: which row of a group stands for the others depends on
    batches and workers, as do a few at a part's end, where one group has two."""
    assert {part: each.rows for part, each in store.reserve_parts(MONITOR).items()} == {
        part: each.rows for part, each in still.reserve_parts(MONITOR).items()
    }
    for part in still.reserve_parts(MONITOR):
        ours, theirs = (directions_of(each, part, reference) for each in (store, still))
        alike = ours @ theirs.T >= reference.duplicate
        assert min(alike.any(1).mean(), alike.any(0).mean()) >= 1 - MERGED, part


def directions_of(store: Store, part: str, reference: Reference) -> NDArray[np.float32]:
    """(n, d), of a part's rows."""
    rows = np.stack([each.row.embedding for each in store.reserve(MONITOR, part=part)]).astype(np.float32)
    return directions(rows, reference.summarizer.centre)


def closed_panes(store: Store) -> Iterator[Pane]:
    """The monitor's, in sequence order."""
    after = 0
    while entries := store.entries(MONITOR, after, 512):
        yield from (entry for entry in entries if isinstance(entry, Pane))
        after = entries[-1].sequence


def overlaps(panes: Iterable[Pane]) -> Iterator[tuple[Pane, Pane]]:
    """Neighbours that share offsets of a partition."""
    ordered = sorted(panes, key=lambda pane: (str(pane.key.partition), pane.key.first_offset))
    for before, after in pairwise(ordered):
        if before.key.partition == after.key.partition and after.key.first_offset <= before.last_offset:
            yield before, after


def check_alarms(store: Store, still: Store, *, alike: bool) -> None:
    """What was planted is alarmed for the same streams and families; in one partition (`alike`) every alarm is the same one."""
    ours, theirs = alarms_of(store), alarms_of(still)
    assert {(a.segment, a.family) for a in ours} >= PLANTED
    assert {(a.segment, a.family) for a in theirs} >= PLANTED
    if alike:
        assert [_identity(alarm) for alarm in ours] == [_identity(alarm) for alarm in theirs]
        np.testing.assert_allclose([a.effect.estimate for a in ours], [a.effect.estimate for a in theirs], rtol=1e-3)


def alarms_of(store: Store) -> Sequence[Alarm]:
    """In the order in which they opened."""
    return sorted(store.find(Alarm, monitor=MONITOR, limit=1_000), key=lambda alarm: (alarm.at_sequence, alarm.id))


def check_replay(installation: Installation) -> None:
    """The recorded log gives the recorded alarms."""
    store, history = installation.store, History.of(installation.store, MONITOR)
    load = partial(installation.references.load, MONITOR)
    replay = Backtest(installation.effective(MONITOR), load, history, as_recorded=True)
    for entries in stored(store, MONITOR, history):
        for entry in entries:
            replay.apply(entry)
    assert differences(replay, history.alarms) == []


def check_letters(store: Store, recounts: Mapping[Partition, Recount], arrived: Sequence[tuple[int, int]]) -> None:
    """What is no sample has one dead letter in the store, and arrived in its topic, perhaps more than once."""
    expected = {(partition.number, offset) for partition, found in recounts.items() for offset in found.refused}
    kept = Counter((letter.partition.number, letter.offset) for letter in store.dead_letters(limit=MOST))
    assert kept == Counter(expected)
    assert set(arrived) == expected


def check_deliveries(store: Store, inbox: Inbox) -> None:
    """Everything was delivered, or dropped for a reason, and what came repeatedly was the same each time."""
    items = store.outbox(limit=MOST)
    assert {item.state for item in items} <= {"delivered", "dropped"}
    assert all(item.error for item in items if item.state == "dropped")
    assert {item.id for item in items if item.state == "delivered"} <= set(inbox.ids) <= {item.id for item in items}
    bodies = set(inbox.deliveries)
    assert len(bodies) == len(set(inbox.ids)), "a repetition had another body"


def _check_alike(ours: Sequence[Pane], theirs: Sequence[Pane]) -> None:
    given, expected = {pane.key: pane for pane in ours}, {pane.key: pane for pane in theirs}
    assert len(given) == len(ours), "a pane was written twice"
    assert given.keys() == expected.keys()
    for key, pane in given.items():
        still = expected[key]
        assert (pane.last_offset, pane.first_time, pane.last_time) == (still.last_offset, still.first_time, still.last_time), key
        assert (pane.summary.count, dict(pane.losses)) == (still.summary.count, dict(still.losses)), key
        np.testing.assert_array_equal(pane.summary.clusters, still.summary.clusters)
        np.testing.assert_array_equal(pane.summary.novelty, still.summary.novelty)
        assert np.linalg.norm(pane.summary.sums - still.summary.sums) <= CLOSE * max(1.0, float(np.linalg.norm(still.summary.sums))), key


def _identity(alarm: Alarm) -> tuple[object, ...]:
    history = tuple((taken.state, taken.reason, taken.time) for taken in alarm.history)
    return alarm.id, alarm.segment, alarm.family, alarm.at_sample, alarm.opened, alarm.severity, history


def _sample(value: bytes | None) -> str | None:
    """The id of a record that is a sample."""
    try:
        document = msgspec.json.decode(value or b"")
        return str(document["id"]) if len(document["vector"]) == DIMENSION else None
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError):
        return None


def records_of(partition: Partition, found: Sequence[object], installation: Installation) -> Iterator[Record]:
    """As the program decodes them."""
    decoder = KafkaDecoder(installation.settings.monitors, None)
    for message in found:
        original = Original(message.key, message.value, tuple(message.headers), message.timestamp / 1000)  # type: ignore[attr-defined]  # as above
        items = decoder.decode(partition.topic, original)
        yield Record(partition, message.offset, original.time, items, original)  # type: ignore[attr-defined]  # as above


def _letters(site: Site) -> Iterator[tuple[str, tuple[int, int]]]:
    """(topic, (partition, offset)) of each record of the dead-letter topic, as its headers say."""
    for found in messages(site.kafka.bootstrap, site.letters).values():
        for message in found:
            headers = {name: value.decode() for name, value in message.headers}
            place = int(headers["__connect.errors.partition"]), int(headers["__connect.errors.offset"])
            yield headers["__connect.errors.topic"], place
