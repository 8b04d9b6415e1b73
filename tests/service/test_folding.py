from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.summarizer import Described, Summarizer
from service.folding import Folder, PaneRules
from service.records import WHOLE, Pane, Partition

LOG = Partition("chat.jsonl", "f00d")
EN: Mapping[str, str] = {"locale": "en"}


@pytest.fixture
def rules(summarizer: Summarizer) -> PaneRules:
    return rules_of(summarizer)


def rules_of(summarizer: Summarizer, monitor: str = "chat", version: int = 1) -> PaneRules:
    return PaneRules(monitor, version, summarizer, 4, 60.0, {"locale": {"en": "locale=en", "de": "locale=de"}})


def described(summarizer: Summarizer, rows: int) -> Described:
    return summarizer.describe(np.random.default_rng(rows).normal(size=(rows, summarizer.dimension)).astype(np.float32))


def fold(folder: Folder, rules: PaneRules, times: list[float], *, per_record: int = 1, start: int = 0) -> int:
    """Records at these times, each with samples of one locale; returns how many rows they took."""
    row = 0
    for offset, time in enumerate(times, start=start):
        folder.advance(offset, time)
        for _ in range(per_record):
            folder.add(rules, EN, row)
            row += 1
        folder.settle()
    return row


def shown(panes: tuple[Pane, ...]) -> list[tuple[str, int, int, int]]:
    return [(pane.key.segment, pane.key.first_offset, pane.last_offset, pane.summary.count) for pane in panes]


@pytest.mark.parametrize(
    ("tags", "segment"),
    [
        ({"locale": "de"}, "locale=de"),
        ({"locale": "fr"}, "locale=__other__"),
        ({}, "locale=__other__"),
        ({"city": "Rome"}, "locale=__other__"),
    ],
)
def test_values_the_reference_does_not_know_and_missing_tags_are_other(rules: PaneRules, tags: dict[str, str], segment: str) -> None:
    assert rules.segments(tags) == [WHOLE, segment]


def test_closes_after_the_record_that_fills_it(summarizer: Summarizer, rules: PaneRules) -> None:
    folder = Folder(LOG, time=0.0)
    rows = fold(folder, rules, [1.0, 2.0], per_record=3)
    closed, touched = folder.collect({"chat": described(summarizer, rows)})
    assert shown(closed) == [(WHOLE, 0, 1, 6), ("locale=en", 0, 1, 6)]
    assert touched == ()


def test_the_next_record_closes_what_its_time_passes_in_order_of_segment(summarizer: Summarizer, rules: PaneRules) -> None:
    folder = Folder(LOG, time=0.0)
    rows = fold(folder, rules, [100.0, 160.0, 160.5])
    closed, touched = folder.collect({"chat": described(summarizer, rows)})
    assert shown(closed) == [(WHOLE, 0, 1, 2), ("locale=en", 0, 1, 2)]
    assert shown(touched) == [(WHOLE, 2, 2, 1), ("locale=en", 2, 2, 1)]
    assert (closed[0].first_time, closed[0].last_time) == (100.0, 160.0)


def test_any_record_closes_the_late_panes_of_every_monitor(summarizer: Summarizer, rules: PaneRules) -> None:
    folder = Folder(LOG, time=0.0)
    rows = fold(folder, rules, [1.0])
    folder.collect({"chat": described(summarizer, rows)})
    folder.advance(1, 99.0)
    folder.settle()
    closed, touched = folder.collect({})
    assert shown(closed) == [(WHOLE, 0, 0, 1), ("locale=en", 0, 0, 1)]
    assert touched == ()


def test_a_clock_that_leaps_ahead_only_stops_closing_by_time(summarizer: Summarizer, rules: PaneRules) -> None:
    folder = Folder(LOG, time=0.0)
    rows = fold(folder, rules, [1.0, 1e9, 500.0, float("nan"), 900.0, 1000.0])
    closed, _ = folder.collect({"chat": described(summarizer, rows)})
    assert shown(closed)[::2] == [(WHOLE, 0, 0, 1), (WHOLE, 1, 4, 4)]
    assert closed[-1].last_time == 1e9


def test_a_stored_pane_of_another_reference_closes_as_it_stands(summarizer: Summarizer, rules: PaneRules) -> None:
    folder = Folder(LOG, time=0.0)
    rows = fold(folder, rules, [1.0])
    _, touched = folder.collect({"chat": described(summarizer, rows)})
    later = Folder(LOG, time=1.0)
    for pane in touched:
        later.restore(pane, rules_of(summarizer, version=2))
    closed, _ = later.collect({})
    assert [pane.key for pane in closed] == [pane.key for pane in touched]


def test_close_takes_one_monitor_only(summarizer: Summarizer, rules: PaneRules) -> None:
    folder, mail = Folder(LOG, time=0.0), rules_of(summarizer, "mail")
    fold(folder, rules, [1.0])
    fold(folder, mail, [1.0])
    folder.close("mail")
    each = described(summarizer, 1)
    closed, touched = folder.collect({"chat": each, "mail": each})
    assert {pane.key.monitor for pane in closed} == {"mail"}
    assert {pane.key.monitor for pane in touched} == {"chat"}


def test_what_filled_a_pane_just_before_it_was_closed_is_forgotten_with_it(summarizer: Summarizer, rules: PaneRules) -> None:
    folder = Folder(LOG, time=0.0)
    folder.advance(0, 1.0)
    for row in range(4):
        folder.add(rules, EN, row)
    folder.close("chat")
    folder.advance(1, 2.0)
    folder.add(rules, EN, 4)
    folder.settle()
    closed, touched = folder.collect({"chat": described(summarizer, 5)})
    assert shown(closed) == [(WHOLE, 0, 0, 4), ("locale=en", 0, 0, 4)]
    assert shown(touched) == [(WHOLE, 1, 1, 1), ("locale=en", 1, 1, 1)]


def test_rows_are_summed_where_they_belong(summarizer: Summarizer, rules: PaneRules) -> None:
    rows = described(summarizer, 3)
    folder = Folder(LOG, time=0.0)
    for row, locale in enumerate(["en", "de", "en"]):
        folder.advance(row, 0.0)
        folder.add(rules, {"locale": locale}, row)
        folder.settle()
    _, touched = folder.collect({"chat": rows})
    expected = {WHOLE: [0, 1, 2], "locale=en": [0, 2], "locale=de": [1]}
    for pane in touched:
        want = summarizer.summarize(rows, np.array(expected[pane.key.segment]))
        np.testing.assert_array_equal(pane.summary.sums, want.sums)
        np.testing.assert_array_equal(pane.summary.clusters, want.clusters)


STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 5.0, 61.0, -30.0]), st.lists(st.sampled_from(["en", "de", "fr"]), max_size=6)), max_size=25
)


@given(steps=STEPS, cuts=st.sets(st.integers(0, 25)), restarts=st.booleans())
def test_batches_and_restarts_change_no_pane(
    summarizer: Summarizer,
    vector: Callable[[int], NDArray[np.float32]],
    steps: list[tuple[float, list[str]]],
    cuts: set[int],
    restarts: bool,
) -> None:
    whole = replayed(summarizer, vector, steps, set(), restarts=False)
    parts = replayed(summarizer, vector, steps, cuts, restarts=restarts)
    assert [(p.key, p.last_offset, p.first_time, p.last_time, p.summary.count) for p in whole] == [
        (p.key, p.last_offset, p.first_time, p.last_time, p.summary.count) for p in parts
    ]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.summary.sums, other.summary.sums, atol=1e-4)
        np.testing.assert_array_equal(one.summary.clusters, other.summary.clusters)


def replayed(
    summarizer: Summarizer,
    vector: Callable[[int], NDArray[np.float32]],
    steps: list[tuple[float, list[str]]],
    cuts: set[int],
    *,
    restarts: bool,
) -> list[Pane]:
    """All panes of a log: it is cut into batches, and at each cut the folder may be made anew from what the store was told."""
    rules = rules_of(summarizer)
    folder, closed, stored, rows = Folder(LOG, time=0.0), list[Pane](), dict[str, Pane](), list[NDArray[np.float32]]()
    time, number = 100.0, 0

    def commit() -> None:
        batch = {"chat": summarizer.describe(np.stack(rows))} if rows else {}
        done, touched = folder.collect(batch)
        closed.extend(done)
        stored.update({pane.key.segment: pane for pane in touched})
        for pane in done:
            if pane.key.segment in stored and stored[pane.key.segment].key == pane.key:
                del stored[pane.key.segment]
        rows.clear()

    for offset, (step, locales) in enumerate(steps):
        time += step
        folder.advance(offset, time)
        for locale in locales:
            folder.add(rules, {"locale": locale}, len(rows))
            rows.append(vector(number))
            number += 1
        folder.settle()
        if offset in cuts:
            commit()
            if restarts:
                folder = Folder(LOG, time=folder.time)
                for pane in stored.values():
                    folder.restore(pane, rules)
    folder.close()
    commit()
    return closed
