"""Items of the log in words, and whatever else came as it is."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.decoding.envelope import encode
from service.decoding.legible import legible
from service.records import Item, Output, Rejected, Request, Response, Sample

TEXT = Sample("chat", "a", 1.0, "hello", {"locale": "de"}, Output("refund", None, None, None), "greeting")


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (TEXT, {"id": "a", "text": "hello", "output": {"label": "refund"}, "segments": {"locale": "de"}, "label": "greeting"}),
        (Sample("chat", "b", 1.0, b"\x89PNG"), {"id": "b", "image": "4 bytes"}),
        (Sample("chat", "c", 1.0, np.arange(20, dtype=np.float32)), {"id": "c", "vector": "20 numbers: 0, 1, 2, 3, 4, 5, 6, 7 …"}),
        (Request("chat", "e", (Sample("chat", "e/0", 1.0, "hi"),)), {"request": "e", "samples": [{"id": "e/0", "text": "hi"}]}),
        (Response("chat", "e", (Output("refund", None, None, None),)), {"response": "e", "outputs": [{"label": "refund"}]}),
    ],
)
def test_an_item_is_told_in_words(item: Item, told: dict[str, Any]) -> None:
    assert json.loads(legible(encode(item))) == told


def test_of_a_refusal_what_came_is_shown() -> None:
    assert legible(encode(Rejected("json", "no JSON", b"{broken"))) == "{broken"


@pytest.mark.parametrize("content", [b"", b"{broken", b"\xff", encode(TEXT)[:-9]])
def test_anything_else_is_shown_as_it_came(content: bytes) -> None:
    assert legible(content) == content.decode("utf-8", "replace")
