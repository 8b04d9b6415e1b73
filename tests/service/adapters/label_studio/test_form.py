"""The labelling configuration of a scheme, and what annotations say by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.label_studio.form import RETIRED, adapted, choice, configuration, instruction, word
from service.errors import DeliveryError

NAMES = st.lists(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8), unique=True, min_size=1, max_size=30)
FURTHER = ["unusable", "none of these"]


def scheme(*names: str) -> Mapping[str, Any]:
    return {"number": 1, "guideline": "", "classes": [{"name": name, "aliases": [], "guideline": ""} for name in names]}


def choices(config: str) -> list[str]:
    return [str(each.get("value")) for each in ET.fromstring(config).iter("Choice")]  # noqa: S314 - our own


@given(NAMES)
def test_every_class_is_a_choice_under_its_own_name(names: list[str]) -> None:
    assert choices(configuration(scheme(*names), "Text")) == [*names, *(each for each in FURTHER if each not in names)]


@given(NAMES, NAMES, st.data())
def test_a_later_scheme_adds_its_classes_and_keeps_those_in_use(before: list[str], after: list[str], data: st.DataObject) -> None:
    used = data.draw(st.sets(st.sampled_from(before)))
    config = adapted(configuration(scheme(*before), "Text"), scheme(*after), "Text", used)
    kept = [name for name in before if name in used and name not in after and name not in FURTHER]
    assert choices(config) == [*after, *(each for each in FURTHER if each not in after), *kept]
    assert adapted(config, scheme(*after), "Text", used) is config
    hints = {each.get("value"): each.get("hint") for each in ET.fromstring(config).iter("Choice")}  # noqa: S314 - our own
    assert all(hints[name] == RETIRED for name in kept)


def test_a_class_that_comes_back_is_asked_for_again() -> None:
    first = configuration(scheme("a", "b"), "Text")
    without = adapted(first, scheme("a"), "Text", {"b"})
    assert RETIRED in without
    assert RETIRED not in adapted(without, scheme("a", "b"), "Text", {"b"})


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        ("<View/>", 'no <Text name="sample"'),
        (configuration(scheme("a"), "Image"), 'no <Text name="sample"'),
        (configuration(scheme("a"), "Text").replace("$text", "$other"), 'value="\\$text"'),
        ("<View>", "is no XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View/>', "declares entities"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(existing: str, said: str) -> None:
    with pytest.raises(DeliveryError, match=said):
        adapted(existing, scheme("a"), "Text", ())


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([choice("refund")], "refund"),
        ([choice("refund"), {"from_name": "new_class", "value": {"text": [" pairing "]}}], "new: pairing"),
        ([{"from_name": "new_class", "value": {"text": "pairing"}}], "new: pairing"),
        ([{"from_name": "new_class", "value": {"text": [""]}}], None),
        ([{"from_name": "sure", "value": {"rating": 3}}], None),
        ([{"from_name": "label", "value": None}, {}, {"from_name": "label"}], None),
        ([{"from_name": "label", "value": {"choices": [3]}}], None),
        ([], None),
        ([None, "s", ["a"], {"from_name": ["label"], "value": {}}, choice("refund")], "refund"),
    ],
)
def test_what_an_annotation_says(result: list[Any], said: str | None) -> None:
    assert word(result) == said


def test_guidelines_are_escaped() -> None:
    told = instruction({"guideline": "<script>", "classes": [{"name": "<b>", "guideline": "a & b"}]})
    assert "<script>" not in told
    assert "<b>&lt;b&gt;</b>: a &amp; b" in told


def test_what_people_added_stays() -> None:
    added = configuration(scheme("a"), "Text").replace("</View>", '<!-- ours --><Rating name="sure" toName="sample" /></View>')
    config = adapted(added, scheme("a", "b"), "Text", ())
    assert '<!-- ours --><Rating name="sure" toName="sample" /></View>' in config
    assert choices(config) == ["a", "b", *FURTHER]
