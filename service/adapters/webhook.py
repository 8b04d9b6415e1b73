"""Signed webhooks over HTTP, which reach nothing inside the network unless that is allowed."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import msgspec

from service.errors import DeliveryError
from service.records import OutboxItem
from service.signatures import Secret, sign

_RETRYABLE_CLIENT_ERRORS = frozenset({408, 425, 429})

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class WebhookDestination:
    """POSTs items as Standard Webhooks to one URL."""

    def __init__(self, url: str, secret: Secret, *, timeout: float = 20.0, allow_private: bool = False) -> None:
        self._url = httpx2.URL(url)
        self._secret = secret
        transport = httpx2.HTTPTransport() if allow_private else PublicTransport()
        # A proxy from the environment would resolve the host itself, past the check of its address.
        self._client = httpx2.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """Returns on 2xx; the body is the same at every attempt, the signature's timestamp is the attempt's."""
        occurred = datetime.fromtimestamp(item.created, UTC)
        body = msgspec.json.encode({"type": item.kind, "timestamp": occurred, "data": item.payload})
        headers = {
            "content-type": "application/json",
            "user-agent": "driftgate",
            **sign([self._secret], id=item.id, timestamp=int(now), body=body),
        }
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                failure = _failure(self._url.host, response, now)
        except httpx2.TimeoutException as error:
            raise DeliveryError(f"{self._url.host}: no answer in time", retryable=True) from error
        except httpx2.TransportError as error:
            raise DeliveryError(f"{self._url.host}: {str(error) or type(error).__name__}", retryable=True) from error
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._client.close()


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


def _failure(host: str, response: httpx2.Response, now: float) -> DeliveryError | None:
    """None for 2xx; otherwise whether, and from when on, trying again can help."""
    status = response.status_code
    if response.is_success:
        return None
    if status == 410:
        return DeliveryError(f"{host}: 410, the receiver is gone for good", retryable=False)
    if 300 <= status < 400:
        return DeliveryError(f"{host}: {status}, redirects are not followed; configure the final address", retryable=True)
    retryable = status >= 500 or status in _RETRYABLE_CLIENT_ERRORS
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
