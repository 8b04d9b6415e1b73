"""Batches in a real Label Studio: every candidate is one task, whatever happens on the way, and its answers come back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import msgspec
import pytest

from service.adapters.label_studio import Client, LabelStudio, LabelStudioHook
from service.adapters.label_studio.form import RETIRED
from service.errors import DeliveryError
from service.records import AnnotationBatch, BatchState, OutboxItem
from tests.servers.label_studio_server import EMAIL, LabelStudioServer

pytestmark = pytest.mark.server("label-studio")

CLASSES = ("refund", "loan")


def scheme(*names: str, number: int = 1) -> Mapping[str, Any]:
    classes = [{"name": name, "aliases": [f"{name}s"], "guideline": f"about a {name}"} for name in names or CLASSES]
    return {"number": number, "guideline": "Read <carefully>.", "classes": classes}


def candidate(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "driftgate_id": f"m-{number}", "text": f"hello {number}", "segment": "all", "answers": 1, "predicted": "loan",
        "risk": 0.1, "reason": "new content", "weight": 1, "priority": number / 1_000, **changes,
    }  # fmt: skip


def item(monitor: str, candidates: Sequence[Mapping[str, Any]], *, asked: Mapping[str, Any] | None = None, name: str = "b1") -> OutboxItem:
    payload = {"batch": f"{monitor}-{name}", "monitor": monitor, "priority": 3, "scheme": asked or scheme(), "candidates": candidates}
    return OutboxItem("i1", "annotation.batch", "studio", payload, 0.0)


def batch(monitor: str, *, name: str = "b1") -> AnnotationBatch:
    return AnnotationBatch(f"{monitor}-{name}", monitor, "c1", 1, BatchState.SENT, (), 0.0)


@contextmanager
def studio_at(server: LabelStudioServer, token: str | None = None, **options: Any) -> Iterator[LabelStudio]:
    with closing(LabelStudio("studio", Client(server.url, lambda: token or server.token), **options)) as studio:
        yield studio


@pytest.fixture
def studio(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    with studio_at(label_studio) as studio:
        yield studio


@pytest.fixture
def people(label_studio: LabelStudioServer) -> Iterator[People]:
    with label_studio.client() as client:
        yield People(client)


class People:
    """What annotators and administrators do, by the server's own API."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def project(self, monitor: str) -> Any:
        found = self._json("GET", "/api/projects/", params={"page_size": 1_000})["results"]
        ours = [project for project in found if f"[driftgate:{monitor} " in project["description"]]
        return self._json("GET", f"/api/projects/{min(project['id'] for project in ours)}/")

    def tasks(self, monitor: str) -> list[Any]:
        params = {"project": self.project(monitor)["id"], "page_size": 2_000, "fields": "all"}
        return list(self._json("GET", "/api/tasks/", params=params)["tasks"])

    def answer(self, task: Mapping[str, Any], *regions: Mapping[str, Any], **further: Any) -> Any:
        return self._json("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": regions, **further})

    def change(self, path: str, body: Any) -> Any:
        return self._json("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self.client.delete(path).raise_for_status()

    def choices(self, monitor: str) -> dict[str, str]:
        return {each.get("value", ""): each.get("hint", "") for each in ET.fromstring(self.project(monitor)["label_config"]).iter("Choice")}  # noqa: S314 - our own

    def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = self.client.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()


def chosen(name: str) -> Mapping[str, Any]:
    return {"from_name": "label", "to_name": "sample", "type": "choices", "value": {"choices": [name]}}


def proposed(name: str) -> Mapping[str, Any]:
    return {"from_name": "new_class", "to_name": "sample", "type": "textarea", "value": {"text": [name]}}


def ids(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(task["data"]["driftgate_id"] for task in tasks)


def test_a_batch_becomes_tasks_once_each(studio: LabelStudio, people: People) -> None:
    blind = candidate(2, predicted=None, risk=None, reason=None, answers=2)
    sent = item("once", [candidate(1), blind, candidate(3, text='<b>"&', predicted="no class")])
    for _ in range(2):
        studio.deliver(sent, now=0.0)
    tasks = {task["data"]["driftgate_id"]: task for task in people.tasks("once")}
    assert ids(list(tasks.values())) == sorted(tasks) == ["m-1", "m-2", "m-3"]
    assert len(people.tasks("once")) == 3
    assert [tasks[name]["overlap"] for name in tasks] == [1, 2, 1]
    assert [len(tasks[name]["predictions"]) for name in tasks] == [1, 0, 0]
    assert tasks["m-1"]["predictions"][0]["result"][0]["value"] == {"choices": ["loan"]}
    assert (tasks["m-1"]["data"]["reason"], "reason" in tasks["m-2"]["data"]) == ("new content", False)
    for name in ("m-1", "m-2"):
        people.answer(tasks[name], chosen("refund"))
    assert [task["is_labeled"] for task in people.tasks("once")] == [True, False, False]
    project = people.project("once")
    assert (project["model_version"], project["show_instruction"]) == ("driftgate", True)
    assert "Read &lt;carefully&gt;." in project["expert_instruction"]
    assert list(people.choices("once")) == ["refund", "loan", "unusable", "none of these"]


def test_the_project_shows_what_is_most_urgent_first(studio: LabelStudio, people: People) -> None:
    studio.deliver(item("urgent", [candidate(number, priority=priority) for number, priority in ((1, 0.2), (2, 0.9), (3, 0.5))]), now=0.0)
    urge = {"batch": "urgent-b1", "monitor": "urgent", "priority": 10, "items": {"m-1": 0.95}}
    (view,) = people.client.get("/api/dm/views/", params={"project": people.project("urgent")["id"]}).json()

    def order() -> list[str]:
        tasks = people.client.get("/api/tasks/", params={"view": view["id"], "page_size": 10}).json()["tasks"]
        return [task["data"]["driftgate_id"] for task in tasks]

    assert order() == ["m-2", "m-3", "m-1"]
    studio.deliver(replace(item("urgent", []), kind="annotation.priority", payload=urge), now=0.0)
    assert order() == ["m-1", "m-2", "m-3"]


KILLED = """
import sys
import msgspec
from service.adapters.label_studio import Client, LabelStudio, tasks
from service.records import OutboxItem
tasks.MOST_TASKS = 10
url, token = sys.argv[1:3]
LabelStudio("studio", Client(url, lambda: token)).deliver(msgspec.json.decode(sys.stdin.read(), type=OutboxItem), now=0.0)
"""


def test_each_of_our_ids_is_there_once_after_kill_9_during_the_import(
    label_studio: LabelStudioServer, studio: LabelStudio, people: People
) -> None:
    studio.deliver(item("killed", [candidate(0)], name="b0"), now=0.0)
    sent = item("killed", [candidate(number) for number in range(1, 201)])
    process = subprocess.Popen([sys.executable, "-c", KILLED, label_studio.url, label_studio.token], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(sent))
    process.stdin.close()
    number = people.project("killed")["id"]
    until(lambda: people.client.get(f"/api/projects/{number}/").json()["task_number"] > 20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 20 < len(people.tasks("killed")) < 201
    studio.deliver(sent, now=0.0)
    assert ids(people.tasks("killed")) == sorted(f"m-{number}" for number in range(201))


def test_each_of_our_ids_is_there_once_when_two_deliver_at_once(label_studio: LabelStudioServer, people: People) -> None:
    sent = item("race", [candidate(number) for number in range(12)])

    def deliver() -> None:
        with studio_at(label_studio) as studio:
            while not delivered(studio):
                time.sleep(0.2)

    def delivered(studio: LabelStudio) -> bool:
        try:
            studio.deliver(sent, now=0.0)
        except DeliveryError as error:
            if not error.retryable:  # SQLite is locked now and then
                raise
            return False
        return True

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(people.tasks("race")) == sorted(f"m-{number}" for number in range(12))


def test_answers_come_back(studio: LabelStudio, people: People) -> None:
    studio.deliver(item("answers", [candidate(number) for number in range(6)]), now=0.0)
    tasks = people.tasks("answers")
    people.answer(tasks[0], chosen("refund"))
    first = people.answer(tasks[1], chosen("refund"))
    people.answer(tasks[1], chosen("loan"))  # the same annotator again: the newest counts
    people.answer(tasks[2], proposed("pairing"))
    people.answer(tasks[3], chosen("unusable"))
    people.answer(tasks[4], was_cancelled=True)

    def held() -> dict[tuple[str, str], str | None]:
        (delivery,) = studio.answers([batch("answers")], now=9.0)
        assert (delivery.source, delivery.batch, delivery.monitor) == ("studio", "answers-b1", "answers")
        return {(label.sample, label.annotator): label.label for label in delivery.labels}

    said = {("m-0", EMAIL): "refund", ("m-1", EMAIL): "loan", ("m-2", EMAIL): "new: pairing", ("m-3", EMAIL): "unusable"}
    nothing = {("m-4", ""): "", ("m-5", ""): ""}
    assert held() == said | nothing
    people.change(f"/api/annotations/{first['id']}/", {"result": [chosen("none of these")]})
    people.delete(f"/api/annotations/{people.tasks('answers')[0]['annotations'][0]['id']}/")
    del said["m-0", EMAIL]
    assert held() == said | nothing | {("m-0", ""): "", ("m-1", EMAIL): "none of these"}
    assert studio.answers([batch("nowhere")], now=9.0) == []


def test_a_cancelled_batch_leaves_what_is_answered(studio: LabelStudio, people: People) -> None:
    studio.deliver(item("cancelled", [candidate(number) for number in range(3)]), now=0.0)
    studio.deliver(item("cancelled", [candidate(9)], name="b2"), now=0.0)
    people.answer(people.tasks("cancelled")[0], chosen("refund"))
    gone = replace(item("cancelled", []), kind="annotation.cancelled", payload={"batch": "cancelled-b1", "monitor": "cancelled"})
    for _ in range(2):
        studio.deliver(gone, now=0.0)
    assert ids(people.tasks("cancelled")) == ["m-0", "m-9"]


def test_the_configuration_follows_the_scheme_and_loses_no_annotation(studio: LabelStudio, people: People) -> None:
    studio.deliver(item("scheme", [candidate(1), candidate(2)]), now=0.0)
    people.answer(people.tasks("scheme")[0], chosen("refund"))
    number, own = people.project("scheme")["id"], '<Rating name="sure" toName="sample"/></View>'
    people.change(f"/api/projects/{number}/", {"label_config": people.project("scheme")["label_config"].replace("</View>", own)})
    later = item("scheme", [candidate(3)], asked=scheme("money back", "card", number=2), name="b2")
    studio.deliver(later, now=0.0)
    assert list(people.choices("scheme")) == ["money back", "card", "unusable", "none of these", "refund"]  # nobody has used `loan`
    assert people.choices("scheme")["refund"] == RETIRED
    assert people.choices("scheme")["card"] == "cards"
    assert own in people.project("scheme")["label_config"].replace(" />", "/>")
    assert "about a card" in people.project("scheme")["expert_instruction"]
    assert "scheme 2]" in people.project("scheme")["description"]
    assert len(people.tasks("scheme")) == 3


def test_a_configuration_by_which_answers_could_not_be_read_is_refused(studio: LabelStudio, people: People) -> None:
    studio.deliver(item("changed", [candidate(1)]), now=0.0)
    number = people.project("changed")["id"]
    other = '<View><Text name="sample" value="$text"/><Choices name="other" toName="sample"><Choice value="x"/></Choices></View>'
    people.change(f"/api/projects/{number}/", {"label_config": other})
    with pytest.raises(DeliveryError, match=rf'project {number} .*has no <Text name="sample".* any more.*replay') as refused:
        studio.deliver(item("changed", [candidate(2)], name="b2"), now=0.0)
    assert not refused.value.retryable
    assert people.project("changed")["label_config"] == other
    assert ids(people.tasks("changed")) == ["m-1"]


def test_a_project_that_was_deleted_is_made_anew(studio: LabelStudio, people: People) -> None:
    for _ in range(2):
        studio.deliver(item("deleted", [candidate(1)]), now=0.0)
        assert ids(people.tasks("deleted")) == ["m-1"]
        people.delete(f"/api/projects/{people.project('deleted')['id']}/")
    assert studio.answers([batch("deleted")], now=0.0) == []


def test_a_personal_token_is_exchanged_and_again_when_it_has_ended(label_studio: LabelStudioServer, people: People) -> None:
    token = label_studio.personal_token()
    client = Client(label_studio.url, lambda: token)
    with closing(LabelStudio("studio", client)) as studio:
        studio.deliver(item("personal", [candidate(1)]), now=0.0)
        assert client._exchanged is not None
        client._exchanged = client._exchanged[0], client._exchanged[1][:-2] + "xx"
        studio.deliver(item("personal", [candidate(2)]), now=0.0)
    assert ids(people.tasks("personal")) == ["m-1", "m-2"]


@pytest.mark.parametrize("token", ["f" * 40, "aaa.bbb.ccc"])
def test_a_wrong_token_is_said_to_be_one(label_studio: LabelStudioServer, token: str) -> None:
    with studio_at(label_studio, token) as studio, pytest.raises(DeliveryError, match=r"refuses our token \(401\).*replay") as refused:
        studio.deliver(item("token", [candidate(1)]), now=0.0)
    assert not refused.value.retryable


def test_its_webhook_tells_what_asking_tells(label_studio: LabelStudioServer, people: People, httpserver: Any) -> None:
    told: list[tuple[str, bytes]] = []

    def note(request: Any) -> Any:
        from werkzeug import Response

        told.append((request.headers["authorization"], request.get_data()))
        return Response(status=202)

    httpserver.expect_request("/hook").respond_with_handler(note)
    client = Client(label_studio.url, lambda: label_studio.token)
    with closing(client), studio_at(label_studio, hook=(httpserver.url_for("/hook"), lambda: "shared")) as studio:
        studio.deliver(item("hook", [candidate(1), candidate(2)]), now=0.0)
        task, other = people.tasks("hook")
        made = people.answer(task, chosen("refund"))
        people.change(f"/api/annotations/{made['id']}/", {"result": [chosen("loan")]})
        people.delete(f"/api/annotations/{made['id']}/")
        people.answer(other, was_cancelled=True)
        hook = LabelStudioHook(client, lambda: "shared")
        assert [hook.admits(authorization) for authorization, _ in told] == [True] * 4
        heard = [[(label.batch, label.sample, label.label, label.annotator) for label in hook.read(body)] for _, body in told]
        assert heard == [[("hook-b1", "m-1", "refund", EMAIL)], [("hook-b1", "m-1", "loan", EMAIL)], [], []]
        people.answer(task, chosen("refund"))
        (held,) = studio.answers([batch("hook")], now=0.0)
        assert [replace(label, monitor="") for label in held.labels if label.label] == list(hook.read(told[-1][1]))
        studio.deliver(item("hook", [candidate(1)], name="b2"), now=0.0)
    assert len(people.client.get("/api/webhooks/", params={"project": people.project("hook")["id"]}).json()) == 1


def until(ready: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_forgotten_sample_goes_with_what_was_answered_to_it(studio: LabelStudio, people: People) -> None:
    studio.deliver(item("forgotten", [candidate(number) for number in range(3)]), now=0.0)
    people.answer(people.tasks("forgotten")[1], chosen("refund"))
    payload = {"batch": "forgotten-b1", "monitor": "forgotten", "ids": ["m-1", "m-7"]}
    for _ in range(2):
        studio.deliver(replace(item("forgotten", []), kind="annotation.forget", payload=payload), now=0.0)
    assert ids(people.tasks("forgotten")) == ["m-0", "m-2"]
    unknown = {"batch": "b", "monitor": "never-brought", "ids": ["m-1"]}
    studio.deliver(replace(item("forgotten", []), kind="annotation.forget", payload=unknown), now=0.0)
