"""News as messages of an incoming webhook: blocks for Slack, and the same as text for what takes Slack's form without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.errors import ConfigurationError, DeliveryError
from service.notifying.wording import Message, message
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import SlackDestination as Declared
from service.settings import read_urls

_HEADER, _SECTION, _FIELD, _FIELDS = 150, 3_000, 2_000, 10
"""Characters that Slack takes of a header, a section and a field; and fields of a section."""
_MARKS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
_OVER = "🟢"
_ZERO_WIDTH = "\u200b"


class SlackDestination:
    """Posts each item once; the address is read anew for each."""

    def __init__(self, declared: Declared, outgoing: Outgoing) -> None:
        self._declared = declared
        self._outgoing = outgoing
        _address(declared)

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """Slack knows no idempotency key: a message whose answer was lost is shown twice."""
        try:
            url = _address(self._declared)
        except ConfigurationError as error:
            raise DeliveryError(str(error), retryable=True) from error
        self._outgoing.post(url, msgspec.json.encode(blocks(message(item))), {"content-type": "application/json"}, now=now)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._outgoing.close()


def blocks(said: Message) -> dict[str, Any]:
    """Header, sentence, facts, links and command; `text` has all of it for notifications and for Mattermost."""
    mark = _OVER if said.over else _MARKS[said.severity]
    links = " · ".join(f"<{_link(address)}|{escaped(label)}>" for label, address in said.links)
    facts = said.facts[:_FIELDS]
    found: list[Mapping[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": f"{mark} {said.subject}"[:_HEADER], "emoji": True}},
        _section(escaped(said.text)[:_SECTION]),
    ]
    if facts:
        fields = [{"type": "mrkdwn", "text": f"*{escaped(name)}*\n{escaped(value)}"[:_FIELD]} for name, value in facts]
        found.append({"type": "section", "fields": fields})
    last = "  ".join(part for part in (links, _command(said.todo)) if part)
    if last:
        found.append({"type": "context", "elements": [{"type": "mrkdwn", "text": last[:_SECTION]}]})
    lines = [
        f"{mark} *{escaped(said.subject)}*",
        escaped(said.text),
        *(f"{escaped(name)}: {escaped(value)}" for name, value in facts),
        last,
    ]
    return {"text": "\n".join(line for line in lines if line)[:_SECTION], "blocks": found, "unfurl_links": False, "unfurl_media": False}


def escaped(text: str) -> str:
    """As Slack asks for, so that nothing in it mentions a channel or leads anywhere; emphasis is broken up, line by line."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("@", f"@{_ZERO_WIDTH}").replace("`", "'")


def _command(todo: str) -> str:
    return f"`{escaped(todo.strip('`'))}`" if todo else ""


def _section(text: str) -> Mapping[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _link(address: str) -> str:
    return address.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C")


def _address(declared: Declared) -> str:
    found = read_urls(declared)
    if len(found) != 1 or not found[0].startswith(("https://", "http://")):
        origin = declared.url_env or declared.url_file
        raise ConfigurationError(f"destination {declared.name}: {origin} holds the address of one incoming webhook, `https://…`")
    return found[0]
