"""What Label Studio tells by itself: unsigned and once, so it is let in by a shared token, and asking finds what was lost."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from service.adapters.label_studio.answers import Annotators, labels_of
from service.adapters.label_studio.client import Client
from service.errors import InputError
from service.records import Label

_TOLD = frozenset({"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"})


def hook_token(token: str, destination: str) -> str:
    """What Label Studio shows us, from what we show Label Studio: nothing more has to be kept or told."""
    return hmac.new(token.encode(), b"driftgate hook " + destination.encode(), hashlib.sha256).hexdigest()


class LabelStudioHook:
    """Lets Label Studio in by the token that it was given with the webhook."""

    def __init__(self, client: Client, token: Callable[[], str]) -> None:
        self._token = token
        self._annotators = Annotators(client)

    def admits(self, authorization: str) -> bool:
        """Whether the header holds the shared token."""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._token()}".encode())

    def read(self, body: bytes) -> Sequence[Label]:
        """The labels that it tells of, without their monitor; deletions, which name no task, are found by asking."""
        try:
            told = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise InputError("json", f"{error}; Label Studio's webhooks are JSON") from error
        if not isinstance(told, dict) or not isinstance(told.get("action"), str):
            raise InputError("json", "Label Studio's webhooks name an action; this has none")
        if told["action"] not in _TOLD:
            return []
        pairs = zip(_listed(told.get("task")), _listed(told.get("annotation")), strict=False)
        return [label for task, annotation in pairs for label in labels_of(task, [annotation], self._annotators, "")]


def _listed(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]
