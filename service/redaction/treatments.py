"""Fields by name: dropped, masked, or told apart by a keyed hash alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from service.errors import ConfigurationError
from service.settings import PrivacySettings
from service.settings.json_path import JsonPath

Place: TypeAlias = str
"""`segments.TAG`, `label`, `output.label`, `output.model_version`."""

MASKED = "<masked>"
_SHORTEST_KEY = 16
_NEVER = re.compile(r"(?!)")
_HASHED = re.compile(r"<hash:[0-9a-f]{16}>\Z")


@dataclass(frozen=True, slots=True)
class Treat:
    """What happens to which field."""

    places: Mapping[Place, str] = field(default_factory=dict)
    paths: tuple[tuple[JsonPath, str], ...] = ()
    key: bytes = b""
    placeholders: re.Pattern[str] = _NEVER
    """What has been put in the place of something."""

    def value(self, place: Place, value: str | None) -> str | None:
        """The value as it may be kept; None where it may not."""
        how = self.places.get(place) if self.places and value is not None else None
        return value if how is None or value is None else self._treated(how, value)

    def document(self, document: Any) -> Any:
        """A JSON document with its fields treated; the one given stays as it is."""
        if not isinstance(document, dict | list):
            return document
        for path, how in self.paths:
            document = self._at(document, path.steps, how)
        for place, how in self.places.items():
            document = self._at(document, tuple(place.split(".", 1)), how)
        return document

    def _at(self, node: Any, steps: Sequence[str | int], how: str) -> Any:
        step, rest = steps[0], steps[1:]
        there = step in node if isinstance(node, dict) else isinstance(node, list) and isinstance(step, int) and step < len(node)
        if not there:
            return node
        changed = node.copy()
        if rest:
            changed[step] = self._at(node[step], rest, how)
        elif how == "drop" and isinstance(changed, dict):
            del changed[step]
        elif node[step] is not None:
            changed[step] = None if how == "drop" else self._treated(how, node[step])
        return changed

    def _treated(self, how: str, value: Any) -> str | None:
        if how == "drop":
            return None
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        if how == "mask" or text == MASKED:
            return MASKED
        digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=8, key=self.key)
        return text if _HASHED.match(text) else f"<hash:{digest.hexdigest()}>"


UNTREATED = Treat()
"""Leaves every field as it is."""


def treatments(settings: PrivacySettings, names: Sequence[str]) -> Treat:
    """Compiled, with the key read; `names` are those of the patterns."""
    key = b""
    if settings.key_file is not None and "hash" in settings.fields.values():
        key = settings.key_file.read_bytes().strip()
        if len(key) < _SHORTEST_KEY:
            raise ConfigurationError(f"privacy.key_file: {settings.key_file} holds {len(key)} bytes; at least {_SHORTEST_KEY} are needed")
    paths = tuple((JsonPath.parse(place), how) for place, how in settings.fields.items() if place.startswith("$"))
    places = {place: how for place, how in settings.fields.items() if not place.startswith("$")}
    known = "|".join(map(re.escape, names))
    placeholders = re.compile(rf"<(?:masked|hash:[0-9a-f]{{16}}{'|' + known if known else ''})>")
    return Treat(places, paths, key[:64], placeholders)
