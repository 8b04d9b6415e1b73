"""HTTP to where the configuration says, and to nothing inside the network that `outbound.allow` does not name.

A name is resolved once and every address that it has is checked; the connection goes to the very address that was checked, so a name
that leads elsewhere a moment later leads nowhere. Redirects are answers, never followed.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Self, TypeAlias

import httpx2

from service.errors import DeliveryError

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


class GuardedTransport(httpx2.BaseTransport):
    """Resolves the host once, refuses addresses that are not allowed, and connects to the very address that was checked."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._transport = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Tries the host's addresses in the resolver's order; name and certificate stay the host's."""
        *others, last = self._addresses(request.url.host, request.url.port)
        for address in others:
            try:
                return self._transport.handle_request(_pinned(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return self._transport.handle_request(_pinned(request, last))

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._transport.close()

    def _addresses(self, host: str, port: int | None) -> Sequence[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise DeliveryError(f"{host}: can't be resolved ({error})", retryable=True) from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        refused = [address for address in addresses if not self._allows(host, address)]
        if refused:
            raise DeliveryError(
                f"{host}: {refused[0]} is inside the network; name the host or its network in outbound.allow if that is meant",
                retryable=False,
            )
        return addresses

    def _allows(self, host: str, text: str) -> bool:
        address = ipaddress.ip_address(text.partition("%")[0])
        return self._allowed.holds(host, _innermost(address))


class Outgoing:
    """POSTs to one receiver or several; what an answer means for a delivery is said here for all of them."""

    def __init__(self, allow: Sequence[str] = (), *, timeout: float = 20.0) -> None:
        # A proxy from the environment would resolve the host itself, past the check of its address.
        transport = GuardedTransport(Allowed.of(allow))
        self._client = httpx2.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)

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
