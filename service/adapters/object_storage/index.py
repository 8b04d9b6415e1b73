"""What is published in a bucket: the manifests, by name and tag."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from service.adapters.object_storage.objects import Objects
from service.errors import ArtefactError

_PLACE = "published"
_LOOK_SECONDS = 1.0


class Index:
    """Listed at most once a second for each kind, and anew where something is not there; a manifest is read once for each tag."""

    def __init__(self, objects: Objects, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._clock = clock
        self._listed: dict[str, tuple[float, dict[str, str]]] = {}
        self._manifests: dict[str, tuple[bytes, str]] = {}

    def below(self, name: str) -> list[str]:
        """The names directly below, ascending."""
        rest = (each.removeprefix(f"{name}/") for each in self._look(name) if each.startswith(f"{name}/"))
        return sorted(each for each in rest if "/" not in each)

    def within(self, name: str) -> list[str]:
        """The name, and all below it, by a look of now."""
        return [each for each in self._look(name, fresh=True) if f"{each}/".startswith(f"{name}/")]

    def known(self, name: str) -> str | None:
        """Its tag by the last look, a second old at most."""
        return self._look(name).get(name)

    def tag(self, name: str) -> str | None:
        """As `known`; that it is not there, by a look of now."""
        return self.known(name) or self._look(name, fresh=True).get(name)

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
        content, _ = self.published(name)
        try:
            found: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise ArtefactError(f"{name}: its manifest in {self._objects} is damaged ({error}); restore it from a backup") from error
        return found

    def forget(self, name: str) -> None:
        """It has changed."""
        self._listed.pop(_kind(name), None)
        self._manifests.pop(name, None)

    def _look(self, name: str, *, fresh: bool = False) -> dict[str, str]:
        """Name → tag of what is published of the name's kind."""
        kind = _kind(name)
        looked, found = self._listed.get(kind, (-_LOOK_SECONDS, {}))
        if fresh or self._clock() - looked >= _LOOK_SECONDS:
            now, listed = self._clock(), self._objects.list(f"{_PLACE}/{kind}")
            found = {each.key.removeprefix(f"{_PLACE}/").removesuffix(".json"): each.tag for each in listed}
            self._listed[kind] = now, found
            self._manifests = {each: kept for each, kept in self._manifests.items() if _kind(each) != kind or each in found}
        return found


def manifest_key(name: str) -> str:
    """Of the object that publishes a folder."""
    return f"{_PLACE}/{name}.json"


def _kind(name: str) -> str:
    return name.split("/", maxsplit=1)[0]
