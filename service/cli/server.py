"""Whether a server runs at the configured address, how it does, or whether one could start there."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from typing import Literal

import msgspec

from service.access import Access
from service.access.configured import metrics_token
from service.errors import ConfigurationError
from service.settings import Settings

Said = tuple[str, str, str]
"""Level, what is the case, remedy."""

_SECONDS = 5.0
_MOST_BYTES = 10_000_000
_ANOTHER_PORT = "stop it, or choose another port (DRIFTGATE__SERVER__PORT)"
_BACKLOG = re.compile(r"^driftgate_ingest_backlog_bytes (\S+)$", re.MULTILINE)


class _Ready(msgspec.Struct):
    """Of `/readyz`, as older servers have it too."""

    status: Literal["ready", "waiting"]
    waiting_for: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    reasons: dict[str, str] = {}
    notes: dict[str, str] = {}


def examine_server(settings: Settings) -> Iterator[Said]:
    """A server that answers is asked how it does; without one the port must be free."""
    host, port = settings.server.host, settings.server.port
    if port == 0:
        yield "ok", "takes any free port", ""
        return
    try:
        status, _ = _ask(settings, "/healthz")
    except TimeoutError:
        yield "fail", f"something listens on port {port} and does not answer within {_SECONDS:g} s", "its log says why; restart it"
        return
    except OSError:
        yield _free(host, port)
        return
    except http.client.HTTPException:
        status = 0
    if status not in (200, 503):
        yield "fail", f"something else answers on port {port}", _ANOTHER_PORT
        return
    if status == 503:
        yield "fail", "runs, but a part of it hangs", "its log says why; restart it"
    yield from _running(settings)


def _running(settings: Settings) -> Iterator[Said]:
    try:
        yield from _readiness(settings, *_ask(settings, "/readyz"))
        metrics_status, metrics = _ask(settings, "/metrics")
    except (OSError, http.client.HTTPException) as error:
        yield "fail", f"stopped answering: {error}", "its log says why"
        return
    found = _BACKLOG.search(metrics.decode("utf-8", "replace")) if metrics_status == 200 else None
    if found is not None:
        yield _backlog(float(found.group(1)), settings.log.backlog_bytes)


def _readiness(settings: Settings, status: int, answer: bytes) -> Iterator[Said]:
    """What `/readyz` said: what is waited for and why, what is noted, and whether it is this installation's server at all."""
    try:
        said = msgspec.json.decode(answer, type=_Ready)
    except msgspec.MsgspecError:
        yield "fail", f"what answers on port {settings.server.port} is no driftgate", _ANOTHER_PORT
        return
    lacking = [monitor.name for monitor in settings.monitors if monitor.name not in said.monitors] if said.monitors else []
    if lacking:
        says = f"runs for another installation: it watches {', '.join(said.monitors)}, and not {', '.join(lacking)}"
        yield "fail", says, f"{_ANOTHER_PORT}; or, if it is this one's, see its log for why it has not read the configuration"
        return
    if status == 200:
        yield "ok", "runs and is ready", ""
    for name in said.waiting_for:
        if name in said.reasons:
            yield "fail", f"runs and waits for: {name}: {said.reasons[name]}", ""
        else:
            yield "fail", f"runs and waits for: {name}", "it says why to those who have its token"
    for name, note in said.notes.items():
        yield "ok" if name == "leader" else "warn", f"{name}: {note}", ""


def _backlog(waiting: float, cap: int) -> Said:
    says = f"backlog of {waiting / 1e6:,.1f} MB, {waiting / cap:.0%} of log.backlog_bytes"
    if waiting > 0.5 * cap:
        return "warn", says, "samples come faster than they are embedded; at 100 % senders get 429"
    return "ok", says, ""


def _free(host: str, port: int) -> Said:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return "fail", f"can't listen on {host} port {port}: {error.strerror}", "choose another server.host or server.port"
    return "ok", f"not running; {host} port {port} is free", ""


def live_metrics(settings: Settings) -> str:
    """What the server that runs tells Prometheus. ConfigurationError says why nothing is to be had: none answers, or not to this token."""
    server = settings.server
    host, port = (server.host, server.port) if server.metrics_port is None else (server.metrics_host or server.host, server.metrics_port)
    try:
        asked = metrics_token(settings)
        token = Access.of(settings).token if server.metrics_port is None else asked and asked()
        status, answer = _request(host, port, "/metrics", token)
    except (OSError, http.client.HTTPException) as error:
        raise ConfigurationError(f"no server answers on {host} port {port} ({type(error).__name__}: {error})") from error
    if status != 200:
        raise ConfigurationError(f"what answers on {host} port {port} says {status} to /metrics; DRIFTGATE__INGEST_TOKEN may hold a token")
    text = answer.decode("utf-8", "replace")
    if not text.startswith("# ") or "\ndriftgate_" not in text:
        raise ConfigurationError(f"what answers on {host} port {port} is no driftgate")
    return text


def _ask(settings: Settings, path: str) -> tuple[int, bytes]:
    """Of the server, with the configured token."""
    try:
        token = Access.of(settings).token
    except ConfigurationError:
        token = None
    return _request(settings.server.host, settings.server.port, path, token)


def _request(host: str, port: int, path: str, token: str | None) -> tuple[int, bytes]:
    """Over loopback where the server listens everywhere."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST_BYTES)
    finally:
        connection.close()
