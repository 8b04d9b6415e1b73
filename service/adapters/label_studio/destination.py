"""A Label Studio server as a destination of annotation batches that can be asked for the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from service.adapters.label_studio.answers import Annotators, labels_of
from service.adapters.label_studio.client import Client, MissingError
from service.adapters.label_studio.projects import Projects
from service.adapters.label_studio.tasks import ID, Tasks, tag_of, task_of
from service.errors import DeliveryError
from service.records import AnnotationBatch, Delivery, Label, OutboxItem, stable_id


@contextmanager
def _as_expected() -> Iterator[None]:
    """What another version, or what is no Label Studio, answers is an error that says so."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise DeliveryError(
            f"Label Studio's answer is not as expected ({error!r:.200}); this is written for 1.23", retryable=False
        ) from error


class LabelStudio:
    """One project per monitor, one task per candidate.

    shown : the batch with what annotators are to see of each candidate.
    hook : (address, token) of ours that Label Studio tells of annotations.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        *,
        shown: Callable[[OutboxItem], OutboxItem] = lambda item: item,
        hook: tuple[str, Callable[[], str]] | None = None,
        poll_seconds: float = 60.0,
    ) -> None:
        self.poll_seconds = poll_seconds
        self._name = name
        self._client = client
        self._shown = shown
        self._projects = Projects(client, hook)
        self._annotators = Annotators(client)

    def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """Returns once every candidate is a task; repeating it adds none. Items of other kinds are for others."""
        acts = {
            "annotation.batch": self._bring,
            "annotation.cancelled": self._withdraw,
            "annotation.priority": self._urge,
            "annotation.forget": self._forget,
        }
        if item.kind not in acts:
            raise DeliveryError(
                f"Label Studio takes annotation batches, not {item.kind}; name another destination for these", retryable=False
            )
        with _as_expected():
            acts[item.kind](item)

    def answers(self, batches: Sequence[AnnotationBatch], *, now: float) -> Sequence[Delivery]:
        """What it holds of these batches; a task that nobody has answered is a label taken back by nobody. Without a project, nothing."""
        with _as_expected():
            held = [(batch, self._held(batch)) for batch in batches]
        return [
            Delivery(
                stable_id("held", self._name, batch.id, msgspec.json.encode(labels).decode()),
                batch.monitor, batch.id, tuple(labels), now, self._name, count=len(labels),
            )
            for batch, labels in held
            if labels
        ]  # fmt: skip

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._client.close()

    # --- out ----------------------------------------------------------------------------------------------------------

    def _bring(self, item: OutboxItem) -> None:
        payload = self._shown(item).payload
        candidates: Sequence[Mapping[str, Any]] = payload["candidates"]
        if payload["scheme"] is None:
            raise DeliveryError(
                f"monitor {payload['monitor']} has no classes that Label Studio could offer; declare its `classes`, or write a scheme "
                "(`driftgate scheme apply`), then approve another batch: this one left without",
                retryable=False,
            )
        project = self._projects.ensure(payload["monitor"], payload["scheme"], tag_of(candidates))
        tasks = [task_of(payload, candidate) for candidate in candidates]
        wanted = {each["driftgate_id"]: int(each.get("answers") or 1) for each in candidates}
        Tasks(self._client, project, payload["batch"]).bring(tasks, wanted)
        if any("predictions" in task for task in tasks):
            self._projects.prefill(project)

    def _withdraw(self, item: OutboxItem) -> None:
        project = self._projects.find(item.payload["monitor"])
        if project is not None:
            Tasks(self._client, project, item.payload["batch"]).withdraw()

    def _forget(self, item: OutboxItem) -> None:
        project = self._projects.find(item.payload["monitor"])
        if project is not None:
            Tasks(self._client, project, item.payload["batch"]).forget(item.payload["ids"])

    def _urge(self, item: OutboxItem) -> None:
        project = self._projects.find(item.payload["monitor"])
        if project is not None:
            base = float(item.payload.get("priority") or 0)
            urgencies = {name: base + float(value) for name, value in item.payload["items"].items()}
            Tasks(self._client, project, item.payload["batch"]).urge(urgencies)

    # --- back ---------------------------------------------------------------------------------------------------------

    def _held(self, batch: AnnotationBatch) -> list[Label]:
        project = self._projects.find(batch.monitor)
        if project is None:
            return []
        self._projects.listen(project)
        try:
            tasks = Tasks(self._client, project, batch.id).listed(annotations=True)
        except MissingError:
            return []
        held: dict[tuple[str, str], Label] = {}
        for task in tasks:
            found = list(labels_of(task, task.get("annotations") or (), self._annotators, batch.monitor))
            held |= {(label.sample, label.annotator): label for label in found}
            if not found and isinstance(task["data"].get(ID), str):
                held[task["data"][ID], ""] = Label(batch.monitor, batch.id, task["data"][ID], "", 0.0)
        return list(held.values())
