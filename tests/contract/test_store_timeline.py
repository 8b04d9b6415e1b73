"""The timeline of a stream: passages add up with the decisions, and a bounded number of each level stays: in both stores."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.ports import Store
from service.records import LEVELS, WHOLE, Decision, Event, Measured, Passage
from service.timeline import merged
from tests.contract.stored import Opener

MINUTE, KEPT = LEVELS[1]


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


def passage(start: float, evidence: float, *, samples: int = 10, segment: str = WHOLE) -> Passage:
    effect = Measured(0.1 * evidence, 0.05 * evidence, 0.3)
    return Passage(segment, MINUTE, start, samples, evidence, 3.25, effect, 2)


def decide(store: Store, sequence: int, *passages: Passage, monitor: str = "chat") -> None:
    store.record_event(Event(f"{monitor}{sequence}", monitor, "note", 1.0, "ada"))
    store.decide(Decision(monitor, sequence - 1, sequence, timeline=passages))


def test_a_passage_adds_up_and_shows_its_strongest_evidence(store: Store) -> None:
    parts = [passage(60.0, 1 / 3), passage(60.0, 2 / 3, samples=5), passage(60.0, 0.5, samples=2)]
    for number, part in enumerate(parts, 1):
        decide(store, number, part)
    assert store.timeline("chat", WHOLE, MINUTE) == [merged(merged(parts[0], parts[1]), parts[2])]
    assert store.timeline("chat", WHOLE, MINUTE)[0].samples == 17


def test_streams_levels_and_monitors_are_apart_and_the_newest_are_asked_for(store: Store) -> None:
    decide(store, 1, passage(120.0, 1.0), passage(60.0, 2.0), passage(60.0, 3.0, segment="locale=de"))
    decide(store, 1, passage(60.0, 4.0), monitor="other")
    assert [each.start for each in store.timeline("chat", WHOLE, MINUTE)] == [60.0, 120.0]
    assert [each.start for each in store.timeline("chat", WHOLE, MINUTE, limit=1)] == [120.0]
    assert [each.evidence for each in store.timeline("chat", "locale=de", MINUTE)] == [3.0]
    assert [each.evidence for each in store.timeline("other", WHOLE, MINUTE)] == [4.0]
    assert store.timeline("chat", WHOLE, LEVELS[2][0]) == store.timeline("nobody", WHOLE, MINUTE) == []


def test_of_each_level_the_newest_stay_and_what_comes_late_and_older_goes(store: Store) -> None:
    decide(store, 1, *(passage(MINUTE * number, 1.0) for number in range(KEPT + 5)))
    found = store.timeline("chat", WHOLE, MINUTE)
    assert [each.start for each in found] == [MINUTE * number for number in range(5, KEPT + 5)]
    decide(store, 2, passage(MINUTE * 2, 9.0), passage(MINUTE * 5, 7.0))
    assert [each.start for each in store.timeline("chat", WHOLE, MINUTE)] == [each.start for each in found]
    assert store.timeline("chat", WHOLE, MINUTE)[0].evidence == 7.0


def test_a_decision_that_is_overtaken_adds_nothing(store: Store) -> None:
    decide(store, 1, passage(60.0, 1.0))
    with pytest.raises(ConflictError):
        store.decide(Decision("chat", 0, 1, timeline=(passage(60.0, 5.0),)))
    assert [each.evidence for each in store.timeline("chat", WHOLE, MINUTE)] == [1.0]


def test_what_is_not_known_is_kept_as_such(store: Store) -> None:
    decide(store, 1, Passage(WHOLE, MINUTE, 0.0, 1, 0.0, 3.0, Measured(math.nan, math.nan, math.nan), 1))
    assert math.isnan(store.timeline("chat", WHOLE, MINUTE)[0].effect.low)


def test_what_nobody_reads_goes_with_the_checkpoints(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as store, closing(sqlite3.connect(tmp_path / "state.db")) as looking:
        for number in range(4):
            store.record_event(Event(f"e{number}", "chat", "note", 1.0, "ada"))
            passages = tuple(passage(MINUTE * (KEPT * number + each), 1.0) for each in range(KEPT))
            store.decide(Decision("chat", number, number + 1, timeline=passages, checkpoint=b"state" if number % 2 else None))
        assert looking.execute("SELECT count(*), min(start) FROM timeline").fetchone() == (KEPT, 3 * KEPT * MINUTE)
