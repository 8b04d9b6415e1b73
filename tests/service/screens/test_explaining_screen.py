"""What one sample shows: readable without colour, and other people's words can't steer the terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from service.screens.explaining import sample_explanation


def shown(document: dict[str, Any], width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(sample_explanation(document))
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def part(text: str, answer: float | None, novelty: float | None = 0.01) -> dict[str, Any]:
    return {"text": text, "start": 0, "end": 1, "answer": answer, "novelty": novelty, "cluster": novelty}


def attribution(parts: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    found = {"of": "answer", "unit": "words", "whole": 7.5, "parts": parts, "left_out": 0, "strongest": [], "together": None, "side": 0}
    return {**found, "caveat": "alone", **changes}


WORDS = [part("where", 0.1), part("is", None), part("my", -2.5), part("refund", 5.0)]


def document(**changes: Any) -> dict[str, Any]:
    near = {"id": "t1", "text": "my money back", "label": "refund", "distance": 0.4567, "same": True}
    taught = {"id": "t9", "text": "the courier", "label": "parcel", "nats": -0.25}
    return {
        "monitor": "chat", "id": "m-17", "place": "recent traffic", "kind": "text", "text": "where is my refund",
        "time": "2026-03-01T12:00:00Z", "segments": {"locale": "en"}, "label": None,
        "answer": {"given": "refund", "now": "parcel", "explained": "refund", "confidence": 0.931}, "reference_version": 3,
        "novelty": {"reference": 0.982, "train": None, "stream": 0.97, "residual": 0.5},
        "placed": {"cluster": "novel", "nearest": "refund"},
        "near": {"reference": [], "train": [near, {**near, "same": False, "label": "parcel"}]},
        "supporting": [{**taught, "nats": 0.5}], "opposing": [taught],
        "attribution": attribution(WORDS, strongest=[3, 0], together=6),
        "missing": [{"what": "reference", "why": "there is none", "remedy": "driftgate reference build"}],
        **changes,
    }  # fmt: skip


def test_everything_is_told_in_words() -> None:
    text = shown(document())
    flat = " ".join(text.split())
    assert "sample m-17 of chat" in flat
    assert "found in recent traffic, 2026-03-01 12:00:00Z, locale=en" in flat
    assert "the model's answer: refund (93.1 %), now parcel" in flat
    assert "cluster: novel, nearest to refund" in flat
    assert "98.2 %" in flat
    assert "by the nearest training rows" not in flat
    assert "0.457 refund same t1 my money back" in flat
    assert "-0.25 against parcel t9" in flat
    assert "reference: there is none; driftgate reference build" in flat


def test_weights_are_marked_without_colour() -> None:
    text = shown(document())
    assert "where is my▼ refund▲▲" in text
    assert "left out together (refund, where): +6.00; one by one they add up to +5.10" in " ".join(text.split())
    rows = [line.split() for line in text.splitlines() if "█" in line or "░" in line]
    assert [row[0] for row in rows[-3:]] == ["+5.00", "+0.100", "-2.50"]
    assert "█" not in rows[-1][1]
    assert "▼ speaks against it" in " ".join(text.split())


def test_patches_are_a_grid() -> None:
    parts = [part(f"row {at // 3 + 1}, column {at % 3 + 1}", [0.0, 4.0, 8.0, -8.0, 0.0, 0.0, 2.0, 0.0, 0.0][at]) for at in range(9)]
    text = shown(document(text="", attribution=attribution(parts, unit="patches", side=3)))
    assert "··▒▒██\n--····\n░░····\n" in "\n".join(line.rstrip() for line in text.splitlines())


def test_a_model_without_logits_has_its_novelty_told() -> None:
    text = shown(document(attribution=attribution([part("odd", None, 0.6), part("one", None, 0.1)], of="novelty")))
    assert "the distance to the nearest of the reference, 7.50" in " ".join(text.split())
    assert "odd▲▲ one" in text
    assert "of the novelty" not in text  # it would say the weight again


@pytest.mark.parametrize("width", [60, 100, 200])
def test_hostile_text_and_little_to_tell(width: int) -> None:
    hostile = "\x1b[2J[red]evil[/red]\r\n"
    text = shown(document(id=hostile, text=hostile, segments={"a": hostile}, attribution=attribution([part(hostile, 1.0)])), width)
    assert "\x1b" not in text
    assert "[red]evil[/red]" in text
    bare = document(novelty=None, near={}, supporting=[], opposing=[], attribution=None, missing=[], time=None)
    answer = {"given": "", "now": "", "explained": "", "confidence": None}
    assert "the model's answer: not known" in shown({**bare, "answer": answer, "text": "", "placed": {"cluster": "", "nearest": ""}}, width)
