"""News through Apprise, which reaches what nothing else here does: e-mail, chats, telephones. An extra: driftgate[notify]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import ConfigurationError, DeliveryError
from service.notifying.wording import Message, message
from service.records import OutboxItem
from service.settings import AppriseDestination as Declared
from service.settings import read_urls

if TYPE_CHECKING:
    import apprise

_KINDS = {"critical": "failure", "warning": "warning", "info": "info"}


class AppriseDestination:
    """Every address is told; it has not arrived until all were."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._receivers()

    def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """Apprise says no more than that it failed; its own log names the address."""
        try:
            receivers = self._receivers()
        except ConfigurationError as error:
            raise DeliveryError(str(error), retryable=True) from error
        said = message(item)
        kind = "success" if said.over else _KINDS[said.severity]
        if not receivers.notify(title=said.subject, body=_body(said), notify_type=kind, body_format="text", interpret_escapes=False):
            raise DeliveryError(f"destination {self._declared.name}: Apprise could not tell everybody", retryable=True)

    def close(self) -> None:
        """Nothing is kept open."""

    def _receivers(self) -> apprise.Apprise:
        """From the addresses as they stand now; none of them is ever shown, as they hold passwords."""
        try:
            import apprise as library  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigurationError(f"destination {self._declared.name}: type apprise needs apprise: install driftgate[notify]") from error
        receivers = library.Apprise()
        for number, url in enumerate(read_urls(self._declared), 1):
            if not receivers.add(url):
                origin = self._declared.url_env or self._declared.url_file
                raise ConfigurationError(f"destination {self._declared.name}: address {number} of {origin} is none that Apprise knows")
        return receivers


def _body(said: Message) -> str:
    lines = [said.text, "", *(f"{name}: {value}" for name, value in said.facts), *(f"{label}: {address}" for label, address in said.links)]
    return "\n".join([*lines, *([said.todo] if said.todo else [])])
