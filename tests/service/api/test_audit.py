"""Every change leaves who made it, where from, and what it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.access import Access, tokens
from service.access.acting import Acting, acting
from service.access.auditing import entries
from service.access.gate import Gate
from service.access.lookups import Lookups
from service.access.rules import READS, need
from service.api.middleware import RequireAccess
from service.records import AuditEntry, Event, Role
from tests.service.api.conftest import NOW, an_alarm
from tests.service.api.test_scope import bearer, filled, routes

ADMIN = {"operator", "admin"}


@pytest.fixture
def guarded(make_site: Any) -> Any:
    return make_site(access=Access(loopback=False, key=bytes(32)))


def changing(site: Any) -> Iterator[tuple[str, str]]:
    for method, path in sorted(set(routes(site.client.app.routes))):
        if method not in READS and need(method, filled(path)) in ADMIN:
            yield method, path


def test_every_route_that_changes_something_leaves_an_entry(guarded: Any) -> None:
    """Whatever the route does, and if it is nothing that the store sees: here each just succeeds."""

    async def succeeds(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {"id": "x1"}
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing() -> Message:
        return {"type": "http.request", "body": b""}

    async def ignored(message: Message) -> None:
        """Nobody looks."""

    gate = Gate(guarded.service.access, Lookups(guarded.store), clock=lambda: NOW)
    front, headers = RequireAccess(succeeds, gate, guarded.store), bearer(guarded, Role.ADMIN)
    shown = [(name.encode(), value.encode()) for name, value in headers.items()]
    every = list(changing(guarded))
    assert len(every) > 30
    for method, path in every:
        before = {entry.id for entry in entries(guarded.store)}
        scope = {"type": "http", "method": method, "path": filled(path), "headers": shown, "client": ("10.1.2.3", 1)}
        asyncio.run(front(scope, nothing, ignored))
        (entry,) = (entry for entry in entries(guarded.store) if entry.id not in before)
        assert (entry.way, entry.address, entry.after) == ("console" if path.startswith("/console") else "api", "10.1.2.3", {"id": "x1"})
        assert entry.token in headers["authorization"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["driftgate", " Driftgate "])
def test_nobody_acts_in_the_program_s_name(guarded: Any, name: str) -> None:
    client, headers = guarded.client, bearer(guarded, Role.ADMIN)
    bodies = {"/v1/monitors/support/maintenance": {"until": "2026-03-02T00:00:00Z"}, "/v1/forget": {"sample": "x"}}
    for path, body in bodies.items():
        answer = client.post(path, json={"actor": name, **body}, headers=headers)
        assert (answer.status_code, "say who does it" in answer.text) == (422, True)
    assert client.put(f"/v1/monitors/new?actor={name}", json={}, headers=headers).status_code == 422


def test_an_act_is_written_down_whomever_it_names(guarded: Any) -> None:
    event = Event("e1", "support", "maintenance", NOW, "driftgate", body={"until": NOW + 60})
    with acting(Acting("bob", "api", lambda: "pause")):
        guarded.store.record_event(event)
    (entry,) = entries(guarded.store)
    assert (entry.who, entry.monitor, entry.after) == ("bob", "support", {"actor": "driftgate", "until": NOW + 60})


def test_what_a_change_was(guarded: Any) -> None:
    client, headers = guarded.client, bearer(guarded, Role.ADMIN)
    guarded.store.save(an_alarm())
    client.post("/v1/alarms/a1/acknowledge", json={"actor": "ana", "note": "private words"}, headers=headers)
    batch = client.post("/v1/monitors/support/refresh", json={"actor": "ana"}, headers=headers).json()["batch"]
    client.post(f"/v1/batches/{batch}/cancel", json={"actor": "ana", "note": "private words"}, headers=headers)
    client.put("/v1/monitors/new?actor=ana", json={"embedder": {"model": "m.onnx", "input": "none", "dimension": 3}}, headers=headers)
    client.delete("/v1/monitors/new?version=1&actor=ana", headers=headers)
    minted = client.post("/v1/tokens", json={"name": "logger", "role": "ingest"}, headers=headers).json()
    client.post(f"/v1/tokens/{minted['id']}/rotate", json={}, headers=headers)
    client.delete(f"/v1/tokens/{minted['id']}", headers=headers)
    answer = client.get("/v1/audit", headers=headers)
    told = answer.json()["entries"]
    found = {(each["operation"], each["kind"], (each["before"] or {}).get("state"), each["after"]["state"]) for each in told}
    assert found >= {
        ("acknowledge_alarm", "alarm", "open", "acknowledged"),
        ("open_refresh", "annotation batch", None, "proposed"),
        ("cancel_batch", "annotation batch", "proposed", "cancelled"),
        ("put_monitor", "declaration", None, "declared"),
        ("delete_monitor", "declaration", "declared", "withdrawn"),
        ("mint_token", "token", None, "active"),
        ("rotate_token", "token", "active", "active"),
        ("revoke_token", "token", "active", "revoked"),
    }
    assert {each["who"] for each in told} == {"admin {}"}
    for secret in ("private words", minted["token"], tokens.secret_in(minted["token"]), *digests(guarded)):
        assert secret not in answer.text


def digests(site: Any) -> list[str]:
    return [token.digest for token in tokens.listed(site.store)]


def test_what_was_refused_leaves_nothing(guarded: Any) -> None:
    headers = bearer(guarded, Role.OPERATOR)
    assert guarded.client.post("/v1/alarms/none/acknowledge", json={"actor": "ana"}, headers=headers).status_code == 404
    assert guarded.client.post("/v1/tokens", json={"name": "x", "role": "admin"}, headers=headers).status_code == 403
    assert list(entries(guarded.store)) == []


def test_samples_and_labels_are_no_changes(guarded: Any) -> None:
    headers = bearer(guarded, Role.OPERATOR)
    assert guarded.client.post("/v1/monitors/support/samples", json={"id": "m", "text": "hi"}, headers=headers).status_code == 202
    assert list(entries(guarded.store)) == []


def test_on_open_loopback_who_acts_is_named_by_the_request(site: Any) -> None:
    site.store.save(an_alarm())
    site.client.post("/v1/alarms/a1/acknowledge", json={"actor": "ana"})
    (entry,) = site.store.find(AuditEntry)
    assert (entry.who, entry.after["actor"]) == ("local", "ana")


def test_the_log_comes_page_by_page(guarded: Any) -> None:
    headers = bearer(guarded, Role.ADMIN)
    for number in range(5):
        guarded.client.post("/v1/tokens", json={"name": f"t{number}", "role": "reader"}, headers=headers)
    first = guarded.client.get("/v1/audit?limit=3", headers=headers).json()
    rest = guarded.client.get("/v1/audit", params={"cursor": first["next"]}, headers=headers).json()
    assert (len(first["entries"]), len(rest["entries"]), rest["next"]) == (3, 2, None)
