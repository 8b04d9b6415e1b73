"""Who may talk to the HTTP API.

On loopback without a token everything is open, but only under a loopback `Host`, so that a web page whose name
was pointed at this machine is refused. Off loopback a token is required from the start; it opens every route but the
probes, which are open, `POST /v1/annotations` and signed links, which carry a signature instead. `/metrics` and `/docs` need the
token too: Prometheus sends it with `authorization: {credentials_file: ...}`.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from service.errors import ConfigurationError
from service.links import PATH as LINKS
from service.settings import TOKEN, Settings
from service.signatures import Secret

PROBES = frozenset({"/healthz", "/readyz"})
SIGNED = "/v1/annotations"
HOOKS = "/v1/annotations/label-studio/"
EVENTS = "/v1/cloudevents/"


@dataclass(frozen=True, slots=True)
class Access:
    """The rules for one server: what it asks for depends on where it listens."""

    loopback: bool
    token: str | None = field(default=None, repr=False)
    webhook_secrets: tuple[Secret, ...] = ()
    """Several while they are rotated."""
    webhook_secret_file: Path | None = None
    """Instead of them: read anew for each delivery, so that a rotation needs no restart."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """ConfigurationError when the server would listen off loopback without a token."""
        host, token = settings.server.host, _token(settings)
        loopback = is_loopback(host)
        if token is None and not loopback:
            raise ConfigurationError(
                f"server.host is {host}, which others can reach: an ingest token is required. Set DRIFTGATE__INGEST_TOKEN or "
                "server.ingest_token_file (`openssl rand -hex 32` makes one), or listen on 127.0.0.1."
            )
        access = cls(loopback, token, _webhook_secrets(settings), settings.server.webhook_secret_file)
        access.secrets()  # what can't be read is said now
        return access

    @property
    def signed_annotations(self) -> bool:
        """Whether labels are taken by their signature."""
        return bool(self.webhook_secrets) or self.webhook_secret_file is not None

    @property
    def unsigned_annotations(self) -> bool:
        """Whether labels may come back without a signature: only where nobody else can reach the server."""
        return self.loopback and not self.signed_annotations

    def secrets(self) -> tuple[Secret, ...]:
        """Those that labels may be signed with now: the environment's, else the file's as it stands."""
        if self.webhook_secrets or self.webhook_secret_file is None:
            return self.webhook_secrets
        found = _parsed(_text(self.webhook_secret_file, "server.webhook_secret_file"))
        if not found:
            raise ConfigurationError(f"server.webhook_secret_file: no secret in {self.webhook_secret_file}; it holds `whsec_…`")
        return found

    def permits(self, path: str, headers: Mapping[str, str], *, method: str = "GET") -> bool:
        """Whether a request for `path` may go on; header names are in lower case. What is posted to hooks shows a token of its own, and
        what is signed may come by any name: that of a proxy is none of this machine's."""
        if path in PROBES or path.startswith(LINKS):
            return True
        if method == "POST" and (path.startswith(HOOKS) or (path == SIGNED and self.signed_annotations)):
            return True
        if self.token is None:
            return _local_name(headers.get("host", ""))
        return self._matches(_bearer(headers.get("authorization", ""))) or self._matches(_in_path(path))

    def _matches(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())


def is_loopback(host: str) -> bool:
    """Whether a server on `host` is reachable from this machine only; names other than localhost count as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(settings: Settings) -> str | None:
    """The environment's token, else the file's."""
    if settings.ingest_token is not None:
        return _checked(settings.ingest_token.get_secret_value(), "DRIFTGATE__INGEST_TOKEN")
    path = settings.server.ingest_token_file
    if path is None:
        return None
    return _checked(_text(path, "server.ingest_token_file").strip(), f"server.ingest_token_file ({path})")


def _webhook_secrets(settings: Settings) -> tuple[Secret, ...]:
    """DRIFTGATE__WEBHOOK_SECRET holds one secret, or several with spaces between them."""
    if settings.webhook_secret is None:
        return ()
    return _parsed(settings.webhook_secret.get_secret_value())


def _parsed(text: str) -> tuple[Secret, ...]:
    return tuple(map(Secret.parse, text.split()))


def _text(path: Path, field: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{field}: {path} can't be read: {error}") from error


def _checked(token: str, origin: str) -> str:
    if not TOKEN.fullmatch(token) or "/" in token:
        raise ConfigurationError(
            f"{origin}: a token has 16 to 512 printable ASCII characters without spaces and slashes, found {len(token)} characters. "
            "`openssl rand -hex 32` makes one."
        )
    return token


def _bearer(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def _in_path(path: str) -> str:
    """The (decoded) segment after `/v1/cloudevents/`, for senders that can't set headers."""
    return path.removeprefix(EVENTS) if path.startswith(EVENTS) else ""


def _local_name(host: str) -> bool:
    """Whether a `Host` header names this machine; HTTP/1.0 clients send none, browsers always do."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is None or name.endswith(".localhost") or is_loopback(name)
