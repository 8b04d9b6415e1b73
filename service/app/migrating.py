"""How the state stands beside this program, and how it is led up to it: `driftgate migrate`. docs/upgrading.md has the rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from service.adapters.redis_store import Process, climb, newest_level, present, standing_of
from service.adapters.sqlite import Database, Schema, version_of
from service.app.files import files_of, led_up
from service.app.installation import CONTROLLER
from service.app.parts import redis_server
from service.errors import ConflictError
from service.settings import Settings

_GLANCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """Something that state is kept in."""

    name: str
    level: int
    """0 where there is nothing yet."""
    newest: int
    """What this program leads it up to."""
    works: bool
    """Whether this program can work on it as it stands."""
    leads_up: bool
    """Whether this program knows the way up from there."""

    @property
    def pending(self) -> bool:
        """Whether there is something to be done."""
        return 0 < self.level < self.newest and self.leads_up

    @property
    def unfit(self) -> bool:
        """Whether nothing that this program can do makes it work."""
        return self.level > 0 and not (self.works or self.leads_up)


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that an upgrade depends on."""

    parts: tuple[Part, ...]
    processes: tuple[Process, ...] = ()

    @property
    def older(self) -> Sequence[Process]:
        """Processes that run and would be shut out by the next step."""
        return [process for process in self.processes if process.level < newest_level()]

    @property
    def finished(self) -> bool:
        """Whether nothing is to be done."""
        return not any(part.pending or part.unfit for part in self.parts)


def survey(settings: Settings) -> Survey:
    """As it stands; nothing is written."""
    parts = [_file(path, schema) for path, schema in files_of(settings).items()]
    if settings.redis is None:
        return Survey(tuple(parts))
    with closing(redis_server(settings)) as server:
        standing, processes = standing_of(server), present(server, CONTROLLER)
    keys = Part("Redis", standing.level, newest_level(), standing.fits, standing.leads_up)
    return Survey((*parts, keys), tuple(processes))


def migrate(
    settings: Settings,
    *,
    wait: float = 0.0,
    told: Callable[[str, int], None] = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Survey:
    """Leads everything up to this program, once no older process runs, for which it waits so many seconds; ConflictError where one
    still does. `told` hears of each step before it is taken. Returns what there is afterwards."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    with led_up(settings) as files:
        for path, schema in files.items():
            told(path.name, schema.version)
            Database(path, schema).close()
    if settings.redis is not None:
        _await_the_end_of_older(settings, clock() + wait, clock, pause)
        with closing(redis_server(settings)) as server:
            climb(server, taken=lambda level: told("Redis", level))
    return survey(settings)


def _await_the_end_of_older(settings: Settings, until: float, clock: Callable[[], float], pause: Callable[[float], None]) -> None:
    while True:
        found = survey(settings)
        if not found.older or found.finished:
            return
        if clock() >= until:
            raise ConflictError(f"older processes still run: {named(found.older)}; replace them first, or wait for their end with --wait")
        pause(_GLANCE_SECONDS)


def named(processes: Sequence[Process]) -> str:
    """For a message."""
    return ", ".join(f"{process.role} {process.name} (version {process.version})" for process in processes)


def _file(path: Path, schema: Schema) -> Part:
    found = version_of(path, schema)
    leads_up = all(version in schema.upgrades for version in range(found, schema.version)) and found <= schema.version
    return Part(path.name, found, schema.version, found == schema.version, leads_up)
