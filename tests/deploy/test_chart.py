"""What of the Helm chart follows from other files is in step with them, and every value is documented."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.chart.build import CHART, RULES, files
from deploy.chart.schema import SET_BY_CHART
from deploy.chart.table import tables, undocumented, values
from service.settings import parse

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")
FREE = frozenset({"global", "extra", "resources"})
"""What has no default for each of its keys."""
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


def test_the_files_are_what_they_are_made_from() -> None:
    made = files()
    for name, text in made.items():
        assert (CHART / name).read_text(encoding="utf-8") == text, "run: .venv/bin/python -m deploy.chart.build"
    assert {path.name for path in (CHART / "rules").iterdir()} == {path.name for path in RULES.glob("*.rules.yml")}


def test_every_value_is_documented_and_known_to_the_schema() -> None:
    assert list(undocumented(VALUES)) == []
    assert list(unknown(yaml.safe_load(VALUES), SCHEMA)) == []


def unknown(found: Any, schema: Any, path: str = "") -> list[str]:
    """Keys of values.yaml that the schema does not list, and keys of the schema that have no default."""
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if path == ".config" or "properties" not in schema or not isinstance(found, dict):
        return []
    listed = schema["properties"].keys() - FREE
    wrong = [f"{path}.{name}" for name in (found.keys() ^ listed) - FREE]
    return wrong + [each for name in found.keys() & listed for each in unknown(found[name], schema["properties"][name], f"{path}.{name}")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_schema_and_hold_a_configuration_that_works(path: Any) -> None:
    example = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.validate(example, SCHEMA)
    assert parse(example["config"], base=CHART).monitors


def test_examples_ask_for_what_the_page_on_sizing_says() -> None:
    page = (CHART.parents[1] / "docs/sizing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\| `(\w+)` \|.*\| ([\d.]+)(?: each)? \| (\d+) (.)iB(?:, (\d+) (.)iB)?", page, re.MULTILINE)
    asked: dict[str, dict[str, Any]] = {}
    for role, cpu, memory, unit, most, of in rows:  # of workers the first row is that of texts
        limit = f"{most}{of}i" if most else f"{int(memory) * 2}{unit}i"
        asked.setdefault(role, {"requests": {"cpu": cores(cpu), "memory": f"{memory}{unit}i"}, "limits": {"memory": limit}})
    small, production, available = (yaml.safe_load((CHART / f"examples/{name}.yaml").read_text(encoding="utf-8")) for name in SIZES)
    assert resources(small, "serve") == asked["serve"]
    assert {role: resources(production, role) for role in ("worker", "api")} == {role: asked[role] for role in ("worker", "api")}
    assert resources(production, "controller") == asked["controller"] | {"limits": {"memory": "1Gi"}}
    assert {role: resources(available, role) for role in ("worker", "api")} == {role: asked[role] for role in ("worker", "api")}
    assert resources(available, "controller") == {"requests": {"cpu": "1", "memory": "1536Mi"}, "limits": {"memory": "3Gi"}}
    assert "and 12 MB for each further" in page


SIZES = ("small", "production", "high-availability")


def resources(example: Any, role: str) -> dict[str, Any]:
    """But for the disk, which goes by the volumes of the pod: tests/cluster/chart/test_policy.py."""
    found: dict[str, Any] = example[role]["resources"]
    return found | {"requests": {name: asked for name, asked in found["requests"].items() if name != "ephemeral-storage"}}


def cores(said: str) -> str:
    return said if "." not in said else f"{float(said) * 1000:.0f}m"


def test_the_schema_of_the_configuration_is_that_of_the_settings() -> None:
    def wrong(**config: Any) -> str:
        with pytest.raises(jsonschema.ValidationError) as refused:
            jsonschema.validate({"config": config}, SCHEMA)
        return str(refused.value.message)

    assert "'budgett' was unexpected" in wrong(budgett={})
    assert "'ingest_token' was unexpected" in wrong(ingest_token="x")
    assert "'topik' was unexpected" in wrong(monitors=[{"name": "chat", "topik": {}}])
    assert "'url' is a required property" in wrong(destinations=[{"name": "hook", "type": "webhook"}])
    assert "'webhok' is not one of" in wrong(destinations=[{"name": "hook", "type": "webhok"}])
    assert "'kafka-1:9092' is not of type 'array'" in wrong(kafka={"brokers": "kafka-1:9092"})
    jsonschema.validate({"config": {"kafka": None, "policy": {"defaults": {"embedder": {}}}, "monitors": [{"name": "chat"}]}}, SCHEMA)


def test_what_the_chart_sets_is_left_to_the_chart_to_refuse() -> None:
    for section, fields in SET_BY_CHART.items():
        listed = SCHEMA["properties"]["config"] if section == "Settings" else SCHEMA["$defs"][section]
        assert all(listed["properties"][field] == {"description": "The chart sets it."} for field in fields)


def test_a_table_is_made_of_comments() -> None:
    text = "# Which one.\nimage:\n  # -- From where,\n  # or | not.\n  name: a\n\n  # left over\n\n  tag: ''\n# -- How many.\nreplicas: 2\n"
    assert [(value.path, value.says) for value in values(text)] == [
        (("image",), "Which one."),
        (("image", "name"), "From where, or | not."),
        (("replicas",), "How many."),
    ]
    assert list(undocumented(text)) == ["image.tag"]
    head = "| value | default | meaning |\n|---|---|---|\n"
    assert tables(text) == (
        f"{head}| `replicas` | `2` | How many. |\n\n### `image`\n\nWhich one.\n\n{head}| `image.name` | `a` | From where, or \\| not. |"
    )
