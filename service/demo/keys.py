"""Secrets of a trial, so that nobody has to make up any: each file that the configuration names and that is not there yet."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.app import redis_users
from service.errors import ConfigurationError
from service.settings import Settings

_BYTES = 32
_READABLE = 0o444
"""By every user of the containers that mount it: they differ, and what keeps others out is that they do not mount it."""


def make_secrets(settings: Settings, *, redis_acl: Path | None = None, others: Sequence[Path] = ()) -> Sequence[Path]:
    """Writes what is missing, and returns what it wrote; what is there stays. `redis_acl`: an ACL file for Redis, which goes with the
    password."""
    made = [file for file in (*_named(settings), *others) if not file.exists()]
    for file in made:
        _put(file, secrets.token_hex(_BYTES))
    if redis_acl is None:
        return made
    password = _password_file(settings)
    if redis_acl.exists() and password not in made:
        return made
    _put(redis_acl, redis_users(settings, password.read_text(encoding="ascii").strip()))
    return [*made, redis_acl]


def _named(settings: Settings) -> Iterator[Path]:
    files = [settings.server.ingest_token_file, settings.server.metrics_token_file, settings.redis and settings.redis.password_file]
    yield from (file for file in files if file)


def _password_file(settings: Settings) -> Path:
    file = settings.redis and settings.redis.password_file
    if not file:
        raise ConfigurationError("redis.password_file: an ACL file goes with a password; name its file")
    return file


def _put(file: Path, content: str) -> None:
    """Whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{content.rstrip()}\n", encoding="ascii")
        draft.chmod(_READABLE)
        draft.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file}: can't be written: {error.strerror}") from error
