"""Paths into JSON documents: one place each, or refused when the configuration is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigurationError
from service.settings import parse
from service.settings.json_path import JsonPath

DOCUMENT = {"a": {"b": [1, {"c d": "x", "": 3}]}, "größe": 2, "it's": {'"': 4}, "n": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0]", 1),
        ("$['a']['b'][1]['c d']", "x"),
        ('$.a["b"][1]["c d"]', "x"),
        ("$.größe", 2),
        (r"""$['it\'s']['"']""", 4),
        (r"""$["it's"]["\""]""", 4),
        ("$.n.x", None),
        ("$.a[0]", None),
        ("$.a.b.c", None),
        ("$.a.b[2]", None),
        ("$.none", None),
    ],
)
def test_a_path_names_one_place(path: str, value: object) -> None:
    assert JsonPath.parse(path).find(DOCUMENT) == value


WILD = ("$..a", "$.*", "$[*]", "$[0:2]", "$[?@.a]", "$[-1]")
BROKEN = ("", "a.b", "$.", "$[01]", "$.a b", "$['a", "$['']", "$.a-b", "$" + ".a" * 300)


@pytest.mark.parametrize("path", WILD + BROKEN)
def test_what_may_find_several_values_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"JSONPath|a path is made of"):
        JsonPath.parse(path)


def test_a_wrong_path_is_an_error_of_the_configuration() -> None:
    topic = {"name": "t", "fields": {"text": "$.message..body"}, "tags": {"locale": "locale"}}
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 2}, "topic": topic}
    with pytest.raises(ConfigurationError) as caught:
        parse({"monitors": [monitor]}, base=Path("/"))
    assert "monitors.0.topic.fields" in str(caught.value)
    assert "text: '$.message..body'" in str(caught.value)
    assert "locale: 'locale' is no JSONPath" in str(caught.value)


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)


def quoted(name: str) -> str:
    return "['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']"


@given(st.lists(NAMES | st.integers(0, 3), max_size=5), st.integers())
def test_whatever_stands_there_is_found(steps: list[str | int], value: int) -> None:
    document: Any = value
    for step in reversed(steps):
        document = {step: document} if isinstance(step, str) else [None] * step + [document]
    path = "$" + "".join(quoted(step) if isinstance(step, str) else f"[{step}]" for step in steps)
    assert JsonPath.parse(path).find(json.loads(json.dumps(document))) == value


@given(st.text(max_size=30), st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_text_is_a_path_or_refused(text: str, document: Any) -> None:
    try:
        path = JsonPath.parse("$" + text)
    except ValueError:
        return
    path.find(document)
