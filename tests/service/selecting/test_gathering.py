"""What there is to choose from: once each, and nothing that is known, asked, or held back for testing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.datasets import payload_digest
from service.records import Candidate, Label, Partition, Pooled, Purpose
from service.selecting.asking import Asked
from service.selecting.gathering import Gathered, Likeness, gather
from service.selecting.names import Names
from service.selecting.slices import Slice

EYE = np.eye(6, dtype=np.float32)
LIKENESS = Likeness(np.zeros(6, np.float32), 0.99)
NONE = np.zeros((0, 6), np.float32)


def row(id: str, vector: NDArray[np.float32], **changes: Any) -> Pooled:
    fields: dict[str, Any] = {"time": 5.0, "segments": {"locale": "de"}, "output": None, "label": None, "novelty": 0.5}
    fields |= {"payload": f"text of {id}", "reference_version": 2, **changes}
    return Pooled(monitor="chat", id=id, partition=Partition("chat", "t"), offset=0, embedding=vector.astype(np.float16), **fields)


def gathered(recent: list[Pooled], reserved: list[tuple[Pooled, int]] | None = None, **options: Any) -> Gathered:
    told = {"asked": ((), NONE), "held_back": ((), NONE), **options}
    return gather([(each, 1) for each in recent], reserved or [], LIKENESS, **told)


def test_near_duplicates_are_one_row_that_stands_for_all_of_them() -> None:
    found = gathered([row("b", EYE[0] * 3, time=2.0), row("a", EYE[0], time=1.0), row("c", EYE[1])], [(row("d", EYE[0]), 7)])
    assert [each.id for each in found.rows] == ["a", "c"]
    assert set(found.copies[0]) == {"b", "d"}
    assert found.weights.tolist() == [7, 1]
    assert (found.counts.recent, found.counts.reserved, found.counts.duplicates, found.counts.distinct) == (3, 1, 2, 2)


def test_a_recent_row_stands_for_older_ones_that_say_the_same_so_that_a_challenge_row_can_be_drawn_there() -> None:
    found = gathered([row("recent", EYE[0], time=9.0)], [(row("kept", EYE[0], time=1.0), 3)], imported=[row("file", EYE[0], time=0.0)])
    assert [each.id for each in found.rows] == ["recent"]
    assert (set(found.copies[0]), found.weights.tolist()) == ({"kept", "file"}, [4])


def test_rows_of_files_bring_labels_that_are_evidence_and_no_reason_to_leave_them_out() -> None:
    files = [row("f1", EYE[1], label="refund"), row("f2", EYE[2]), row("s1", EYE[0], label="billing"), row("asked", EYE[4], label="x")]
    found = gathered([row("s1", EYE[0], time=2.0)], imported=[*files, row("f3", EYE[1] * 2, label="refund")], asked=({"asked"}, NONE))
    assert dict(zip([each.id for each in found.rows], found.weak, strict=True)) == {"s1": "billing", "f1": "refund", "f2": ""}
    assert all(each.label is None for each in found.rows)
    assert (found.counts.imported, found.counts.labelled, found.counts.asked) == (4, 0, 1)
    assert found.take(np.array([0])).weak == found.weak[:1]


def test_a_row_in_the_reserve_and_among_the_recent_is_one() -> None:
    same = row("a", EYE[0])
    found = gathered([same], [(same, 1)])
    assert (len(found.rows), found.weights.tolist(), found.counts.reserved) == (1, [1], 0)


def test_what_is_labelled_asked_or_near_to_it_is_left_out() -> None:
    rows = [row("labelled", EYE[0], label="x"), row("asked", EYE[1]), row("like asked", EYE[2]), row("free", EYE[3])]
    found = gathered(rows, asked=({"asked"}, EYE[2:3]))
    assert [each.id for each in found.rows] == ["free"]
    assert (found.counts.labelled, found.counts.asked) == (1, 2)


def test_what_models_are_judged_by_is_kept_out() -> None:
    found = gathered([row("leak", EYE[0] * 2), row("free", EYE[3])], held_back=((), EYE[:1]))
    assert [each.id for each in found.rows] == ["free"]
    assert found.counts.held_back == 1


def test_what_is_the_same_as_rows_that_another_model_embedded_is_kept_out_too() -> None:
    same = row("same", EYE[0], payload="a golden text")
    found = gathered([same, row("bare", EYE[1], payload=None), row("free", EYE[3])], held_back=({payload_digest("a golden text")}, NONE))
    assert [each.id for each in found.rows] == ["bare", "free"]
    assert found.counts.held_back == 1


def test_a_sample_that_the_ring_and_the_reserve_both_count_counts_once() -> None:
    both, twin = row("both", EYE[0], time=8.0), row("twin", EYE[0], time=9.0)
    assert gathered([both, twin], [(both, 2)]).weights.tolist() == [2]
    assert gathered([both], [(both, 5)]).weights.tolist() == [5]
    assert gathered([twin], [(both, 1)]).weights.tolist() == [1]


def test_nothing_at_all_is_gathered_from_nothing() -> None:
    found = gathered([])
    assert (found.rows, found.embeddings.shape, found.counts.distinct) == ((), (0, 6), 0)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_no_row_is_lost_or_counted_twice(places: list[int]) -> None:
    found = gathered([row(str(i), EYE[place], time=float(i)) for i, place in enumerate(places)])
    assert sorted([each.id for each in found.rows] + [name for copies in found.copies for name in copies]) == sorted(
        map(str, range(len(places)))
    )
    assert found.weights.sum() == len(places)
    assert len(found.rows) == len(set(places))


@pytest.mark.parametrize(
    ("change", "holds", "could"),
    [
        ({}, True, True),
        ({"time": 0.5}, False, True),
        ({"reference_version": 1}, False, False),
        ({"segments": {"locale": "en"}}, False, False),
    ],
)
def test_a_slice_is_of_a_stream_a_time_and_a_reference(change: dict[str, Any], holds: bool, could: bool) -> None:
    about = Slice("chat", 2, "locale=de", 1.0)
    each = row("a", EYE[0], **change)
    assert (about.holds(each, {"locale": ("de", "en")}), about.could_hold(each, {"locale": ("de", "en")})) == (holds, could)


def test_nothing_is_learnt_from_answers_to_challenge_rows() -> None:
    items = [Candidate("a", "", 0.1, "all"), Candidate("b", "", 0.0, "all", purpose=Purpose.CHALLENGE), Candidate("c", "", 0.1, "all")]
    answers = {name: Label("chat", "b1", name, "x", 1.0) for name in "ab"}
    assert [item.id for item, _ in Asked({item.id: item for item in items}, answers).answered()] == ["a"]


def test_names_are_numbered_alike_whatever_the_order_in_which_they_are_met() -> None:
    names = Names(("refund", "billing"), ["zeta", None, "alpha", "billing", ""])
    assert names.numbers(["billing", "alpha", "zeta", None, "", "never heard"]).tolist() == [1, 2, 3, -1, -1, -1]
    assert [names.name(number) for number in (0, 3, -1)] == ["refund", "zeta", ""]
