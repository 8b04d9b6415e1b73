"""`values.schema.json`: the chart's own values, and the configuration as the settings have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from service.settings import Settings

Schema: TypeAlias = dict[str, Any]
OWN = Path(__file__).with_name("values.schema.yaml")

SET_BY_CHART: Mapping[str, frozenset[str]] = {
    "Settings": frozenset({"directory"}),
    "ServerSettings": frozenset({"host", "port", "ingest_token_file", "metrics_port", "metrics_host", "metrics_token_file"}),
    "KafkaSettings": frozenset({"instance"}),
}
"""Fields that pods are told by the chart: a template refuses them in `config`, in words of its own."""


def schema() -> str:
    """The file's text."""
    document: Schema = yaml.safe_load(OWN.read_text(encoding="utf-8"))
    config = Settings.model_json_schema()
    settings = {name: _section(name, part) for name, part in config.pop("$defs").items()}
    if settings.keys() & document["$defs"].keys():
        raise ValueError(f"{OWN.name}: names of the settings' sections: {settings.keys() & document['$defs'].keys()}")
    document["properties"]["config"] = _section("Settings", config)
    document["$defs"] |= settings
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _section(name: str, part: Schema) -> Schema:
    """One without what the chart sets, what comes by the environment alone, and what a values file need not say."""
    if "properties" not in part:
        return _plain(part)
    gone = SET_BY_CHART.get(name, frozenset())
    kept: Schema = {key: _plain(field) for key, field in part["properties"].items() if not _secret(field)}
    kept |= {key: {"description": "The chart sets it."} for key in gone}
    said: Schema = {"type": "object", "additionalProperties": False, "properties": kept}
    required = [key for key in part.get("required", ()) if key in kept and (name, key) != ("MonitorSettings", "embedder")]
    # `policy.defaults` may give a monitor its embedder
    return said | ({"required": required} if required else {}) | _described(part)


def _secret(field: Schema) -> bool:
    return any(option.get("writeOnly") for option in field.get("anyOf", ()))


def _plain(field: Schema) -> Schema:
    """In the form whose errors are short: not every alternative that was not meant, with its own."""
    said = {key: value for key, value in field.items() if key not in {"title", "discriminator", "default"}}
    options = said.get("anyOf", ())
    named = [option for option in options if option != {"type": "null"}]
    if len(named) == 1 and len(options) == 2:
        del said["anyOf"]
        said |= {"if": {"type": "null"}, "else": _plain(named[0])}
    if isinstance(said.get("items"), dict):
        said["items"] = _plain(said["items"])
    if "oneOf" in said and "discriminator" in field:
        del said["oneOf"]
        said |= _by_type(field["discriminator"])
    return said


def _by_type(discriminator: Schema) -> Schema:
    field, kinds = discriminator["propertyName"], discriminator["mapping"]
    chosen = [{"if": {"properties": {field: {"const": kind}}}, "then": {"$ref": section}} for kind, section in kinds.items()]
    return {"type": "object", "required": [field], "properties": {field: {"enum": sorted(kinds)}}, "allOf": chosen}


def _described(part: Schema) -> Schema:
    return {"description": part["description"]} if "description" in part else {}
