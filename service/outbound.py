"""HTTP to where the configuration says, and to nothing inside the network that `outbound.allow` does not name.

A name is resolved once and every address that it has is checked; the connection goes to the very address that was checked, so a name
that leads elsewhere a moment later leads nowhere. Redirects are answers, never followed.

With a proxy (`outbound.proxy`) what lies outside the network is reached through it, by name: the proxy resolves the name again, so where
that leads is the proxy's to say. What our own resolver finds inside the network never goes there: it is reached directly, or refused. Nor
does a host that `outbound.allow` names, or a name that our resolver has not answered for: only one that it says does not exist.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Self, TypeAlias

import httpx2

from service.errors import DeliveryError
from service.settings import OutboundSettings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_RETRYABLE_CLIENT_ERRORS = frozenset({408, 425, 429})
_LIMITED = "x-ratelimit-remaining"
"""GitHub answers 403 where others answer 429, and says so here."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What inside the network may be reached: hosts by name, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """As `outbound.allow` lists them, which has been checked."""
        networks = {name: network for name in names if (network := network_of(name)) is not None}
        return cls(frozenset(_plain(name) for name in names if name not in networks), tuple(networks.values()))

    def names(self, host: str, address: Address) -> bool:
        """Whether the host, or the network of its address, is listed."""
        return _plain(host) in self.hosts or any(address in network for network in self.networks if network.version == address.version)

    def holds(self, host: str, address: Address) -> bool:
        """Whether the host may be reached at this address. A name that is allowed does not lead to what only a network says: the link's
        own addresses, where clouds hand out credentials, and none at all."""
        if any(address in network for network in self.networks if network.version == address.version):
            return True
        special = address.is_link_local or address.is_multicast or address.is_unspecified
        return _is_public(address) or (_plain(host) in self.hosts and not special)


def network_of(name: str) -> Network | None:
    """The network, or the single address, that an entry is; None where it is a name."""
    try:
        return ipaddress.ip_network(name)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where what lies outside is connected through."""

    url: str
    credentials: Path | None = None
    """File with `user:password`."""


class GuardedTransport(httpx2.BaseTransport):
    """Resolves the host once, refuses addresses that are not allowed, and connects to the very address that was checked."""

    def __init__(self, allowed: Allowed, proxy: Proxy | None = None) -> None:
        self._allowed = allowed
        self._transport = httpx2.HTTPTransport()
        self._proxied = None if proxy is None else _ProxiedTransport(proxy)

    @classmethod
    def of(cls, settings: OutboundSettings) -> Self:
        """As configured."""
        return cls(Allowed.of(settings.allow), _proxy(settings))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Tries the host's addresses in the resolver's order; name and certificate stay the host's."""
        host = request.url.host
        try:
            found = _resolved(host, request.url.port)
        except (OSError, UnicodeError) as error:
            if self._proxied is not None and self._is_outside(host, error):  # the proxy may well know names that nobody knows here
                return self._proxied.handle_request(request)
            raise DeliveryError(f"{host}: can't be resolved ({error})", retryable=True) from error
        self._require_allowed(host, found)
        if self._proxied is not None and not all(self._allowed.names(host, _address(text)) for text in found):
            return self._proxied.handle_request(request)
        return self._directly(request, found)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._transport.close()
        if self._proxied is not None:
            self._proxied.close()

    def _is_outside(self, host: str, error: Exception) -> bool:
        """Of a name without an address. A resolver that can't answer at the moment may know it as one inside."""
        unknown = isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
        return unknown and _plain(host) not in self._allowed.hosts

    def _directly(self, request: httpx2.Request, addresses: Sequence[str]) -> httpx2.Response:
        *others, last = addresses
        for address in others:
            try:
                return self._transport.handle_request(_pinned(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return self._transport.handle_request(_pinned(request, last))

    def _require_allowed(self, host: str, addresses: Sequence[str]) -> None:
        refused = [text for text in addresses if not self._allowed.holds(host, _address(text))]
        if refused:
            raise DeliveryError(
                f"{host}: {refused[0]} is inside the network; name the host or its network in outbound.allow if that is meant",
                retryable=False,
            )


class _ProxiedTransport(httpx2.BaseTransport):
    """Through the proxy, with the credentials that its file holds now."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._credentials: tuple[str, str] | None = None
        self._transport: httpx2.HTTPTransport | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The name goes as it is."""
        credentials = _credentials(self._proxy)
        if self._transport is None or credentials != self._credentials:
            self.close()
            self._transport = httpx2.HTTPTransport(proxy=httpx2.Proxy(self._proxy.url, auth=credentials))
            self._credentials = credentials
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        if self._transport is not None:
            self._transport.close()


class Outgoing:
    """POSTs to one receiver or several; what an answer means for a delivery is said here for all of them."""

    def __init__(self, allow: Sequence[str] = (), *, proxy: Proxy | None = None, timeout: float = 20.0) -> None:
        # A proxy from the environment would be asked for what is inside the network too, past the check of its address.
        transport = GuardedTransport(Allowed.of(allow), proxy)
        self._client = httpx2.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)

    @classmethod
    def of(cls, settings: OutboundSettings, *, timeout: float) -> Self:
        """As configured."""
        return cls(settings.allow, proxy=_proxy(settings), timeout=timeout)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, now: float) -> None:
        """Returns on 2xx; DeliveryError names the host alone: the rest of an address may be a secret."""
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise DeliveryError("the address can't be read: is it `https://…`?", retryable=False) from error
        try:
            with self._client.stream("POST", address, content=body, headers={"user-agent": "driftgate", **headers}) as response:
                failure = _failure(address.host, response, now)
        except httpx2.TimeoutException as error:
            raise DeliveryError(f"{address.host}: no answer in time", retryable=True) from error
        except httpx2.TransportError as error:
            raise DeliveryError(f"{address.host}: {str(error) or type(error).__name__}", retryable=True) from error
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._client.close()


def _proxy(settings: OutboundSettings) -> Proxy | None:
    return None if settings.proxy is None else Proxy(settings.proxy, settings.proxy_credentials_file)


def _credentials(proxy: Proxy) -> tuple[str, str] | None:
    if proxy.credentials is None:
        return None
    field = f"outbound.proxy_credentials_file {proxy.credentials}"
    try:
        user, colon, password = proxy.credentials.read_text(encoding="utf-8").strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{field}: can't be read: {error}", retryable=True) from error
    if not user or not colon:
        raise DeliveryError(f"{field}: holds no `user:password`", retryable=True)
    return user, password


def _resolved(host: str, port: int | None) -> Sequence[str]:
    """Its addresses, in the resolver's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _address(text: str) -> Address:
    """The one to which it leads in the end."""
    return _innermost(ipaddress.ip_address(text.partition("%")[0]))


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast


def _innermost(address: Address) -> Address:
    """The IPv4 address to which an IPv6 address leads: mapped, 6to4 or NAT64; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _failure(host: str, response: httpx2.Response, now: float) -> DeliveryError | None:
    """None for 2xx; otherwise whether, and from when on, trying again can help."""
    status = response.status_code
    if response.is_success:
        return None
    if status == 410:
        return DeliveryError(f"{host}: 410, the receiver is gone for good", retryable=False, gone=True)
    if 300 <= status < 400:
        return DeliveryError(f"{host}: {status}, redirects are not followed; configure the final address", retryable=True)
    limited = status == 403 and (response.headers.get(_LIMITED) == "0" or "retry-after" in response.headers)
    retryable = status >= 500 or status in _RETRYABLE_CLIENT_ERRORS or limited
    return DeliveryError(f"{host}: {status} {response.reason_phrase}", retryable=retryable, retry_after=_retry_after(response, now))


def _retry_after(response: httpx2.Response, now: float) -> float | None:
    """Seconds, from either form of the header; None if there is none that can be read."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None
