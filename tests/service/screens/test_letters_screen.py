"""Dead letters on a terminal: where each stood, what to do, and what it held."""

from __future__ import annotations

import math
from io import StringIO

from rich.console import Console, RenderableType

from service.decoding.envelope import CONTENT_TYPE, encode
from service.decoding.legible import legible
from service.records import DeadLetter, Original, Partition, Rejected, Sample
from service.screens.letters import dead_letter_list, dead_letter_screen

NOON = 1_767_268_800.0
PLACE = Partition("chat", "id", 4)
ENTRY = encode(Sample("support-chat", "a", 1.0, "hello"))


def words(screen: RenderableType) -> str:
    """Everything shown, on one line."""
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(screen)
    return " ".join(out.getvalue().split())


def test_a_dead_letter_says_where_it_stood_and_what_to_do() -> None:
    rejected = Rejected("not_json", "expected an object; send one per line", b"{'text': \xff\x1b[2J\n", index=2, monitor="support-chat")
    text = words(dead_letter_list([DeadLetter(PLACE, 17, NOON, rejected)], read=legible))
    for fact in (
        "not_json 2026-01-01 12:00:00Z support-chat, DECODE",
        "chat, partition 4, offset 17, item 2",
        "expected an object; send one per line",
        "it began with: {'text': �",
    ):
        assert fact in text


def test_dead_letters_may_be_empty_many_or_without_a_monitor() -> None:
    assert words(dead_letter_list([], read=legible)) == "no dead letters"
    letter = DeadLetter(Partition("chat", "id"), 1, math.nan, Rejected("empty", "", b""))
    text = words(dead_letter_list([letter] * 60, read=legible, limit=50))
    assert "no monitor" in text
    assert "it began with: –" in text
    assert text.endswith("… and 10 more")


def test_what_lies_in_our_own_encoding_is_shown_in_words() -> None:
    """A sample that could not be embedded: the letter has the item, its record what the sender sent, or the item again."""
    rejected = Rejected("vector", "expected 16 numbers", ENTRY, 0, "support-chat", "EMBED")
    began = 'it began with: {"id":"a","text":"hello"}'
    assert began in words(dead_letter_list([DeadLetter(PLACE, 17, NOON, rejected)], read=legible))
    sent = Original(b"k", b'[{"say": "hello"}]', (("trace", b"7"),))
    text = words(dead_letter_screen(DeadLetter(PLACE, 17, NOON, rejected, sent), read=legible))
    assert began in text
    assert text.endswith('key: k trace: 7 [{"say": "hello"}]')
    ingested = Original(None, ENTRY, (("content-type", CONTENT_TYPE.encode()),))
    for original in (ingested, Original(None, None), None):
        text = words(dead_letter_screen(DeadLetter(PLACE, 17, NOON, rejected, original), read=legible))
        assert text.endswith(' {"id":"a","text":"hello"}')
