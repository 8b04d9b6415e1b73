"""Offsets on a terminal of 80 columns: whole names, and no two topics that look like one."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from service.screens.offsets import offset_screen

LONG = "production.eu-west-1.support-chat.inference-log.v2"
REASON = f"offset 9 is stored, the log ends at 5: say where to read on: `driftgate offsets reset --topic {LONG}`"


def place(topic: str = LONG, **changes: Any) -> dict[str, Any]:
    figures = {"offset": 123_456_789, "end": 123_456_799, "lag": 10, "lost": 0, "time": 1_767_268_800.0}
    state = {"stopped": None, "retired": False, "absent": None}
    return {"topic": topic, "topic_id": "t1", "partition": 0, **figures, **state, **changes}


def shown(*places: dict[str, Any]) -> str:
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(offset_screen(places))
    return out.getvalue()


def test_a_long_name_stays_whole_and_so_do_figures() -> None:
    text = shown(place(), place(partition=11))
    lines = [line.strip() for line in text.splitlines()]
    assert lines.count(LONG) == 1
    assert any(line.split() == ["0", "123,456,789", "123,456,799", "10", "0", "2026-01-01", "read"] for line in lines)
    assert "topic id" not in text


def test_of_a_topic_made_anew_the_former_is_gone() -> None:
    text = " ".join(shown(place("chats", end=None, lag=None, absent="gone"), place("chats", topic_id="t2")).split())
    former, _, later = text.partition("chats, topic id t2")
    assert former.startswith("chats, topic id t1")
    assert " gone" in former
    assert " read" in later


def test_losses_and_reasons_are_told_below() -> None:
    text = " ".join(shown(place(stopped=REASON, lost=1_200), place(partition=1, retired=True, stopped=REASON)).split())
    assert " stopped " in text
    assert f"{LONG}/0: 1,200 records left the topic before they were read" in text
    assert f"{LONG}/0 stands still: {REASON}" in text
    assert f"{LONG}/1 stands still" not in text


def test_before_anything_was_read() -> None:
    assert shown().strip() == "no partition was read yet"
