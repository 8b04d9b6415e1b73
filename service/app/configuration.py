"""The configuration file while the program runs, and monitors that come over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from service.access.quotas import require_room
from service.declarations import Declarations
from service.errors import ConfigurationError, DriftgateError, InputError, UnavailableError
from service.settings import MonitorSettings, Settings, load, parse

_LIVE = frozenset({"monitors", "destinations", "outbound", "budget", "teams", "policy"})
"""What a change of the file changes in a running process."""

AGAIN_SECONDS = 10.0
"""Between two tries of a file that was refused."""

log = structlog.get_logger()


class Configuration:
    """Reads the file again when it has changed. One that is wrong is reported, and what was read before stays in force; it is tried
    again now and then, for it may name a secret that comes a moment later."""

    def __init__(
        self, path: Path | None, declarations: Declarations, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._declarations = declarations
        self.followers: list[Callable[[Settings], object]] = []
        """Told of each new reading before its monitors are published; one that can't go by it says so."""
        self._started_with = _fixed(settings)
        self._seen = self._stamp()
        self._clock = clock
        self._again = 0.0
        self.problem = ""
        """What is wrong with the file as it stands now."""

    def step(self) -> int:
        """Publishes what has changed; returns how many monitors that were."""
        stamp = self._stamp()
        refused = self.problem and self._clock() >= self._again
        if self._path is None or (stamp == self._seen and not refused):
            return 0
        try:
            changed = self._publish(load(self._path), self._path)
        except UnavailableError:
            raise  # the store's: to be tried again
        except DriftgateError as error:
            if (stamp, str(error)) != (self._seen, self.problem):
                log.warning("configuration refused", file=str(self._path), reason=str(error))
            self._seen, self.problem, self._again = stamp, str(error), self._clock() + AGAIN_SECONDS
            return 0
        self._seen, self.problem = stamp, ""
        return changed

    def _publish(self, settings: Settings, path: Path) -> int:
        for follow in self.followers:
            follow(settings)
        published = self._declarations.publish(settings.monitors, self._declarations.origin(path))
        changed = [*published, *self._declarations.inherit(partial(accepted, settings))]
        fixed = _fixed(settings)
        later = sorted(name for name in fixed if fixed[name] != self._started_with[name])
        log.info("configuration read", file=str(path), monitors=changed, **({"at_the_next_start": later} if later else {}))
        return len(changed)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return -1, -1, -1  # being replaced, or gone: reading it says so
        return (found.st_ino, found.st_mtime_ns, found.st_size) if found else (0, 0, 0)


def _fixed(settings: Settings) -> Mapping[str, Any]:
    """What a process is started with."""
    return {name: getattr(settings, name) for name in type(settings).model_fields if name not in _LIVE}


def accepted(settings: Settings, monitor: str, document: Mapping[str, Any]) -> MonitorSettings:
    """A monitor that came by API. What it reads from disk must lie below the installation's directory: whoever may declare a monitor
    may not read the machine's files."""
    if document.get("name", monitor) != monitor:
        raise InputError("name", f"name: {document['name']!r:.80} is not the monitor {monitor!r} of the address")
    destinations = [destination.model_dump() for destination in settings.destinations]
    whole = {
        "monitors": [{**document, "name": monitor}],
        "destinations": destinations,
        "teams": [team.model_dump() for team in settings.teams],
        "policy": {"defaults": settings.policy.defaults},
    }
    try:
        (found,) = parse(whole, base=settings.directory, origin=f"monitor {monitor}", environment=False).monitors
        settings.require_own_topic(found)
    except (ConfigurationError, ValueError) as error:
        raise InputError("invalid", str(error)) from error
    for path in filter(None, (found.embedder.model, found.embedder.tokenizer)):
        if not path.resolve().is_relative_to(settings.directory.resolve()):
            raise InputError("path", f"embedder: {path} lies outside of {settings.directory}; put the model below it")
    key = found.privacy.key_file if "key_file" in (document.get("privacy") or {}) else None  # a policy may name one anywhere
    if key is not None and not key.resolve().is_relative_to(settings.directory.resolve()):
        raise InputError("path", f"privacy.key_file: {key} lies outside of {settings.directory}; put the key below it")
    return found


def admitted(settings: Settings, monitor: str, document: Mapping[str, Any]) -> MonitorSettings:
    """The same of one that is declared or changed just now: its team must have room for it."""
    found = accepted(settings, monitor, document)
    require_room(settings, found)
    return found
