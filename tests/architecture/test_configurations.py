"""Configuration on the pages is what the programs that read it take: driftgate's own, Kubernetes objects, values of the chart."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from service.errors import ConfigurationError
from service.settings import MonitorSettings, parse
from tests.architecture.blocks import ROOT, Block, every
from tests.architecture.test_blocks import typed
from tests.architecture.test_source import none

pytestmark = pytest.mark.long

KUBERNETES = "1.35"
CHART = ROOT / "helm/driftgate"
EMBEDDER = {"input": "none", "dimension": 8}
FOLDER = {"type": "folder", "path": "inbox"}
NAMING = {"destination", "notify", "to"}
"""Fields that name destinations."""


def kind(block: Block, document: Any) -> str:
    """Whose it is."""
    if not isinstance(document, Mapping) or not all(isinstance(name, str) for name in document):
        return "foreign"
    if {"apiVersion", "kind"} <= document.keys():
        return "Kubernetes"
    if block.title.endswith("values.yaml"):
        return "values"
    if block.title and not block.title.endswith("driftgate.yaml"):
        return "foreign"
    return "driftgate"


@cache
def documents() -> list[tuple[Block, Any]]:
    return [(block, document) for block in every("yaml") for document in yaml.load_all(block.text, yaml.CSafeLoader)]


def of(wanted: str) -> list[tuple[Block, Any]]:
    """All documents of a kind."""
    return [(block, document) for block, document in documents() if kind(block, document) == wanted]


def whole(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a configuration with what it leaves to the reader: whatever must be there, and the destinations that it names."""
    if part.keys() <= MonitorSettings.model_fields.keys() - {"report"}:
        part = {"monitors": [dict(part)]}
    monitors = [{"name": "support-chat", "embedder": EMBEDDER} | monitor for monitor in part.get("monitors", [{}])]
    there = {destination["name"] for destination in part.get("destinations", ())}
    missing = [FOLDER | {"name": name} for name in sorted(set(named(part)) - there)]
    servers = (
        {"kafka": {"brokers": ["kafka:9092"]}, "redis": {"url": "redis://redis:6379/0"}}
        if any("topic" in each for each in monitors)
        else {}
    )
    teams = sorted({monitor["team"] for monitor in monitors if "team" in monitor} - {team["name"] for team in part.get("teams", ())})
    return {
        **servers,
        **part,
        "monitors": monitors,
        "destinations": [*part.get("destinations", ()), *missing],
        "teams": [*part.get("teams", ()), *({"name": team} for team in teams)],
    }


def named(part: Any) -> Iterator[str]:
    """Destinations that something names, however deep."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name in NAMING:
                yield from [value] if isinstance(value, str) else value if isinstance(value, list) else []
            else:
                yield from named(value)
    elif isinstance(part, list):
        for each in part:
            yield from named(each)


def refused(part: Mapping[str, Any]) -> str:
    """Why the settings would refuse it."""
    try:
        parse(whole(part), base=ROOT, environment=False)
    except ConfigurationError as error:
        return str(error)
    return ""


def test_every_configuration_is_somebodys() -> None:
    kinds = Counter(kind(block, document) for block, document in documents())
    assert kinds["driftgate"] > 15, kinds
    assert kinds.keys() <= {"driftgate", "Kubernetes", "values", "foreign"}
    none(f"{block}: a list, or text: whose? Give it a title" for block, document in of("foreign") if not block.title and document)


def test_settings_take_what_pages_show() -> None:
    none(f"{block}: {why}" for block, document in of("driftgate") if (why := refused(document)))


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"teams": [{"name": "payments"}]}, ""),
        ({"monitors": [{"detection": {"run_length": 20}}]}, "run_length"),
        ({"monitors": [{"nam": "a"}]}, "nam"),
        ({"sever": {"port": 1}}, "sever"),
        ({"topic": {"name": "chats", "feilds": {}}}, "feilds"),
    ],
)
def test_a_configuration_that_would_be_refused_is_seen(part: Mapping[str, Any], why: str) -> None:
    assert why in refused(part)
    assert bool(why) == bool(refused(part))


def test_kubernetes_takes_what_pages_show() -> None:
    for block, document in of("Kubernetes"):
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            assert "." in document["apiVersion"].partition("/")[0], f"{block}: neither of Kubernetes nor of somebody's own group"
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{block}: {error.message}")


def test_the_chart_takes_the_values_that_pages_show() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for block, document in of("values"):
        found = [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(document)]
        assert not found, f"{block}: {found}"


def test_helm_is_told_of_files_and_values_that_there_are() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    titles = {block.title for block, _ in documents()}
    for block, words in typed("helm"):
        for option, value in pairwise(words):
            if option in ("-f", "--values"):
                assert (ROOT / value).exists() or value in titles, f"{block}: {value}"
            if option in ("--set", "--set-string", "--set-file"):
                names = [pair.partition("=")[0] for pair in re.split(r"(?<!\\),", value)]
                none(f"{block}: no value {name}" for name in names if not there(values, re.split(r"(?<!\\)\.|\[", name)))


def there(values: Any, names: list[str]) -> bool:
    """Whether the chart knows a value; below an empty one anything may stand, since readers fill it in."""
    for name in names:
        if not values or not isinstance(values, Mapping):
            return values in ({}, [], None, "") or isinstance(values, list)
        if name not in values:
            return False
        values = values[name]
    return True
