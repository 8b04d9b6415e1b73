"""Kubernetes' own schemas, and those of the operators' objects; unknown fields are errors in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator
from kubernetes_validate.utils import SchemaNotFoundError, schema_contents
from referencing import Registry, Resource

from tests.cluster.chart.rendering import Manifest
from tests.servers.cluster_programs import CRDS

OLDEST = "1.27"
"""What Chart.yaml asks for at least."""
MINORS = ("1.35", "1.36")
"""Those that the chart is tested with; the API server of the other tests is of the second."""
_GROUPS = ("keda.sh", "monitoring.coreos.com")


def problems(manifest: Manifest, minor: str) -> list[str]:
    """What is wrong with it; a kind that nobody knows is an error."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    own = group in _GROUPS
    validator = _custom(group, version, manifest["kind"]) if own else _builtin(group, version, manifest["kind"], minor)
    where = f"{manifest['kind']}/{manifest['metadata'].get('name')}"
    return [f"{where} {error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _builtin(group: str, version: str, kind: str, minor: str) -> Validator:
    folder = f"kubernetes-json-schema/v{minor}.0-local-strict"
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    try:
        schema = schema_contents(f"{folder}/{name}.json", minor)
    except FileNotFoundError as error:
        raise SchemaNotFoundError(kind, minor, f"{group}/{version}") from error
    return Draft202012Validator(schema, registry=_definitions(folder, minor))


@cache
def _definitions(folder: str, minor: str) -> Any:
    return Resource.from_contents(schema_contents(f"{folder}/_definitions.json", minor)) @ Registry()


@cache
def _custom(group: str, version: str, kind: str) -> Validator:
    for path in CRDS.glob(f"{group}_*.yaml"):
        definition = yaml.load(path.read_bytes(), yaml.CSafeLoader)["spec"]
        if definition["names"]["kind"] == kind:
            (found,) = [each for each in definition["versions"] if each["name"] == version and each["served"]]
            return Draft202012Validator(_closed(found["schema"]["openAPIV3Schema"], top=True))
    raise SchemaNotFoundError(kind, "any", f"{group}/{version}")


def _closed(schema: Mapping[str, Any], *, top: bool = False) -> dict[str, Any]:
    """As an API server prunes: what is not listed is not there."""
    made = {key: _inner(key, value) for key, value in schema.items()}
    if top:
        made["properties"] |= {"metadata": {"type": "object"}}
    if "properties" in made and not {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & made.keys():
        made["additionalProperties"] = False
    return made


def _inner(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _closed(field) for name, field in value.items()}
    if key in {"items", "additionalProperties"} and isinstance(value, Mapping):
        return _closed(value)
    return value


def kinds() -> Iterator[str]:
    """Of the operators' objects that are known."""
    for path in sorted(CRDS.glob("*.yaml")):
        yield yaml.load(path.read_bytes(), yaml.CSafeLoader)["spec"]["names"]["kind"]
