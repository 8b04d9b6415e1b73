"""Items sent to one URL: signed, with a bearer token where the receiver asks for one, both read anew for each delivery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import httpx2

from service.adapters.webhook.formats import FORMS
from service.adapters.webhook.public_transport import PublicTransport
from service.errors import ConfigurationError, DeliveryError
from service.records import OutboxItem
from service.settings import WebhookDestination as Declared
from service.settings import read_secrets, read_token
from service.signatures import Secret, sign

_RETRYABLE_CLIENT_ERRORS = frozenset({408, 425, 429})
_LIMITED = "x-ratelimit-remaining"
"""GitHub answers 403 where others answer 429, and says so here."""


def _as_it_is(item: OutboxItem) -> OutboxItem:
    return item


class WebhookDestination:
    """POSTs items to one URL. `prepared` says what of an item is sent: links to samples, or the samples themselves."""

    def __init__(self, declared: Declared, prepared: Callable[[OutboxItem], OutboxItem] = _as_it_is) -> None:
        self._declared = declared
        self._prepared = prepared
        self._form = FORMS[declared.format]
        self._url = httpx2.URL(declared.url)
        _authority(declared)  # a secret that is missing or none is said now
        transport = httpx2.HTTPTransport() if declared.allow_private else PublicTransport()
        # A proxy from the environment would resolve the host itself, past the check of its address.
        self._client = httpx2.Client(transport=transport, timeout=declared.timeout, trust_env=False, follow_redirects=False)

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """Returns on 2xx; the body is the same at every attempt, the signature's timestamp is the attempt's."""
        try:
            secrets, authorization = _authority(self._declared)
        except ConfigurationError as error:
            raise DeliveryError(str(error), retryable=True) from error
        form, body = self._form(self._prepared(item))
        headers = {"user-agent": "driftgate", **form, **authorization}
        if secrets:
            headers |= sign(secrets, id=item.id, timestamp=int(now), body=body)
        self._send(headers, body, now)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._client.close()

    def _send(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        try:
            with self._client.stream("POST", self._url, content=body, headers=dict(headers)) as response:
                failure = _failure(self._url.host, response, now)
        except httpx2.TimeoutException as error:
            raise DeliveryError(f"{self._url.host}: no answer in time", retryable=True) from error
        except httpx2.TransportError as error:
            raise DeliveryError(f"{self._url.host}: {str(error) or type(error).__name__}", retryable=True) from error
        if failure is not None:
            raise failure


def _authority(declared: Declared) -> tuple[list[Secret], dict[str, str]]:
    """By what the receiver knows us, as it stands in files and environment at this moment."""
    secrets = [Secret.parse(text) for text in read_secrets(declared)]
    token = read_token(declared)
    return secrets, {"authorization": f"Bearer {token}"} if token else {}


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
