"""JSON of another shape as a sample's document, by the paths that a monitor's `topic` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from service.decoding.json_text import type_name
from service.decoding.payloads import FIELDS
from service.errors import InputError
from service.settings import TopicSettings
from service.settings.json_path import JsonPath


@dataclass(frozen=True, slots=True)
class FieldMap:
    """A field without a path is taken under its own name; where one payload has a path, the others' names mean something else."""

    fields: Mapping[str, JsonPath]
    tags: Mapping[str, JsonPath]

    @classmethod
    def of(cls, topic: TopicSettings) -> Self | None:
        """None where every record is a sample as it stands."""
        if not topic.fields and not topic.tags:
            return None
        paths = ({name: JsonPath.parse(path) for name, path in given.items()} for given in (topic.fields, topic.tags))
        return cls(*paths)

    def document(self, record: Any) -> dict[str, Any]:
        """The sample's fields; what a path does not find is absent."""
        found = {name: value for name, path in self.fields.items() if (value := path.find(record)) is not None}
        own = record if isinstance(record, dict) else {}
        payloads = [name for name in FIELDS if name in self.fields]
        if payloads:
            own = {name: value for name, value in own.items() if name not in FIELDS}
            if not any(name in found for name in payloads):
                raise InputError("payload", f"no value for {payloads[0]} at {self.fields[payloads[0]].text}")
        mapped = {name: value for name, value in own.items() if name not in self.fields} | found
        return {**mapped, "segments": self._segments(record, mapped.get("segments"))} if self.tags else mapped

    def _segments(self, record: Any, own: Any) -> dict[str, Any]:
        """The record's own tags, and over them those that have a path."""
        if own is not None and not isinstance(own, dict):
            raise InputError("segments", f"segments: expected an object of tags, found {type_name(own)}")
        found = {tag: path.find(record) for tag, path in self.tags.items()}
        return {**(own or {}), **{tag: value for tag, value in found.items() if value is not None}}
