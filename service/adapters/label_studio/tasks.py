"""Candidates as tasks, each of our ids once, although an import repeated is a task repeated."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from service.adapters.label_studio.client import Client, MissingError
from service.adapters.label_studio.form import choice
from service.errors import DeliveryError
from service.exhibits import image_type

ID, BATCH, PRIORITY = "driftgate_id", "driftgate_batch", "driftgate_priority"
"""Fields of a task's data."""

MODEL = "driftgate"
"""Who made the predictions."""

MOST_TASKS, MOST_BYTES = 100, 4_000_000
"""Of one import: what a kill can leave half done."""

_PAGE = 250
_SHOWN_NUMBERS = 64

Task = Mapping[str, Any]


def tag_of(candidates: Sequence[Mapping[str, Any]]) -> str:
    """How samples like these are shown."""
    return "Image" if any("image" in each or "link" in each for each in candidates) else "Text"


def task_of(payload: Mapping[str, Any], candidate: Mapping[str, Any]) -> Mapping[str, Any]:
    """A candidate as Label Studio takes it. Priorities are text that sorts like numbers: the project's view orders by it."""
    urgency = float(payload.get("priority") or 0) + float(candidate.get("priority") or 0.0)
    known = {name: candidate[name] for name in ("reason", "risk") if candidate.get(name) is not None}
    data = {
        **_shown(candidate),
        ID: candidate["driftgate_id"],
        BATCH: payload["batch"],
        PRIORITY: sortable(urgency),
        "segment": candidate.get("segment", ""),
        **known,
    }
    predicted = candidate.get("predicted")
    if predicted is None or predicted not in {each["name"] for each in payload["scheme"]["classes"]}:
        return {"data": data}
    # The lower the score, the sooner it is asked about where a project samples by uncertainty.
    prediction = {"model_version": MODEL, "score": round(1.0 / (1.0 + urgency), 6), "result": [choice(predicted)]}
    return {"data": data, "predictions": [prediction]}


def sortable(urgency: float) -> str:
    """So that text sorts as the number does."""
    return f"{min(max(urgency, 0.0), 99.0):09.6f}"


def _shown(candidate: Mapping[str, Any]) -> Mapping[str, Any]:
    if candidate.get("text"):
        return {"text": candidate["text"].replace("\0", "\N{REPLACEMENT CHARACTER}")}  # PostgreSQL takes none
    if "link" in candidate:
        return {"image": candidate["link"]}
    if "image" in candidate:
        media = image_type(base64.b64decode(candidate["image"][:16])).media
        return {"image": f"data:{media};base64,{candidate['image']}"}
    numbers = candidate.get("vector") or ()
    rest = f" … {len(numbers)} numbers in all" if len(numbers) > _SHOWN_NUMBERS else ""
    return {"text": " ".join(f"{number:.4g}" for number in numbers[:_SHOWN_NUMBERS]) + rest or "(empty)"}


class Tasks:
    """The tasks of one batch in one project."""

    def __init__(self, client: Client, project: int, batch: str) -> None:
        self._client = client
        self._project = project
        self._batch = batch

    def listed(self, *, annotations: bool = False) -> Sequence[Task]:
        """Oldest first."""
        asked = {"filter": f"filter:tasks:data.{BATCH}", "operator": "equal", "type": "String", "value": self._batch}
        query = json.dumps({"filters": {"conjunction": "and", "items": [asked]}, "ordering": ["tasks:id"]})
        params = {"project": self._project, "query": query, "page_size": _PAGE, "fields": "all" if annotations else "task_only"}
        found: dict[int, Task] = {}
        page = 1
        while True:
            try:
                answer = self._client.ask("GET", "api/tasks/", params={**params, "page": page})
            except MissingError:
                if page == 1:
                    raise
                break  # the page after the last
            found |= {task["id"]: task for task in answer["tasks"] if task["data"].get(BATCH) == self._batch}
            if len(answer["tasks"]) < _PAGE:
                break
            page += 1
        return [found[number] for number in sorted(found)]

    def bring(self, tasks: Sequence[Mapping[str, Any]], answers: Mapping[str, int]) -> None:
        """Imports those that are missing, and no more than once each; `answers` is how many annotators each wants."""
        listed = self.listed()
        there = {task["data"].get(ID) for task in listed}
        wanting = [task for task in tasks if task["data"][ID] not in there]
        for chunk in chunks(wanting):
            self._client.ask("POST", f"api/projects/{self._project}/import", params={"commit_to_project": "true"}, body=chunk)
        kept = self._once_each(self.listed() if wanting else listed)
        missing = [task["data"][ID] for task in tasks if task["data"][ID] not in kept]
        if missing:
            raise DeliveryError(
                f"Label Studio project {self._project}: {len(missing)} of {len(tasks)} tasks are not there yet after the import",
                retryable=True,
            )
        for name, wanted in answers.items():
            if kept[name].get("overlap") != wanted:
                self._client.ask("PATCH", f"api/tasks/{kept[name]['id']}/", body={"overlap": wanted})

    def urge(self, urgencies: Mapping[str, float]) -> None:
        """Changes the order in which they are asked about."""
        for task in self.listed():
            wanted = sortable(urgencies.get(task["data"].get(ID), 0.0))
            if task["data"].get(ID) in urgencies and task["data"].get(PRIORITY) != wanted:
                self._client.ask("PATCH", f"api/tasks/{task['id']}/", body={"data": {**task["data"], PRIORITY: wanted}})

    def withdraw(self) -> None:
        """Deletes those that nobody has answered."""
        for task in self.listed():
            if not _answered(task):
                self._delete(task)

    def forget(self, ids: Collection[str]) -> None:
        """Deletes these with whatever was answered to them."""
        try:
            listed = self.listed()
        except MissingError:
            return  # the project is gone, and they with it
        for task in listed:
            if task["data"].get(ID) in ids:
                self._delete(task)

    def _once_each(self, listed: Sequence[Task]) -> Mapping[str, Task]:
        """Two processes can have imported at once: of an id's tasks the one with answers stays, else the oldest."""
        kept: dict[str, Task] = {}
        for task in sorted(listed, key=lambda task: (not _answered(task), task["id"])):
            name = task["data"].get(ID)
            if name not in kept:
                kept[name] = task
            elif not _answered(task):
                self._delete(task)
        return kept

    def _delete(self, task: Task) -> None:
        try:
            self._client.ask("DELETE", f"api/tasks/{task['id']}/")
        except MissingError:
            return  # somebody was faster


def _answered(task: Task) -> bool:
    return bool(task.get("total_annotations"))


def chunks(tasks: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """In order, each within the limits; one that is larger goes alone."""
    chunk: list[Mapping[str, Any]] = []
    size = 0
    for task in tasks:
        weight = len(msgspec.json.encode(task))
        if chunk and (len(chunk) >= MOST_TASKS or size + weight > MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(task)
        size += weight
    if chunk:
        yield chunk
