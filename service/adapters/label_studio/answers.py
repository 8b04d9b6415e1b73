"""Annotations as labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.adapters.label_studio.client import Client
from service.adapters.label_studio.form import word
from service.adapters.label_studio.tasks import BATCH, ID
from service.records import Label

_LONGEST = 200
"""Characters of a word, as the API takes them."""


class Annotators:
    """Who they are: their email address, else their number."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: dict[int, str] = {}

    def __call__(self, completed_by: Any) -> str:
        """`completed_by` is a number, or a document with one."""
        number = completed_by.get("id") if isinstance(completed_by, Mapping) else completed_by
        if not isinstance(number, int):
            return ""
        if number not in self._names:
            self._names |= {user["id"]: user.get("email") or str(user["id"]) for user in self._client.ask("GET", "api/users/")}
            self._names.setdefault(number, str(number))
        return self._names[number]


def labels_of(task: Mapping[str, Any], annotations: Sequence[Any], name: Callable[[Any], str], monitor: str) -> Iterator[Label]:
    """What the annotations of a task say, the newest of each annotator last; skipped and empty ones say nothing."""
    data = task.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get(ID), str) or not isinstance(data.get(BATCH), str):
        return
    for annotation in sorted((each for each in annotations if isinstance(each, Mapping)), key=_updated):
        result = annotation.get("result")
        said = word(result) if isinstance(result, list) and not annotation.get("was_cancelled") else None
        if said:
            yield Label(monitor, data[BATCH], data[ID], said[:_LONGEST], _updated(annotation), name(annotation.get("completed_by")))


def _updated(annotation: Mapping[str, Any]) -> float:
    """When it was last changed; the epoch where that can't be read."""
    try:
        moment = datetime.fromisoformat(str(annotation.get("updated_at")))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
