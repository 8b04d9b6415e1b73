"""A real Label Studio beside a real process: candidates appear there, answers come back by its webhook and by asking, once each."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.app import STORE
from service.records import Label
from tests.servers.label_studio_server import EMAIL, LabelStudioServer
from tests.servers.process import free_port

if TYPE_CHECKING:
    from tests.e2e.conftest import Site

pytestmark = pytest.mark.server("label-studio")


def with_studio(document: dict[str, Any], url: str) -> None:
    port = free_port()
    document["server"] = {"port": port, "public_url": f"http://127.0.0.1:{port}"}
    document["outbound"] = {"allow": ["127.0.0.0/8"]}
    document["destinations"] = [{"type": "label_studio", "name": "studio", "url": url, "token_env": "STUDIO_TOKEN", "poll_seconds": 2}]
    document["monitors"][0] |= {
        "annotation": {"destination": "studio", "budget": 12},
        "selection": {"rounds": 1, "challenge": 5},
        "refresh": {"after_samples": 200},
    }


def chosen(name: str) -> dict[str, Any]:
    return {"result": [{"from_name": "label", "to_name": "sample", "type": "choices", "value": {"choices": [name]}}]}


def labels(site: Site) -> dict[str, str | None]:
    return {label.sample: label.label for label in kept(site)}


def kept(site: Site) -> list[Label]:
    with closing(SqliteStore(site.folder / "state" / STORE)) as store:
        return list(store.labels("chat"))


def test_answers_come_back_from_label_studio_once_each(idle: Site, label_studio: LabelStudioServer) -> None:
    idle.environment["STUDIO_TOKEN"] = label_studio.personal_token()
    idle.configure(lambda document: with_studio(document, label_studio.url))
    idle.start()
    idle.send(idle.bodies(idle.draw(640, 1), "calm"))
    idle.send(idle.bodies(idle.draw(650, 2, new=0.5), "drift"))
    with label_studio.client() as people:

        def tasks() -> list[Any]:
            found = people.get("/api/projects/", params={"page_size": 1_000}).json()["results"]
            ours = [project["id"] for project in found if "[driftgate:chat " in project["description"]]
            params = {"project": ours[0], "page_size": 1_000, "fields": "all"} if ours else {}
            return list(people.get("/api/tasks/", params=params).json()["tasks"]) if ours else []

        batch = idle.until(lambda: next((found["id"] for found in idle.get("/v1/batches")["batches"]), None))
        wanted = sorted(each["id"] for each in idle.get(f"/v1/batches/{batch}")["items"])
        asked = idle.until(lambda: tasks() if len(tasks()) >= len(wanted) else None)
        names = [task["data"]["driftgate_id"] for task in asked]
        assert sorted(names) == wanted
        told = people.post(f"/api/tasks/{asked[0]['id']}/annotations/", json=chosen("late")).json()
        idle.until(lambda: labels(idle).get(names[0]) == "late")

        for hook in people.get("/api/webhooks/", params={"project": asked[0]["project"]}).json():
            people.delete(f"/api/webhooks/{hook['id']}/")
        people.post(f"/api/tasks/{asked[1]['id']}/annotations/", json=chosen("early"))
        people.patch(f"/api/annotations/{told['id']}/", json=chosen("early"))
        idle.until(lambda: labels(idle) == {names[0]: "early", names[1]: "early"})
        people.delete(f"/api/annotations/{told['id']}/")
        idle.until(lambda: labels(idle) == {names[1]: "early"})
        assert [label.annotator for label in kept(idle)] == [EMAIL]

        deliveries = idle.get("/v1/annotations")["deliveries"]
        assert {(found["source"], found["state"]) for found in deliveries} == {("studio", "taken")}
        assert sum(found["count"] for found in deliveries) == 4  # answered, answered, changed, taken back
        idle.kill()
        idle.start()
        for task in tasks():
            if not task["total_annotations"]:
                people.post(f"/api/tasks/{task['id']}/annotations/", json=chosen("late"))
        idle.until(lambda: idle.get(f"/v1/batches/{batch}")["state"] == "closed")
        assert len(tasks()) == len(wanted)
    idle.stop()
