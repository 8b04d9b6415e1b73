"""A client for what the settings name: one server or a primary behind Sentinels, in clear or over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.retry import Retry
from redis.sentinel import Sentinel

from service.adapters.redis_store.server import Server
from service.errors import ConfigurationError
from service.settings import RedisSettings
from service.settings.parts import TlsSettings

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
"""Longer than any script takes: a server that is silent for so long is hung or gone."""


def connect(settings: RedisSettings, password: str | None = None) -> Server:
    """Asks the server nothing yet. The client repeats nothing by itself: whoever sent a commit must know that it may be in.

    `password` is the environment's; a file that the settings name comes first, and is read for each connection.
    """
    options: dict[str, Any] = {
        **_identity(settings, password),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,  # a user with no more than the needed rights may not tell the client's name
    }
    if settings.url is None:
        return Server(_behind_sentinels(settings, options | ({"ssl": True, **_tls(settings.tls)} if settings.tls else {})), settings.prefix)
    if settings.tls and not settings.url.startswith("rediss:"):
        raise ConfigurationError("redis.tls is given, but redis.url begins with redis://: write rediss://")
    client = redis.Redis.from_url(settings.url, **options, **(_tls(settings.tls) if settings.tls else {}))
    return Server(client, settings.prefix)


class _FromFile(CredentialProvider):
    """Asked at each connection, so that a changed password needs no restart."""

    def __init__(self, user: str | None, file: Path) -> None:
        self._user = user
        self._file = file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """The user, where there is one, and the password as it stands."""
        password = _password(self._file)
        return (password,) if self._user is None else (self._user, password)


def _identity(settings: RedisSettings, password: str | None) -> dict[str, Any]:
    if settings.password_file is None:
        return {"username": settings.user, "password": password}
    _password(settings.password_file)  # one that is missing is said now
    return {"credential_provider": _FromFile(settings.user, settings.password_file)}


def _password(file: Path) -> str:
    try:
        found = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"redis.password_file {file}: {error.strerror}") from error
    if not found:
        raise ConfigurationError(f"redis.password_file {file}: holds no password")
    return found


def _behind_sentinels(settings: RedisSettings, options: dict[str, Any]) -> redis.Redis:
    addresses = [_address(sentinel) for sentinel in settings.sentinels]
    asked = {name: value for name, value in options.items() if name not in ("username", "password", "credential_provider")}
    sentinel: Any = Sentinel
    primary: redis.Redis = sentinel(addresses, sentinel_kwargs=asked, **options).master_for(settings.service)
    return primary


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"redis.sentinels: expected host:port, found {text!r}")
    return host.strip("[]"), int(port)


def _tls(settings: TlsSettings) -> dict[str, Any]:
    files = {"ssl_ca_certs": settings.ca_file, "ssl_certfile": settings.certificate_file, "ssl_keyfile": settings.key_file}
    return {"ssl_check_hostname": settings.verify_name, **{name: str(path) for name, path in files.items() if path is not None}}
