"""Which monitors there are, and how each is set up: kept in the store, so that every process that works on them knows the same.

A monitor belongs to whoever declared it, a configuration file or the API, and is changed there alone. A change of what shapes its
panes (the reference in force included) raises its `shape`; every change raises its version.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from service.errors import ArtefactError, ConfigurationError, ConflictError, DriftgateError, InputError, NotFoundError
from service.ports import Store
from service.records import Declaration, DeclarationState, Step
from service.settings import MonitorSettings

API = "api"
"""The origin of monitors that were declared over HTTP."""

PROGRAM = "program"
"""The origin of monitors that come from no file, such as the demo's."""

_MOST = 10_000
_STEPS = 50
"""Of a declaration's history that are kept."""
_ATTEMPTS = 10
_REFERENCE, _VERSION = "reference", "version "
"""Reason and note of the step that brings a reference into force."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Declared:
    """A monitor as it is declared."""

    settings: MonitorSettings
    origin: str
    reference: int | None = None
    shape: int = 0
    version: int = 0


@dataclass(slots=True)
class _Known:
    """What was read last, replaced as a whole."""

    documents: Mapping[str, Declaration] = field(default_factory=dict)
    declared: Mapping[str, Declared] = field(default_factory=dict)


class Declarations:
    """The monitors as the store had them at the last look; safe to ask from several threads.

    `directory` is the installation's: files are named from there, so that both can be moved together.
    """

    def __init__(self, store: Store, directory: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._known = _Known()
        self._offered: Mapping[str, Declared] = {}

    # --- reading --------------------------------------------------------------------------------------------------------

    @property
    def declared(self) -> Mapping[str, Declared]:
        """By name: those that this process offers, else as the store has them."""
        return {**self._known.declared, **self._merged()} if self._offered else self._known.declared

    def offer(self, monitors: Iterable[MonitorSettings], origin: str) -> None:
        """Monitors of a configuration that is used here without being published: a command's file counts for that command."""
        self._offered = {monitor.name: Declared(monitor, origin) for monitor in monitors}

    def look(self) -> Mapping[str, Declared]:
        """Reads the store anew."""
        before = self._known
        documents = {document.id: document for document in self._store.find(Declaration, limit=_MOST)}
        standing = [document for document in documents.values() if document.state is DeclarationState.DECLARED]
        standing.sort(key=lambda document: (document.created, document.id))
        read = [(document.id, _declared(document, before)) for document in standing]
        self._known = _Known(documents, {name: declared for name, declared in read if declared is not None})
        return self.declared

    def stands(self, monitor: str) -> bool:
        """Whether there is such a monitor at this very moment, whatever the last look found."""
        try:
            return self._store.get(Declaration, monitor).state is DeclarationState.DECLARED
        except NotFoundError:
            return False

    def reference(self, monitor: str) -> int | None:
        """The version in force; of a monitor that was never declared, the one that an earlier driftgate left in force."""
        document = self._known.documents.get(monitor)
        return _left_in_force(self._directory, monitor) if document is None else document.reference

    def brought_into_force(self, monitor: str) -> frozenset[int]:
        """Reference versions that came into force, as far back as is remembered."""
        document = self._known.documents.get(monitor)
        notes = [step.note for step in document.history if step.reason == _REFERENCE] if document else []
        return frozenset(int(note.removeprefix(_VERSION)) for note in notes)

    def origin(self, config: Path | None) -> str:
        """How the configuration file is named."""
        return PROGRAM if config is None else os.path.relpath(config.resolve(), self._directory.resolve())

    def _merged(self) -> dict[str, Declared]:
        return {name: self._with_stored(offered) for name, offered in self._offered.items()}

    def _with_stored(self, offered: Declared) -> Declared:
        """What is written of an offered monitor besides its settings."""
        name = offered.settings.name
        stored = self._known.documents.get(name)
        shape, version = (stored.shape, stored.version) if stored else (0, 0)
        return replace(offered, reference=self.reference(name), shape=shape, version=version)

    # --- writing --------------------------------------------------------------------------------------------------------

    def publish(self, monitors: Sequence[MonitorSettings], origin: str) -> Sequence[str]:
        """Writes a file's monitors where they are new or changed, and withdraws those that are gone from it; returns their names.

        ConfigurationError, and nothing written, where one is declared elsewhere and otherwise.
        """

        def changes() -> list[Declaration]:
            written = [self._written(monitor, origin) for monitor in monitors]
            return [*filter(None, written), *self._gone({monitor.name for monitor in monitors}, origin)]

        return self._save(changes, "configuration published")

    def put(self, settings: MonitorSettings, *, version: int | None, actor: str, given: Mapping[str, Any] | None = None) -> Declared:
        """Declares a monitor by API, or changes it: `version` is the one that was read (0 or None for a new one); `given` is what it was
        made from, as it came: it follows the policy's defaults from there."""

        def changes() -> list[Declaration]:
            self._require(settings.name, version)
            written = self._written(settings, API, actor=actor)
            return [replace(written, given=given or {})] if written else []

        self._save(changes, "monitor declared", actor=actor)
        return self._known.declared[settings.name]

    def inherit(self, accepted: Callable[[str, Mapping[str, Any]], MonitorSettings]) -> Sequence[str]:
        """Has the monitors that were declared by API follow other defaults; returns their names."""

        def changes() -> list[Declaration]:
            found = [_inherited(document, accepted) for document in self._known.documents.values()]
            return [*filter(None, [self._written(settings, API, actor="policy") for settings in found if settings])]

        return self._save(changes, "defaults inherited")

    def withdraw(self, monitor: str, *, version: int, actor: str) -> None:
        """Ends a monitor that was declared by API; its log, pool and references stay."""

        def changes() -> list[Declaration]:
            if self._require(monitor, version) is None:
                raise NotFoundError(f"no monitor {monitor!r:.80}")
            return [self._withdrawn(self._known.documents[monitor], actor)]

        self._save(changes, "monitor withdrawn", actor=actor)

    def activate(self, monitor: str, version: int) -> None:
        """Brings a reference version into force, wherever the monitor was declared."""

        def changes() -> list[Declaration]:
            document = self._known.documents.get(monitor) or self._first(monitor)
            if document.reference == version and document.version:
                return []
            return [_stepped(document, self._step(_REFERENCE, note=f"{_VERSION}{version}"), reference=version, shape=document.shape + 1)]

        self._save(changes, "reference declared", reference=version)

    def _save(self, changes: Callable[[], Sequence[Declaration]], event: str, **facts: object) -> Sequence[str]:
        """All or none; whoever was faster is read first."""
        for _ in range(_ATTEMPTS):
            self.look()
            changed = changes()
            try:
                if changed:
                    self._store.save(*changed)
            except ConflictError:
                continue
            if changed:
                self.look()
                log.info(event, monitors=[document.id for document in changed], **facts)
            return [document.id for document in changed]
        raise ConflictError("the monitors' declarations are being changed by others without end; try again")

    def _require(self, monitor: str, version: int | None) -> Declaration | None:
        """The declaration that a change by API was made for."""
        document = self._known.documents.get(monitor)
        standing = document if document is not None and document.state is DeclarationState.DECLARED else None
        if standing is not None and standing.origin != API:
            raise ConflictError(f"monitor {monitor} is declared in the file {standing.origin}: change it there")
        if (standing.version if standing else 0) != (version or 0):
            stands = f"version {standing.version} stands" if standing else "there is none of that name"
            raise ConflictError(f"monitor {monitor}: the change was made for version {version or 0}, but {stands}; read it again")
        return standing

    def _written(self, settings: MonitorSettings, origin: str, *, actor: str = "driftgate") -> Declaration | None:
        """The declaration of these settings; None where it stands already."""
        if settings.topic is not None and settings.topic.begins_after(self._clock()):
            message = f"monitor {settings.name}: topic.start lies in the future; write `latest` to read what is written from now on"
            raise InputError("start", message)
        before = self._known.documents.get(settings.name)
        if before is None:
            new = _new(settings, origin, self.reference(settings.name), self._clock())
            return _stepped(new, self._step("declared", actor=actor))
        standing, read = before.state is DeclarationState.DECLARED, _read(before)
        foreign = standing and before.origin != origin and self._owns(before.origin)
        if standing and read == settings and (foreign or before.origin == origin):
            return None  # two files that say the same are of one mind
        if foreign:
            raise ConfigurationError(self._elsewhere(before))
        reshaped = not standing or read is None or read.shaping != settings.shaping
        changes: dict[str, Any] = {
            "settings": settings.kept,
            "origin": origin,
            "state": DeclarationState.DECLARED,
            "shape": before.shape + reshaped,
        }
        return _stepped(before, self._step("changed" if standing else "declared", actor=actor), **changes)

    def _owns(self, origin: str) -> bool:
        """A file that is gone owns nothing any more."""
        return origin == API or (origin != PROGRAM and (self._directory / origin).is_file())

    def _elsewhere(self, document: Declaration) -> str:
        name, origin = document.id, document.origin
        if origin == API:
            return f"monitor {name} was declared by API: end it there (`DELETE /v1/monitors/{name}`), or give yours another name"
        return f"monitor {name} is declared in {origin} too (seen from {self._directory}), and otherwise: remove it from one of them"

    def _gone(self, names: Iterable[str], origin: str) -> list[Declaration]:
        gone = self._known.declared.keys() - set(names)
        return [self._withdrawn(self._known.documents[n], "driftgate") for n in sorted(gone) if self._known.documents[n].origin == origin]

    def _withdrawn(self, document: Declaration, actor: str) -> Declaration:
        return _stepped(document, self._step("withdrawn", DeclarationState.WITHDRAWN, actor=actor), state=DeclarationState.WITHDRAWN)

    def _step(self, reason: str, state: DeclarationState = DeclarationState.DECLARED, *, actor: str = "driftgate", note: str = "") -> Step:
        return Step(state.value, reason, self._clock(), actor, note)

    def _first(self, monitor: str) -> Declaration:
        """Of a monitor that this process knows and the store does not yet."""
        if monitor not in self._offered:
            raise NotFoundError(f"no monitor {monitor!r:.80} is declared")
        offered = self._offered[monitor]
        return _new(offered.settings, offered.origin, self.reference(monitor), self._clock())


def _inherited(document: Declaration, accepted: Callable[[str, Mapping[str, Any]], MonitorSettings]) -> MonitorSettings | None:
    """What came by API, under the defaults as they are now. One that they make no sense for stays as it is."""
    if document.origin != API or document.state is not DeclarationState.DECLARED or not document.given:
        return None
    try:
        return accepted(document.id, document.given)
    except DriftgateError as error:
        log.warning("defaults not inherited", monitor=document.id, reason=str(error))
        return None


def _new(settings: MonitorSettings, origin: str, reference: int | None, now: float) -> Declaration:
    """Before its first step."""
    return Declaration(
        id=settings.name,
        monitor=settings.name,
        settings=settings.kept,
        origin=origin,
        shape=1,
        reference=reference,
        state=DeclarationState.DECLARED,
        created=now,
    )


def _stepped(document: Declaration, by: Step, **changes: Any) -> Declaration:
    """The declaration one change on."""
    return replace(document, **changes, history=(*document.history, by)[-_STEPS:], version=document.version + 1)


def _left_in_force(directory: Path, monitor: str) -> int | None:
    """Before there were declarations, a line in a file beside the references said which version was in force."""
    path = directory / "references" / monitor / "current"
    try:
        return int(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ArtefactError(f"{path}: damaged, it holds no version number; remove it, and `driftgate reference accept` one") from error


def _declared(document: Declaration, before: _Known) -> Declared | None:
    """Settings are validated once per version. Those that this driftgate can't read leave what it knew in force."""
    known = before.declared.get(document.id)
    if known is not None and known.version == document.version:
        return known
    try:
        settings = MonitorSettings.model_validate(document.settings)
    except ValueError as error:
        log.warning("declaration unreadable", monitor=document.id, version=document.version, reason=str(error))
        return known
    return Declared(settings, document.origin, document.reference, document.shape, document.version)


def _read(document: Declaration) -> MonitorSettings | None:
    """Of settings that may be those of another driftgate: what can't be read counts as changed."""
    try:
        return MonitorSettings.model_validate(document.settings)
    except ValueError:
        return None
