"""What the configuration says about access: where the server listens, and its secrets."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from service.access.kept import KeptSecret
from service.access.origins import is_loopback
from service.access.proxies import TrustedProxy
from service.errors import ConfigurationError
from service.links import secrets_of
from service.records import Role
from service.settings import TOKEN, AccessSettings, Settings
from service.signatures import Secret

_PURPOSE = b"driftgate sessions 1"


@dataclass(frozen=True, slots=True)
class Access:
    """The rules for one server: what it asks for depends on where it listens."""

    loopback: bool
    token: str | None = field(default=None, repr=False)
    """The configured one at the start, beside those that the store has."""
    token_now: KeptSecret | None = field(default=None, repr=False)
    """Instead of it: read anew when its file changes."""
    webhook_secrets: tuple[Secret, ...] = ()
    """Several while they are rotated."""
    webhook_secret_file: Path | None = None
    """Instead of them: read anew for each delivery, so that a rotation needs no restart."""
    role: Role = Role.ADMIN
    """Of the configured token."""
    proxy: TrustedProxy | None = None
    public_url: str | None = None
    settings: AccessSettings = field(default_factory=AccessSettings)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs sessions and forms."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """ConfigurationError where a secret can't be read, or is none."""
        proxy, token = settings.access.trusted_header, _token(settings)
        access = cls(
            is_loopback(settings.server.host),
            token if token is None or isinstance(token, str) else token(),
            token if isinstance(token, KeptSecret) else None,
            _webhook_secrets(settings),
            settings.server.webhook_secret_file,
            role=Role(settings.server.ingest_token_role),
            proxy=None if proxy is None else TrustedProxy.of(proxy, settings.proxy_secret),
            public_url=settings.server.public_url,
            settings=settings.access,
        )
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

    def configured(self) -> str | None:
        """The configured token, as it is now."""
        return self.token if self.token_now is None else self.token_now()

    def matches(self, given: str) -> bool:
        """Whether this is the configured token."""
        own = self.configured()
        return own is not None and hmac.compare_digest(given.encode(), own.encode())


def session_key(settings: Settings) -> bytes:
    """Derived from the link secret, so that every replica knows the sessions of the others."""
    return hmac.digest(secrets_of(settings)[0].encode(), _PURPOSE, hashlib.sha256)


def _token(settings: Settings) -> str | KeptSecret | None:
    """The environment's token, else the file's."""
    return _kept(settings.ingest_token, "DRIFTGATE__INGEST_TOKEN", settings.server.ingest_token_file, "server.ingest_token_file")


def metrics_token(settings: Settings) -> Callable[[], str] | None:
    """What the port of the metrics asks for: the environment's token, else the file's; None where it asks for nothing."""
    found = _kept(settings.metrics_token, "DRIFTGATE__METRICS_TOKEN", settings.server.metrics_token_file, "server.metrics_token_file")
    return (lambda: found) if isinstance(found, str) else found


def _kept(given: SecretStr | None, variable: str, path: Path | None, field: str) -> str | KeptSecret | None:
    if given is not None:
        return _checked(given.get_secret_value(), variable)
    return None if path is None else KeptSecret(lambda: _checked(_text(path, field).strip(), f"{field} ({path})"))


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
