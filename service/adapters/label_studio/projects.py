"""The project of a monitor: found by the mark in its description, made where there is none, kept in step with the scheme."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from service.adapters.label_studio.client import Client, MissingError
from service.adapters.label_studio.form import LABEL, adapted, configuration, instruction
from service.adapters.label_studio.tasks import MODEL, PRIORITY
from service.errors import DeliveryError

ACTIONS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED")
VIEW = "driftgate: most urgent first"

_PAGE = 100
_LONGEST_TITLE = 50

log = structlog.get_logger()


class Projects:
    """Finds and makes them.

    hook : (address, token) of ours that Label Studio tells of annotations; None where it can't reach us.
    """

    def __init__(self, client: Client, hook: tuple[str, Callable[[], str]] | None) -> None:
        self._client = client
        self._hook = hook
        self._known: dict[str, int] = {}
        self._hooked: set[tuple[int, str]] = set()
        """(project, the token it was given)."""

    def find(self, monitor: str) -> int | None:
        """Its project's id; of several, which two processes can have made at once, the first."""
        known = self._known.get(monitor)
        if known is not None and self._is_there(known, monitor):
            return known
        found = [project["id"] for project in self._listed() if _marked(project.get("description"), monitor)]
        if not found:
            self._known.pop(monitor, None)
            return None
        self._known[monitor] = min(found)
        return self._known[monitor]

    def ensure(self, monitor: str, scheme: Mapping[str, Any], tag: str) -> int:
        """The monitor's project, with the scheme as it is now."""
        number = self.find(monitor)
        if number is None:
            self._make(monitor, scheme, tag)
            number = self.find(monitor)
        if number is None:
            raise DeliveryError(f"Label Studio does not list the project that was made for monitor {monitor}", retryable=True)
        self._follow(number, monitor, scheme, tag)
        self.listen(number)
        return number

    def prefill(self, number: int) -> None:
        """Has predictions stand in the annotators' forms, unless somebody has chosen whose."""
        if not self._client.ask("GET", f"api/projects/{number}/").get("model_version"):
            self._client.ask("PATCH", f"api/projects/{number}/", body={"model_version": MODEL})

    def listen(self, number: int) -> None:
        """Has Label Studio tell us of annotations. Where it won't, asking finds them all the same."""
        if self._hook is None:
            return
        url, token = self._hook[0], self._hook[1]()
        if (number, token) in self._hooked:
            return
        wanted = {
            "url": url,
            "send_payload": True,
            "send_for_all_actions": False,
            "actions": list(ACTIONS),
            "headers": {"Authorization": f"Bearer {token}"},
            "is_active": True,
        }
        try:
            self._register(number, wanted)
        except DeliveryError as error:
            log.warning("Label Studio takes no webhook; answers are asked for instead", project=number, reason=str(error))
        self._hooked.add((number, token))

    def _register(self, number: int, wanted: Mapping[str, Any]) -> None:
        there = self._client.ask("GET", "api/webhooks/", params={"project": number})
        same = next((hook for hook in there if hook["url"] == wanted["url"]), None)
        if same is None:
            self._client.ask("POST", "api/webhooks/", body={"project": number, **wanted})
        elif any(_plain(same.get(name)) != _plain(value) for name, value in wanted.items()):
            self._client.ask("PATCH", f"api/webhooks/{same['id']}/", body=wanted)

    # --- kept in step -------------------------------------------------------------------------------------------------

    def _make(self, monitor: str, scheme: Mapping[str, Any], tag: str) -> None:
        made = self._client.ask(
            "POST",
            "api/projects/",
            body={
                "title": f"driftgate {monitor}"[:_LONGEST_TITLE],
                "description": f"Samples that driftgate asks about. {_mark(monitor, scheme)}",
                "label_config": configuration(scheme, tag),
                "expert_instruction": instruction(scheme),
                "show_instruction": True,
                "enable_empty_annotation": False,
                "sampling": "Sequential sampling",
            },
        )
        order = {"title": VIEW, "ordering": [f"-tasks:data.{PRIORITY}"], "filters": {"conjunction": "and", "items": []}}
        self._client.ask("POST", "api/dm/views/", body={"project": made["id"], "data": order})

    def _follow(self, number: int, monitor: str, scheme: Mapping[str, Any], tag: str) -> None:
        project = self._client.ask("GET", f"api/projects/{number}/")
        existing, description = project["label_config"], project.get("description") or ""
        changes = {}
        try:
            config = adapted(existing, scheme, tag, self._used(number))
        except DeliveryError as error:
            raise DeliveryError(f"Label Studio project {number} ({project['title']}): {error}", retryable=False) from error
        if config != existing:
            changes["label_config"] = config
        if _mark(monitor, scheme) not in description:
            changes |= {
                "description": _MARK.sub(lambda _: _mark(monitor, scheme), description, count=1),
                "expert_instruction": instruction(scheme),
            }
        if changes:
            self._client.ask("PATCH", f"api/projects/{number}/", body=changes)

    def _used(self, number: int) -> Collection[str]:
        try:
            summary = self._client.ask("GET", f"api/projects/{number}/summary/")
        except MissingError:  # somebody has just made the project: its summary comes a moment later
            return ()
        drafts = (summary.get("created_labels_drafts") or {}).get(LABEL) or {}
        return {*((summary.get("created_labels") or {}).get(LABEL) or {}), *drafts}

    # --- found --------------------------------------------------------------------------------------------------------

    def _is_there(self, number: int, monitor: str) -> bool:
        try:
            return _marked(self._client.ask("GET", f"api/projects/{number}/").get("description"), monitor)
        except MissingError:
            return False

    def _listed(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        page = 1
        while True:
            answer = self._client.ask("GET", "api/projects/", params={"page": page, "page_size": _PAGE, "include": "id,title,description"})
            found += answer["results"]
            if not answer.get("next"):
                return found
            page += 1


_MARK = re.compile(r"\[driftgate:([a-z0-9-]+) scheme (\d+)\]")


def _mark(monitor: str, scheme: Mapping[str, Any]) -> str:
    return f"[driftgate:{monitor} scheme {scheme['number']}]"


def _marked(description: Any, monitor: str) -> bool:
    found = _MARK.search(description) if isinstance(description, str) else None
    return found is not None and found[1] == monitor


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
