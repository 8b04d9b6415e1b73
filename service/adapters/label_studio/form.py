"""What annotators see: a labelling configuration from the scheme, and what their answers say by it."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from service.annotation.scheme import NEW, NONE, UNUSABLE
from service.errors import DeliveryError

LABEL, PROPOSED, SAMPLE = "label", "new_class", "sample"
"""Names of the controls, and of what they are about: annotations refer to them, so they never change."""

RETIRED = "not asked for any more"

_FIELDS = {"Text": "text", "Image": "image"}
_MANY = 20
"""Choices beyond which they are a list to search in."""


def configuration(scheme: Mapping[str, Any], tag: str) -> str:
    """Of a new project; `tag`: how samples are shown, Text or Image."""
    view = ET.Element("View")
    shown = ET.SubElement(view, tag, name=SAMPLE, value=f"${_FIELDS[tag]}")
    if tag == "Text":
        shown.set("valueType", "text")
    choices = ET.SubElement(view, "Choices", name=LABEL, toName=SAMPLE, choice="single", showInline="true")
    _fill(choices, _wanted(scheme), ())
    ET.SubElement(
        view, "TextArea", name=PROPOSED, toName=SAMPLE, maxSubmissions="1", rows="1", placeholder="a class that is missing: its name"
    )
    return ET.tostring(view, encoding="unicode")


def adapted(existing: str, scheme: Mapping[str, Any], tag: str, used: Collection[str]) -> str:
    """The configuration as it is there, with the scheme's choices; what people added to it stays.

    used : choices that annotations have: they stay, marked, for without them those would be lost.
    """
    view = _parsed(existing)
    choices = view.find(f".//Choices[@name='{LABEL}']")
    shown = view.find(f".//{tag}[@name='{SAMPLE}']")
    if choices is None or shown is None or choices.get("toName") != SAMPLE or shown.get("value") != f"${_FIELDS[tag]}":
        raise DeliveryError(
            f'its labelling configuration has no <{tag} name="{SAMPLE}" value="${_FIELDS[tag]}"> with <Choices name="{LABEL}" '
            f'toName="{SAMPLE}"> any more, so answers could not be read; put them back, or take the mark out of the project\'s '
            "description so that a new project is made, then replay the item",
            retryable=False,
        )
    before = ET.canonicalize(existing)
    _fill(choices, _wanted(scheme), used)
    after = ET.tostring(view, encoding="unicode")
    return existing if ET.canonicalize(after) == before else after


def instruction(scheme: Mapping[str, Any]) -> str:
    """The guidelines as HTML."""
    classes = [(each["name"], each.get("guideline") or "") for each in scheme["classes"]]
    lines = [f"<li><b>{html.escape(name)}</b>{': ' + html.escape(told) if told else ''}</li>" for name, told in classes]
    further = f"<li><b>{UNUSABLE}</b>: junk, or unreadable</li><li><b>{NONE}</b>: a proper sample that belongs to none of the classes</li>"
    about = f"<p>{html.escape(scheme['guideline'])}</p>" if scheme.get("guideline") else ""
    return f"{about}<ul>{''.join(lines)}{further}</ul><p>Is a class missing? Write its name below the choices.</p>"


def word(result: Sequence[Any]) -> str | None:
    """What an annotation says, in the annotator's word; None where it says nothing that can be read."""
    regions = (region for region in result if isinstance(region, Mapping) and isinstance(region.get("from_name"), str))
    said = {region["from_name"]: region.get("value") for region in regions}
    proposed, chosen = _first(said.get(PROPOSED), "text"), _first(said.get(LABEL), "choices")
    return f"{NEW}{proposed}" if proposed else chosen or None


def choice(name: str) -> Mapping[str, Any]:
    """A region that says so: what a prediction is made of."""
    return {"from_name": LABEL, "to_name": SAMPLE, "type": "choices", "value": {"choices": [name]}}


def _first(value: Any, key: str) -> str:
    found = value.get(key) if isinstance(value, Mapping) else None
    first = found[0] if isinstance(found, list) and found else found
    return first.strip() if isinstance(first, str) else ""


def _wanted(scheme: Mapping[str, Any]) -> Mapping[str, str]:
    """Choice → hint."""
    return {each["name"]: "; ".join(each.get("aliases") or ()) for each in scheme["classes"]} | {
        UNUSABLE: "junk, or unreadable",
        NONE: "a proper sample of no class",
    }


def _fill(choices: ET.Element, wanted: Mapping[str, str], used: Collection[str]) -> None:
    """In the scheme's order; those of before that are in use stay at the end."""
    before = {str(each.get("value")): each for each in choices.findall("Choice")}
    for each in before.values():
        choices.remove(each)
    kept = {name: RETIRED for name in before if name not in wanted and name in used}
    for name, hint in {**wanted, **kept}.items():
        element = before.get(name)
        element = ET.Element("Choice", value=name) if element is None else element
        if hint:
            element.set("hint", hint)
        elif element.get("hint") == RETIRED:
            del element.attrib["hint"]
        choices.append(element)
    if len(wanted) > _MANY:
        choices.set("layout", "select")


def _parsed(text: str) -> ET.Element:
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise DeliveryError("its labelling configuration declares entities, which none needs; remove them", retryable=False)
    try:
        keeping_comments = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - there are no entities to blow up
        return ET.fromstring(text, keeping_comments)  # noqa: S314 - as above
    except ET.ParseError as error:
        raise DeliveryError(
            f"its labelling configuration is no XML ({error}); mend it in the project's settings", retryable=False
        ) from error
