"""The files that an installation without servers keeps its state in, and who may work on them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service.adapters.sqlite import LOG_SCHEMA, STORE_SCHEMA, Schema, version_of
from service.errors import ConfigurationError
from service.settings import Settings

STORE, LOG, LOCK = "driftgate.sqlite", "ingest.sqlite", "serve.lock"
_SERVED = "another `driftgate serve` works in it; stop that one, or give this one a directory of its own"


@contextmanager
def alone(directory: Path, why: str = _SERVED) -> Iterator[None]:
    """Two that serve one directory would give the same offsets away twice; the lock goes with the process, however it ends."""
    with (directory / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"directory {directory}: {why}") from error
        yield


def files_of(settings: Settings) -> Mapping[Path, Schema]:
    """What is kept in SQLite, and what each file holds."""
    files = {} if settings.redis is not None else {settings.directory / STORE: STORE_SCHEMA}
    return files if settings.kafka is not None else {**files, settings.directory / LOG: LOG_SCHEMA}


@contextmanager
def led_up(settings: Settings) -> Iterator[Mapping[Path, Schema]]:
    """Those that this program leads up by opening them, while nobody else serves them; ConfigurationError where somebody does."""
    files = {path: schema for path, schema in files_of(settings).items() if 0 < version_of(path, schema) < schema.version}
    if not files:
        yield {}
        return
    names = ", ".join(path.name for path in files)
    with alone(settings.directory, f"an older `driftgate serve` works on {names}; end it, and start this version"):
        yield files
