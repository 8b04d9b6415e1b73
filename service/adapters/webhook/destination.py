"""Items sent to one URL: signed, with a bearer token where the receiver asks for one, both read anew for each delivery."""

from __future__ import annotations

from collections.abc import Callable

from service.adapters.webhook.formats import FORMS
from service.errors import ConfigurationError, DeliveryError
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import WebhookDestination as Declared
from service.settings import read_secrets, read_token
from service.signatures import Secret, sign


def _as_it_is(item: OutboxItem) -> OutboxItem:
    return item


class WebhookDestination:
    """POSTs items to one URL. `prepared` says what of an item is sent: links to samples, or the samples themselves."""

    def __init__(self, declared: Declared, outgoing: Outgoing, prepared: Callable[[OutboxItem], OutboxItem] = _as_it_is) -> None:
        self._declared = declared
        self._outgoing = outgoing
        self._prepared = prepared
        self._form = FORMS[declared.format]
        _authority(declared)  # a secret that is missing or none is said now

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """Returns on 2xx; the body is the same at every attempt, the signature's timestamp is the attempt's."""
        try:
            secrets, authorization = _authority(self._declared)
        except ConfigurationError as error:
            raise DeliveryError(str(error), retryable=True) from error
        form, body = self._form(self._prepared(item))
        headers = {**form, **authorization}
        if secrets:
            headers |= sign(secrets, id=item.id, timestamp=int(now), body=body)
        self._outgoing.post(self._declared.url, body, headers, now=now)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._outgoing.close()


def _authority(declared: Declared) -> tuple[list[Secret], dict[str, str]]:
    """By what the receiver knows us, as it stands in files and environment at this moment."""
    secrets = [Secret.parse(text) for text in read_secrets(declared)]
    token = read_token(declared)
    return secrets, {"authorization": f"Bearer {token}"} if token else {}
