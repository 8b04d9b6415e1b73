"""Examples made of a schema: what fields say themselves, else a value that a field of that name usually has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_DEEPEST = 8
_MOMENT = "2026-03-01T12:00:00Z"

_USUAL: Mapping[str, str] = {
    "actor": "ana@example.com",
    "annotator": "ana",
    "answer": "refund",
    "batch": "5be0c4f1a2d3",
    "channel": "features",
    "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "cycle": "c7d41f0a9b21",
    "destination": "annotators",
    "family": "input",
    "id": "a41f09c2e7d3",
    "kind": "new content",
    "label": "refund",
    "message": "no monitor 'suport'; there are: support",
    "model": "models/intent.onnx",
    "monitor": "support",
    "name": "support",
    "note": "the spring campaign brought these",
    "origin": "driftgate.yaml",
    "partition": "http/5f1c/0",
    "predicted": "refund",
    "reason": "evidence and effect above tolerance",
    "sample": "m-17",
    "segment": "locale=en",
    "stage": "decode",
    "state": "open",
    "team": "payments",
    "text": "where is my refund?",
    "type": "alarm.opened",
    "version": "2026-03-01",
}
"""Of strings, by the name of their field."""


class Examples:
    """Makes examples over a document's schemas."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def of(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """A value that the schema takes."""
        schema = self._resolved(schema)
        for given in ("example", "const", "default"):
            if schema.get(given) is not None:
                return schema[given]
        for given in ("examples", "enum"):
            if schema.get(given):
                return schema[given][0]
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if options:
            return self.of(next((each for each in options if each.get("type") != "null"), options[0]), name, depth)
        return self._plain(schema, name, depth)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._schemas[schema["$ref"].rpartition("/")[2]], **beside}
        return schema

    def _plain(self, schema: Schema, name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
            case "number":
                return min(max(0.12, schema.get("minimum", 0.12)), schema.get("maximum", 0.12))
            case "boolean" | "null" as empty:
                return {"boolean": False}.get(empty)
            case _:
                return self._text(schema, name)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        fields = schema.get("properties", {})
        if depth >= _DEEPEST:
            fields = {name: fields[name] for name in schema.get("required", ())}
        made = {name: self.of(field, name, depth + 1) for name, field in fields.items()}
        more = schema.get("additionalProperties")
        if fields or not isinstance(more, Mapping) or not more:
            return made
        key = self.of(schema["propertyNames"]) if "propertyNames" in schema else "refund"
        return {key: self.of(more, key, depth + 1)}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        places: Sequence[Schema] = schema.get("prefixItems", ())
        if places:
            return [self.of(each, name, depth + 1) for each in places]
        if depth >= _DEEPEST and not schema.get("minItems"):
            return []
        return [self.of(schema.get("items", {}), name.removesuffix("s"), depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]

    @staticmethod
    def _text(schema: Schema, name: str) -> str:
        if schema.get("format") == "date-time":
            return _MOMENT
        return _USUAL.get(name, "text")[: schema.get("maxLength", 1_000)]
