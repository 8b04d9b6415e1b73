"""The sheet of a proposal: complete, harmless whatever samples hold, and blind where it must be."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest

from detectors.selection.base import Turn
from service.records import Candidate, Partition, Payload, Pooled, Purpose
from service.selecting import sheet
from service.selecting.gathering import Counts
from service.selecting.knowing import Situation
from service.selecting.proposal import Bound, Proposal
from service.selecting.slices import Slice
from service.selecting.spending import Cost, Purse

HOSTILE = "<script>alert(1)</script> **bold** @everyone | cell"


def pooled(key: str, payload: Payload) -> Pooled:
    return Pooled("chat", key, 1.0, Partition("t", "t", 0), 0, payload, {}, None, None, np.zeros(2, np.float16), 0.9, 1)


def proposal(payload: Payload = HOSTILE) -> Proposal:
    text = payload if isinstance(payload, str) else ""
    asked = (
        Candidate("e1", "like the failures", 0.25, "all", text, "refund", 3, Purpose.EXPAND, 2.0, 0.1, 0.2, 0.3, "cards", ("g1",)),
        Candidate("p1", "unlike what is known", 0.5, "all", text, None, purpose=Purpose.PROBE),
        Candidate("a1", "drawn", 0.9, "all", text, None, purpose=Purpose.AUDIT),
    )
    drawn = (Candidate("c1", "for the challenge set", 0.0, "all", text, "never shown", purpose=Purpose.CHALLENGE, inclusion=0.125),)
    return Proposal(
        about=Slice("chat", 1, alarm="a17"),
        situation=Situation("text", True, 10),
        turn=Turn(2, 5),
        candidates=asked,
        challenge=drawn,
        rows={each.id: pooled(each.id, payload) for each in (*asked, *drawn)},
        cited={"g1": "how do I pay"},
        counts=Counts(recent=500, labelled=3, duplicates=40, distinct=457),
        cost=Cost(4, 0.5, (Purse("candidates per cycle", "annotation.budget", 100, 20),)),
        risky=7,
        bound=Bound(0.01, 0.95, 1_500, 1_397, 3),
    )


@pytest.fixture(scope="module")
def page() -> str:
    return sheet.html(proposal())


def test_every_candidate_stands_with_why_and_risk(page: str) -> None:
    for told in ("like the failures", "25.0 %", "90.0 %", "how do I pay", "Round 2 of 5", "alarm a17", "with 10 failure samples", "2"):
        assert told in page
    for key in ("e1", "p1", "a1", "c1"):
        assert f">{key}<" in page


def test_what_samples_hold_steers_nothing(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(?<!\\)\*\*bold", sheet.markdown(proposal()))


@pytest.mark.parametrize("write", [sheet.html, sheet.markdown])
def test_challenge_rows_are_shown_as_annotators_get_them(write: object) -> None:
    written = write(proposal())  # type: ignore[operator]  # two functions of one shape
    assert "never shown" not in written
    assert "12.5 %" in written


def test_images_are_small_pictures_and_what_is_none_is_named() -> None:
    image = pytest.importorskip("PIL.Image")
    target = io.BytesIO()
    image.new("RGB", (600, 300), (200, 30, 30)).save(target, "PNG")
    page = sheet.html(proposal(target.getvalue()))
    (first, *_) = re.findall(r'<img class="sample" alt="picture of sample e1" src="data:image/png;base64,([^"]+)"', page)
    assert len(first) < 4_000
    assert "<img" not in sheet.html(proposal(b"no image"))
    assert "picture of sample e1" in sheet.markdown(proposal(target.getvalue()))


def test_no_promise_without_golden_rows() -> None:
    assert "nothing is promised" in sheet.markdown(replace(proposal(), bound=None))
    short = Bound(0.01, 0.95, 120, 1_397, 0)
    assert "1,397 golden rows are needed and there are 120" in sheet.bound_in_words(short)


def test_an_empty_proposal_is_a_sheet_too() -> None:
    empty = replace(proposal(), candidates=(), challenge=(), cost=Cost(0, None, ()))
    assert "What was left out" in sheet.markdown(empty)
    assert "0" in sheet.html(empty)
