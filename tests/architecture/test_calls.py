"""Calls and bodies that pages show are ones that the API takes: routes, methods, media types, parameters, fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import jsonschema
import pytest

from service.api import document
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_samples
from service.records import Sample
from tests.architecture.blocks import Block, every
from tests.architecture.test_blocks import typed
from tests.architecture.test_source import none

pytestmark = pytest.mark.long

VALUED = {
    "-H",
    "--header",
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "-X",
    "--request",
    "-o",
    "--output",
    "-w",
    "--write-out",
    "-T",
    "--upload-file",
}
VALUED |= {"--cacert", "--cert", "--key", "-m", "--max-time", "--retry", "--resolve", "-u", "--user"}
"""Of curl: options that a value follows."""

OURS = re.compile(r"(?P<path>/(?:v1/[^?#]*|healthz|readyz|metrics|openapi\.json))(?:\?(?P<query>.*))?$")
BESIDE = {("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")}
"""Of every server, also where the document has them not."""


@dataclass(frozen=True, slots=True)
class Call:
    """A `curl` of driftgate's own API; `body` is None where it comes from a file."""

    block: Block
    method: str
    path: str
    query: str
    media: str | None
    sends: bool
    body: str | None

    def __str__(self) -> str:
        return f"{self.block}: {self.method} {self.path}"


def called(block: Block, words: Sequence[str]) -> Iterator[Call]:
    """The calls of one command."""
    options, addresses = list[tuple[str, str]](), list[str]()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in VALUED or re.fullmatch(r"-[fsSLiv]+[Hdo]", word):
            options.append((word if word in VALUED else f"-{word[-1]}", rest.pop(0)))
        elif not word.startswith("-"):
            addresses.append(word)
    data = [value for name, value in options if name in ("-d", "--data", "--data-raw", "--data-binary")]
    upload = any(name in ("-T", "--upload-file") for name, _ in options)
    media = [
        value.partition(":")[2].strip()
        for name, value in options
        if name in ("-H", "--header") and value.lower().startswith("content-type:")
    ]
    asked = [value for name, value in options if name in ("-X", "--request")]
    method = (asked or ["PUT" if upload else "POST" if data else "GET"])[0]
    body = data[0] if data and not data[0].startswith(("@", "$")) else None
    for address in addresses:
        if found := OURS.search(address):
            yield Call(block, method, found["path"], found["query"] or "", media[0] if media else None, bool(data) or upload, body)


@cache
def described() -> dict[str, Any]:
    return document("")


@cache
def calls() -> list[Call]:
    return [call for block, words in typed("curl") for call in called(block, words)]


def operation_of(call: Call) -> Mapping[str, Any] | None:
    """What the path and method lead to; of several the one with the fewest placeholders."""
    paths = [path for path in described()["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), call.path)]
    for path in sorted(paths, key=lambda each: each.count("{")):
        if call.method.lower() in described()["paths"][path]:
            return described()["paths"][path][call.method.lower()]  # type: ignore[no-any-return] # a part of a JSON document
    return None


def wrong(call: Call) -> str:
    """Why the server would refuse it; '' where it would not."""
    operation = operation_of(call)
    if operation is None:
        return "" if (call.method, call.path) in BESIDE else "no such route, or not by this method"
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    if unknown := {name for name, _ in parse_qsl(call.query, keep_blank_values=True)} - known:
        return f"no parameters {sorted(unknown)}"
    taken = operation.get("requestBody", {}).get("content", {})
    if call.sends and call.media not in taken:
        return f"a body of {call.media}; it takes {sorted(taken)}"
    if taken and not call.sends and operation["requestBody"].get("required"):
        return "no body"
    return refused(call, taken[call.media]["schema"]) if call.body is not None and call.media else ""


def refused(call: Call, schema: Mapping[str, Any]) -> str:
    """Why its body would be."""
    body = str(call.body)
    if call.path.endswith("/samples"):
        taken = decode_samples(body.encode(), monitor="m", now=1.8e9, options=SampleOptions())
        return "; ".join(str(each) for each in taken if not isinstance(each, Sample))
    if call.media is None or not call.media.endswith("json"):
        return ""
    try:
        return broken(json.loads(body), schema)
    except ValueError as error:
        return f"no JSON: {error}"


def broken(value: object, schema: Mapping[str, Any]) -> str:
    """By which field a value does not fit; '' where it does."""
    whole = {**schema, "components": described()["components"], "paths": described()["paths"]}
    found = jsonschema.Draft202012Validator(whole).iter_errors(value)
    return "; ".join(f"{error.json_path}: {error.message}" for error in found)[:500]


def test_calls_are_taken() -> None:
    assert len(calls()) > 90
    assert {call.method for call in calls()} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    none(f"{call}: {why}" for call in calls() if (why := wrong(call)))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("localhost:8080/v1/alarms?state=open", ""),
        ("localhost:8080/v1/alarm", "no such route"),
        ("-X DELETE localhost:8080/v1/alarms", "no such route"),
        ("localhost:8080/v1/alarms?color=red", "no parameters"),
        ("-d {} localhost:8080/v1/alarms/a1/acknowledge", "a body of None"),
        ('-H Content-Type:application/json -d {"actor":1} localhost:8080/v1/alarms/a1/acknowledge', "$.actor"),
        ('-H Content-Type:application/json -d {"id":"m-1"} localhost:8080/v1/monitors/m/samples', "Rejected"),
    ],
)
def test_a_call_that_would_be_refused_is_seen(line: str, why: str) -> None:
    (call,) = called(every("sh")[0], line.split(" "))
    assert why in wrong(call)
    assert bool(why) == bool(wrong(call))


def test_bodies_that_bear_a_name_are_of_its_fields() -> None:
    """`json title="Receipt"`: a name of http-schemas.md."""
    schemas = described()["components"]["schemas"]
    named = [block for block in every("json") if block.title in schemas]
    assert len(named) >= 8
    none(
        f"{each} {each.title}: {why}"
        for each in named
        if (why := broken(json.loads(each.text), {"$ref": f"#/components/schemas/{each.title}"}))
    )
