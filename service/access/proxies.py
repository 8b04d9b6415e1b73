"""An authenticating proxy in front of the server: it says in headers who asks, and is believed by its address and its secret."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from pydantic import SecretStr

from service.access.kept import KeptSecret
from service.access.principals import Grant, Principal
from service.errors import ConfigurationError
from service.records import Role
from service.settings import TrustedHeaderSettings

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST = 200
_LEAST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """Whom to believe, and what those who come through it may do."""

    settings: TrustedHeaderSettings
    networks: tuple[_Network, ...]
    secret: Callable[[], str] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: TrustedHeaderSettings, secret: SecretStr | None) -> Self:
        """As configured; ConfigurationError where its secret is missing or can't be read."""
        return cls(settings, tuple(ipaddress.ip_network(text) for text in settings.proxies), _secret(settings, secret))

    def believed(self, address: str, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from the proxy itself."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        if not any(found in network for network in self.networks):
            return False
        given = headers.get(self.settings.secret_header.lower(), "")
        return self.secret is None or hmac.compare_digest(given.encode(), self.secret().encode())

    def principal(self, headers: Mapping[str, str]) -> Principal | None:
        """Whom the proxy names; None where it names nobody, or somebody none of whose groups has a role."""
        user = headers.get(self.settings.user_header.lower(), "").strip()
        if not user or len(user) > _LONGEST or not user.isprintable():
            return None
        groups = {group.strip() for group in headers.get(self.settings.groups_header.lower(), "").split(",")}
        granted = [grant for grant in self.settings.grants if grant.group in groups]
        if not granted:
            return None
        grants = tuple(Grant(Role(each.role), frozenset(each.teams), frozenset(each.monitors)) for each in granted)
        return Principal(user, grants, way="proxy")

    def client(self, address: str, headers: Mapping[str, str]) -> str:
        """The address behind the proxy: the last that it wrote down itself."""
        return headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64] or address


def _secret(settings: TrustedHeaderSettings, given: SecretStr | None) -> Callable[[], str] | None:
    """The environment's, else the file's as it is by then."""
    if given is not None:
        fixed = _checked(given.get_secret_value(), "DRIFTGATE__PROXY_SECRET")
        return lambda: fixed
    path = settings.secret_file
    return None if path is None else KeptSecret(lambda: _read(path))


def _read(path: Path) -> str:
    try:
        return _checked(path.read_text(encoding="utf-8").strip(), f"access.trusted_header.secret_file ({path})")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"access.trusted_header.secret_file: {path} can't be read: {error}") from error


def _checked(secret: str, origin: str) -> str:
    if len(secret) < _LEAST_CHARACTERS:
        found = f"at least {_LEAST_CHARACTERS} characters, found {len(secret)}"
        raise ConfigurationError(f"{origin}: the proxy's secret has {found}; `openssl rand -hex 32` makes one")
    return secret
