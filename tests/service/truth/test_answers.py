"""What the model answered is found again by the sample's id, whatever blocks it lies in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ArtefactError
from service.records import Answer
from service.truth import answers
from service.truth.answers import LARGEST

Row: TypeAlias = tuple[str, str, str]
LOCALES, CLASSES = ("de", "en", ""), ("refund", "cancel", "größe")
ROWS = st.lists(st.tuples(st.text(max_size=5), st.sampled_from(CLASSES), st.sampled_from(LOCALES)), max_size=9)


def block(rows: Sequence[Row], *, version: int = 1) -> bytes:
    """Samples with their answer and locale, '' where they have none."""
    n = len(rows)
    return answers.pack(
        [sample for sample, _, _ in rows],
        [predicted for _, predicted, _ in rows],
        [{"locale": locale} if locale else {} for _, _, locale in rows],
        lambda tags: (f"locale={tags.get('locale', '__other__')}",),
        numbers={"times": np.arange(n), "confidence": np.full(n, 0.5), "clusters": np.arange(n) - 1},
        version=version,
    )


def find(bodies: Iterable[bytes], samples: Sequence[str], read: Callable[[bytes], bytes | None] = lambda body: body) -> dict[str, Answer]:
    """A store that knows blocks by what they are."""
    return answers.find(((body, answers.keys(body)) for body in bodies), samples, read)


def test_an_answer_comes_back_as_it_was() -> None:
    body = block([("s0", "refund", "de"), ("s1", "cancel", "")], version=7)
    assert find([body], ["s1", "s0", "s2"]) == {
        "s0": Answer("refund", 0.5, {"locale": "de"}, ("locale=de",), -1, 7, 0.0),
        "s1": Answer("cancel", 0.5, {}, ("locale=__other__",), 0, 7, 1.0),
    }


@given(st.lists(ROWS, max_size=6))
@settings(max_examples=50, deadline=None)
def test_of_a_sample_that_came_twice_the_newest_is_found(batches: list[list[Row]]) -> None:
    bodies = [block(rows) for rows in reversed(batches)]
    said = {sample: predicted for rows in batches for sample, predicted, _ in rows}
    assert {sample: answer.predicted for sample, answer in find(bodies, list(said)).items()} == said


@given(st.lists(st.tuples(ROWS, st.sampled_from([1, 1, 1, 2])), max_size=6))
@settings(max_examples=50, deadline=None)
def test_blocks_that_are_joined_say_the_same(batches: list[tuple[list[Row], int]]) -> None:
    apart = [(number, len(rows), block(rows, version=version)) for number, (rows, version) in enumerate(batches)]
    gone = {number: run for run in answers.runs(apart) for number in [run[-1][0]]}
    inside = {number for run in gone.values() for number, _, _ in run}
    together = [
        answers.joined([body for _, _, body in gone[number]]) if number in gone else body
        for number, _, body in apart
        if number in gone or number not in inside
    ]
    samples = [sample for rows, _ in batches for sample, _, _ in rows]
    assert find(reversed(together), samples) == find(reversed([body for _, _, body in apart]), samples)
    versions = [version for _, version in batches]
    assert len(together) == sum(1 for at, version in enumerate(versions) if not at or version != versions[at - 1])


def test_blocks_are_joined_up_to_a_size() -> None:
    full = block([(f"s{n}", "refund", "de") for n in range(LARGEST - 1)])
    small = block([("one", "refund", "de")])
    blocks = [(0, LARGEST - 1, full), (1, 1, small), (2, 1, small)]
    assert [[number for number, _, _ in run] for run in answers.runs(blocks)] == [[0, 1]]


def test_an_answer_takes_about_25_bytes() -> None:
    body = block([(f"sample-{n}", "refund", "de") for n in range(512)])
    assert len(body) / 512 < 26


def test_a_damaged_block_is_one_error() -> None:
    with pytest.raises(ArtefactError, match="damaged"):
        find([b"\xc1"], ["s0"])
    with pytest.raises(ArtefactError, match="damaged"):
        find([block([("s0", "refund", "de")])[:-4] + b"\xc1"], ["s0"])


def test_only_blocks_that_hold_a_sample_are_read_and_none_beyond() -> None:
    bodies = [block([(f"s{n}", "refund", "de")]) for n in range(5)]
    asked, read = list[bytes](), list[bytes]()

    def walked() -> Iterator[bytes]:
        for body in bodies:
            asked.append(body)
            yield body

    def reading(body: bytes) -> bytes:
        read.append(body)
        return body

    assert list(find(walked(), ["s3"], reading)) == ["s3"]
    assert (asked, read) == (bodies[:4], [bodies[3]])


def test_a_block_that_has_gone_meanwhile_knows_nothing() -> None:
    assert find([block([("s0", "refund", "de")])], ["s0"], lambda _: None) == {}
