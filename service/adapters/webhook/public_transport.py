"""HTTP that reaches nothing inside the network: the address that was checked is the address that is connected to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import httpx2

from service.errors import DeliveryError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PublicTransport(httpx2.BaseTransport):
    """Resolves the host once, refuses addresses inside the network, and connects to the very address that was checked."""

    def __init__(self) -> None:
        self._transport = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Tries the host's addresses in the resolver's order; name and certificate stay the host's."""
        *others, last = _public_addresses(request.url.host, request.url.port)
        for address in others:
            try:
                return self._transport.handle_request(_pinned(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return self._transport.handle_request(_pinned(request, last))

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._transport.close()


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def _public_addresses(host: str, port: int | None) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise DeliveryError(f"{host}: can't be resolved ({error})", retryable=True) from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    inside = [address for address in addresses if not _is_public(address)]
    if inside:
        raise DeliveryError(
            f"{host}: {inside[0]} is inside the network; set allow_private: true for this destination if that is meant", retryable=False
        )
    return addresses


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = _inner_address(address) if isinstance(address, ipaddress.IPv6Address) else None
    return address.is_global and not address.is_multicast if inner is None else _is_public(str(inner))


def _inner_address(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which an IPv6 address leads: mapped, 6to4 or NAT64."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
