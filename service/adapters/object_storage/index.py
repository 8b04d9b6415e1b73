"""What is published in a bucket: the manifests, by name and tag."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from service.adapters.object_storage.objects import Listed, Objects
from service.artefacts import CHECKSUM
from service.errors import ArtefactError

_PLACE = "published"
_LOOK_SECONDS = 1.0
_FILE = re.compile(r"(?!\.\.?$)[^/\0]+")
"""Whoever else can write to the bucket has no say in where a file comes to lie here."""


class Index:
    """Listed at most once a second for each kind, and anew where something is not there; a manifest is read once for each tag."""

    def __init__(self, objects: Objects, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._clock = clock
        self._listed: dict[str, tuple[float, dict[str, Listed]]] = {}
        self._manifests: dict[str, tuple[bytes, str]] = {}

    def below(self, name: str) -> list[str]:
        """The names directly below, ascending."""
        rest = (each.removeprefix(f"{name}/") for each in self._look(name) if each.startswith(f"{name}/"))
        return sorted(each for each in rest if "/" not in each)

    def within(self, name: str) -> Mapping[str, float]:
        """The name, and all below it, by a look of now; when the manifest of each was put."""
        return {each: found.modified for each, found in self._look(name, fresh=True).items() if f"{each}/".startswith(f"{name}/")}

    def known(self, name: str) -> str | None:
        """Its tag by the last look, a second old at most."""
        return _tag(self._look(name), name)

    def tag(self, name: str) -> str | None:
        """As `known`; that it is not there, by a look of now."""
        return self.known(name) or _tag(self._look(name, fresh=True), name)

    def published(self, name: str) -> tuple[bytes, str]:
        """The manifest and its tag; ArtefactError where there is none."""
        tag, kept = self.tag(name), self._manifests.get(name)
        if kept is not None and kept[1] == tag:
            return kept
        found = None if tag is None else self._objects.get(manifest_key(name))
        if found is None:
            raise ArtefactError(f"{name}: not published in {self._objects}")
        self._manifests[name] = found
        return found

    def manifest(self, name: str) -> dict[str, Any]:
        """As it was written."""
        return self.read(name, self.published(name)[0])

    def read(self, name: str, content: bytes) -> dict[str, Any]:
        """A manifest; ArtefactError where it is damaged, or names what is no file of the folder itself."""
        try:
            found: dict[str, Any] = json.loads(content)
            sound = all(_FILE.fullmatch(file) and CHECKSUM.fullmatch(at) for file, at in found["files"].items())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged(name, repr(error)) from error
        if not sound:
            raise self._damaged(name, "it names what is no file of this folder")
        return found

    def _damaged(self, name: str, why: str) -> ArtefactError:
        return ArtefactError(f"{name}: its manifest in {self._objects} is damaged ({why}); restore it from a backup")

    def forget(self, name: str) -> None:
        """It has changed."""
        self._listed.pop(_kind(name), None)
        self._manifests.pop(name, None)

    def _look(self, name: str, *, fresh: bool = False) -> dict[str, Listed]:
        """Name → manifest of what is published of the name's kind."""
        kind = _kind(name)
        looked, found = self._listed.get(kind, (-_LOOK_SECONDS, {}))
        if fresh or self._clock() - looked >= _LOOK_SECONDS:
            now, listed = self._clock(), self._objects.list(f"{_PLACE}/{kind}")
            named = ((each.key.removeprefix(f"{_PLACE}/").removesuffix(".json"), each) for each in listed)
            found = {each: manifest for each, manifest in named if all(map(_FILE.fullmatch, each.split("/")))}
            self._listed[kind] = now, found
            self._manifests = {each: kept for each, kept in self._manifests.items() if _kind(each) != kind or each in found}
        return found


def manifest_key(name: str) -> str:
    """Of the object that publishes a folder."""
    return f"{_PLACE}/{name}.json"


def _tag(found: Mapping[str, Listed], name: str) -> str | None:
    return found[name].tag if name in found else None


def _kind(name: str) -> str:
    return name.split("/", maxsplit=1)[0]
