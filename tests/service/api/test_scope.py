"""Every route, whoever asks: nobody is let in without a role, with too low a one, or to what belongs to others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from service.access import Access, Principal, tokens
from service.access.rules import EVERYWHERE, need
from service.api.application import _ROUTES
from service.api.scope import SUBJECTS
from service.records import DeadLetter, OutboxItem, Partition, Rejected, Role
from tests.service.api.conftest import NOW, an_alarm

OPEN = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v1/links/{token}"),
    ("POST", "/v1/annotations/label-studio/{destination}"),
    ("GET", "/console/login"),
    ("POST", "/console/login"),
    ("POST", "/console/logout"),
    ("GET", "/console/static/{name}"),
}
"""What the issue leaves open: probes, what carries a signature of its own, and the way to the login."""

WITHOUT_OWNER = {
    "/console/{rest:path}",
    "/v1/cloudevents/{token}",
    "/v1/links/{token}",
    "/v1/annotations/label-studio/{destination}",
    "/console/static/{name}",
}
LOWER = {
    Role.INGEST: (Role.READER,),
    Role.READER: (Role.INGEST,),
    Role.OPERATOR: (Role.INGEST, Role.READER),
    Role.ADMIN: (Role.INGEST, Role.READER, Role.OPERATOR),
}


def routes(given: Any) -> Iterator[tuple[str, str]]:
    """(method, path) of all there are, those outside the OpenAPI document and in routers below routers among them."""
    for route in given:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes(inner.routes)
        for method in sorted(getattr(route, "methods", None) or {"GET"} if hasattr(route, "path") else ()):
            yield method, route.path


@pytest.fixture
def guarded(make_site: Any) -> Any:
    """Off loopback, with something of the monitor `support` of each kind."""
    site = make_site(access=Access(loopback=False, key=bytes(32)))
    letter = DeadLetter(Partition("chats", "t", 0), 7, NOW, Rejected("not_json", "secret words", b"secret bytes", monitor="support"))
    site.store.save(an_alarm(), outbox=[OutboxItem("o1", "alarm.opened", "hook", {"data": {"monitor": "support"}}, NOW, state="dead")])
    site.store.add_dead_letters([letter])
    return site


def bearer(site: Any, role: Role, **scope: Any) -> dict[str, str]:
    minted = tokens.mint(site.store, tokens.Wanted(name=f"{role} {scope}", role=role, **scope), by="test", now=NOW)
    return {"authorization": f"Bearer {minted.text}"}


def ask(site: Any, method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    return site.client.request(
        method, path, headers={"content-type": "application/json"} | (headers or {}), content=b"{}", follow_redirects=False
    )


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", path)


def test_nobody_is_let_in_without_a_token(guarded: Any) -> None:
    every = set(routes(guarded.client.app.routes))
    assert len(every) > 80
    let_in = {(method, path) for method, path in every if not turned_away(ask(guarded, method, path))}
    assert let_in - {("HEAD", "/")} == OPEN


def turned_away(answer: Any) -> bool:
    """Told to show a token, or led to the login."""
    return int(answer.status_code) == 401 or str(answer.headers.get("location")).startswith("/console/login?next=")


def test_too_low_a_role_is_refused_on_every_route(guarded: Any) -> None:
    shown = {role: bearer(guarded, role) for role in Role}
    let_in = []
    for method, path in set(routes(guarded.client.app.routes)) - OPEN:
        asks = need(method, filled(path))
        lower = LOWER[asks] if asks else ()
        let_in += [(method, path, role) for role in lower if ask(guarded, method, filled(path), shown[role]).status_code != 403]
    assert let_in == []


def test_no_route_is_reached_by_a_line_s_end_after_its_path(guarded: Any) -> None:
    """Routers take it for the path itself, and the access rules could not tell which path it is."""
    admin, reached = bearer(guarded, Role.ADMIN), []
    for method, path in set(routes(guarded.client.app.routes)):
        answer = ask(guarded, method, f"{filled(path)}%0A", admin)
        if answer.status_code != 404 or (method != "HEAD" and "control characters" not in answer.text):
            reached.append((method, path, answer.status_code))
    assert reached == []


def test_the_right_role_is_not_refused(guarded: Any) -> None:
    shown = {role: bearer(guarded, role) for role in Role}
    refused = []
    for method, path in set(routes(guarded.client.app.routes)) - OPEN:
        asks = need(method, filled(path))
        if asks and ask(guarded, method, filled(path), shown[asks]).status_code == 401:
            refused.append((method, path))
    assert refused == []


def test_every_thing_that_a_path_names_has_an_owner() -> None:
    """Else somebody with a role over some monitors could name what belongs to others."""
    for method, path in {each for module in _ROUTES for each in routes(module.router.routes)}:
        parts = path.split("/")
        named = [before for before, part in pairwise(parts) if part.startswith("{")]
        if not named or path in WITHOUT_OWNER or any((method, path) == rule for rule in EVERYWHERE):
            continue
        assert named[0] in SUBJECTS, f"{method} {path}: say in service/api/scope.py whose {named[0]} are"


def owned(site: Any) -> Iterator[tuple[str, str]]:
    """Every route that names something, with something of `support`."""
    cycle = site.service.actions.open_refresh("support", actor="ana", note="", now=NOW)
    ids = {"alarms": "a1", "outbox": "o1", "monitors": "support", "refresh": cycle.id, "cycles": cycle.id, "batches": cycle.batch}
    for method, path in sorted(set(routes(site.client.app.routes))):
        parts = path.split("/")
        found = [(ids.get(before, "x") if part.startswith("{") else part) for before, part in zip(["", *parts], parts, strict=False)]
        if any(before in ids and part.startswith("{") for before, part in pairwise(parts)):
            yield method, "/".join(found)


@pytest.mark.parametrize("role", [Role.INGEST, Role.READER, Role.OPERATOR, Role.ADMIN])
def test_what_belongs_to_others_is_not_there(guarded: Any, role: Role) -> None:
    """An unknown name and somebody else's get the same answer."""
    headers, reached = bearer(guarded, role, monitors=("vectors",)), []
    before = guarded.store.get(type(an_alarm()), "a1")
    for method, path in owned(guarded):
        answer = ask(guarded, method, path, headers)
        if answer.status_code not in {403, 404, 405}:
            reached.append((method, path, answer.status_code))
    allowed = [(method, path) for method, path, _ in reached]
    assert [each for each in allowed if each != ("PUT", "/v1/monitors/support")] == []
    assert guarded.store.get(type(an_alarm()), "a1") == before


def test_an_unknown_id_and_another_s_look_alike(guarded: Any) -> None:
    guarded.store.save(an_alarm("b" * 8))
    headers = bearer(guarded, Role.READER, monitors=("vectors",))
    answers = [ask(guarded, "GET", f"/v1/alarms/{name}", headers) for name in ("b" * 8, "c" * 8)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text.replace("b" * 8, "").replace("c" * 8, "") for answer in answers}) == 1


LISTS = [
    "/v1/monitors",
    "/v1/alarms",
    "/v1/batches",
    "/v1/refresh",
    "/v1/annotations",
    "/v1/outbox",
    "/v1/dead-letters",
    "/v1/fleet",
    "/v1/ledger",
    "/v1/reports",
    "/v1/policy/compliance",
    "/v1/teams",
    "/v1/audit",
    "/v1/whoami",
    "/readyz",
]


def test_lists_hold_nothing_of_others(guarded: Any) -> None:
    guarded.client.post("/v1/alarms/a1/acknowledge", json={"actor": "ana"}, headers=bearer(guarded, Role.OPERATOR))
    headers = bearer(guarded, Role.ADMIN, monitors=("vectors",))
    for path in LISTS:
        answer = ask(guarded, "GET", path, headers)
        assert answer.status_code == 200, path
        assert "support" not in answer.text, path
        assert '"a1"' not in answer.text, path


def test_pages_hold_nothing_of_others(guarded: Any) -> None:
    headers = bearer(guarded, Role.READER, monitors=("vectors",))
    for method, path in set(routes(guarded.client.app.routes)):
        if method == "GET" and path.startswith("/console") and "{" not in path:
            answer = ask(guarded, method, path, headers)
            assert answer.status_code in {200, 303, 307, 403}, path
            assert "support" not in answer.text.replace("support-bundle", ""), path


def test_another_monitor_s_list_is_not_there(guarded: Any) -> None:
    headers = bearer(guarded, Role.ADMIN, monitors=("vectors",))
    for path in LISTS:
        if path not in {"/readyz", "/v1/whoami", "/v1/teams"}:
            assert ask(guarded, "GET", f"{path}?monitor=support", headers).status_code == 404, path
            assert ask(guarded, "GET", f"{path}?monitor=vectors&monitor=support", headers).status_code == 404, path


def test_a_logger_s_token_sends_for_its_monitor_alone(guarded: Any) -> None:
    headers = bearer(guarded, Role.INGEST, monitors=("vectors",))
    text = headers["authorization"].removeprefix("Bearer ")
    sample = {"id": "v-1", "vector": [1.0, 2.0, 3.0]}
    assert guarded.client.post("/v1/monitors/vectors/samples", json=sample, headers=headers).status_code == 202
    assert guarded.client.post("/v1/monitors/support/samples", json={"id": "m", "text": "hi"}, headers=headers).status_code == 404
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "org.kubeflow.serving.inference.request", "ce-source": "s"}
    event["ce-inferenceservicename"] = "support"
    answer = guarded.client.post(f"/v1/cloudevents/{text}", json={"instances": ["hi"]}, headers=event)
    assert (answer.status_code, answer.json()["results"][0]["reason"]) == (202, "unrouted")
    everywhere = bearer(guarded, Role.INGEST)["authorization"].removeprefix("Bearer ")
    answer = guarded.client.post(f"/v1/cloudevents/{everywhere}", json={"instances": ["hi"]}, headers=event)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def test_tokens_in_paths_are_in_no_log(guarded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    headers = bearer(guarded, Role.INGEST)
    text = headers["authorization"].removeprefix("Bearer ")
    for path in (f"/v1/cloudevents/{text}", f"/v1/cloudevents/{text}/x", f"/v1/cloudevents/{text[:-1]}"):
        guarded.client.post(path, json={})
    shown = capsys.readouterr()
    assert text.rpartition("_")[2][:20] not in shown.out + shown.err


def test_a_reader_sees_of_a_dead_letter_why_and_not_what(guarded: Any) -> None:
    reader, operator = bearer(guarded, Role.READER), bearer(guarded, Role.OPERATOR)
    (shown,) = guarded.client.get("/v1/dead-letters", headers=operator).json()["dead_letters"]
    assert (shown["message"], shown["original"]) == ("secret words", "secret bytes")
    for headers in (reader, bearer(guarded, Role.READER, monitors=("support",))):
        answer = guarded.client.get("/v1/dead-letters", headers=headers)
        assert answer.json()["dead_letters"][0]["reason"] == shown["reason"]
        assert "secret" not in answer.text


def test_what_somebody_reaches_is_looked_through_once(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until other monitors are declared."""
    headers, asked = bearer(guarded, Role.INGEST, monitors=("vectors",)), []
    among = Principal.among

    def counted(*given: Any) -> Any:
        asked.append(given)
        return among(*given)

    monkeypatch.setattr(Principal, "among", counted)

    def send() -> int:
        return int(guarded.client.post("/v1/monitors/vectors/samples", json={"vector": [1.0, 2.0, 3.0]}, headers=headers).status_code)

    assert (send(), len(asked)) == (202, 2)
    assert (send(), len(asked)) == (202, 2)
    guarded.service.declaring.look()
    assert (send(), len(asked)) == (202, 4)


def test_a_team_s_admin_declares_its_monitors_alone(guarded: Any) -> None:
    headers = bearer(guarded, Role.ADMIN, monitors=("vectors", "new"))
    body = {"embedder": {"model": "m.onnx", "input": "none", "dimension": 3}}
    assert guarded.client.put("/v1/monitors/other", json=body, headers=headers).status_code == 403
    assert guarded.client.put("/v1/monitors/support", json=body, headers=headers).status_code == 404
    assert guarded.client.put("/v1/monitors/new", json=body, headers=headers).status_code in {200, 201}
    assert guarded.client.get("/v1/monitors/new/declaration", headers=headers).status_code == 200
