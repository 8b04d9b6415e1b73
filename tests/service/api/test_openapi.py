"""The OpenAPI document is complete: every operation says what it does, takes, answers, refuses and asks for, with examples that hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import jsonschema_rs
import pytest

from service.api.openapi import TAGS, operations
from service.api.problems import MEDIA
from tests.service.api.conftest import MakeSite, Site


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return {}


@pytest.fixture
def described(site: Site, document: dict[str, Any]) -> dict[str, Any]:
    """Read once: it is the same for all tests here."""
    if not document:
        document |= site.client.get("/openapi.json").json()
    return document


def contents(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(where, media type, content) of a request and of every answer."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "request", media, content
    for status, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            yield status, media, content


def test_the_document_is_openapi(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    assert described["info"]["description"]
    assert described["components"]["securitySchemes"].keys() == {"bearer", "session"}
    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(described)))
    assert references <= described["components"]["schemas"].keys()


def test_every_tag_is_described_and_used(described: dict[str, Any]) -> None:
    used = {tag for _, _, operation in operations(described) for tag in operation["tags"]}
    assert used <= TAGS.keys()
    assert [tag["name"] for tag in described["tags"]] == [name for name in TAGS if name in used]


def test_every_operation_says_what_it_is(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(described):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), path
        assert operation["summary"], path
        assert len(operation["description"]) > 20, path
        assert len(operation["tags"]) == 1, path
        assert path.startswith("/v1/") or operation["tags"] == ["operation"], (method, path)


def test_every_operation_says_who_may_ask(described: dict[str, Any]) -> None:
    for method, path, operation in operations(described):
        open_to_all = not operation["security"]
        assert open_to_all == ("x-driftgate-role" not in operation), (method, path)
        assert open_to_all or {"401", "403", "429"} <= operation["responses"].keys(), (method, path)


@pytest.mark.long
def test_every_operation_shows_its_answers_and_they_fit(described: dict[str, Any]) -> None:
    for method, path, operation in operations(described):
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)
        assert all(answer["description"] for answer in operation["responses"].values()), (method, path)
        for where, media, content in contents(operation):
            shown = shown_in(content)
            assert shown or content["schema"].get("format") == "binary", (method, path, where)
            if media.endswith("json"):
                check = jsonschema_rs.validator_for(
                    {**content["schema"], "components": described["components"], "paths": described["paths"]}
                )
                assert [error.message for value in shown for error in check.iter_errors(value)] == [], (method, path, where)


def shown_in(content: Mapping[str, Any]) -> list[Any]:
    return [content["example"]] if "example" in content else [each["value"] for each in content.get("examples", {}).values()]


def test_every_refusal_is_a_problem(described: dict[str, Any]) -> None:
    for method, path, operation in operations(described):
        for where, media, content in contents(operation):
            if where.startswith(("4", "5")) and content["schema"].get("$ref", "").endswith("/Problem"):
                assert media == MEDIA, (method, path, where)
                assert content["example"]["status"] == int(where), (method, path)


def test_every_list_is_paged(described: dict[str, Any]) -> None:
    for method, path, operation in operations(described):
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        if operation["operationId"].startswith("list_") and operation["operationId"] not in WHOLE:
            assert {"limit", "cursor"} <= names, (method, path)
            assert "next" in answered(described, operation)["properties"], (method, path)


WHOLE = {"list_failures", "list_reports"}
"""Summaries of a monitor, or of the fleet, bounded by themselves."""


def answered(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return cast("Mapping[str, Any]", document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])


def test_the_page_shows_who_may_ask_and_examples(site: Site) -> None:
    page = site.client.get("/docs").text
    assert "operator" in page
    assert "where is my refund?" in page
    assert "<script" not in page


def test_probes_describe_themselves_alike(make_site: MakeSite) -> None:
    assert make_site().client.get("/openapi.json").json()["info"]["title"] == "driftgate"
