"""People in a browser: logging in, forms, what answers tell browsers, and how much is taken at once."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from service.access import Access, tokens
from service.access.sessions import COOKIE
from service.api import middleware
from service.records import AlarmState, DeadLetter, Partition, Rejected, Role
from service.settings import AccessSettings
from tests.service.api.conftest import NOW, an_alarm
from tests.service.api.test_scope import bearer

PAGE = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
FIELD = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@pytest.fixture
def guarded(make_site: Any) -> Any:
    site = make_site(access=Access(loopback=False, key=bytes(32)))
    site.client.follow_redirects = False
    return site


def field(page: Any) -> str:
    return str(FIELD.findall(page.text)[0])


def log_in(site: Any, role: Role = Role.OPERATOR, then: str = "/console/alarms") -> Any:
    minted = tokens.mint(site.store, tokens.Wanted(name="ana", role=role), by="test", now=NOW)
    page = site.client.get("/console/login")
    form = {"token": minted.text, "next": then, "csrf": field(page)}
    return site.client.post("/console/login", data=form, headers=PAGE)


def test_pages_lead_to_the_login_and_from_there_back(guarded: Any) -> None:
    led = guarded.client.get("/console/alarms")
    assert (led.status_code, led.headers["location"]) == (303, "/console/login?next=/console/alarms")
    answer = log_in(guarded)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/alarms")
    assert guarded.client.get("/console/alarms").status_code == 200


def test_a_reader_sees_in_the_console_what_the_api_shows_and_no_more(guarded: Any) -> None:
    rejected = Rejected("not_json", "secret words", b"secret bytes", 0, "support")
    guarded.store.add_dead_letters([DeadLetter(Partition("http", "1"), 7, NOW, rejected)])
    for role, seen in ((Role.READER, False), (Role.OPERATOR, True)):
        log_in(guarded, role)
        pages = [guarded.client.get(f"/console/{page}") for page in ("dead-letters", "dead-letters?monitor=support", "health")]
        assert [page.status_code for page in pages] == [200, 200, 200]
        assert "not_json" in pages[0].text
        assert ("secret words" in pages[0].text, "secret bytes" in pages[1].text, "secret" in pages[2].text) == (seen, seen, False)


@pytest.mark.parametrize(("host", "secure"), [("127.0.0.1:8080", False), ("localhost", False), ("drift.example", True)])
def test_the_cookie_is_for_our_pages_alone(guarded: Any, host: str, secure: bool) -> None:
    guarded.client.headers["host"] = host
    cookie = log_in(guarded).headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie
    assert ("; secure" in cookie) is secure


def test_logging_out_and_being_thrown_out(guarded: Any) -> None:
    log_in(guarded)
    page = guarded.client.get("/console/alarms")
    assert guarded.client.post("/console/logout", data={"csrf": field(page)}, headers=PAGE).headers["location"] == "/console/login"
    assert guarded.client.get("/console/alarms").status_code == 303


@pytest.mark.parametrize(
    "then",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/console/../x", "/console/login", "javascript:x", "/v1/alarms"],
)
def test_the_login_leads_nowhere_else(guarded: Any, then: str) -> None:
    assert log_in(guarded, then=then).headers["location"] == "/console"


def test_wrong_tokens(guarded: Any) -> None:
    page = guarded.client.get("/console/login")
    form = {"token": "wrong", "next": "/console", "csrf": field(page)}
    answer = guarded.client.post("/console/login", data=form, headers=PAGE)
    assert answer.headers["location"].startswith("/console/login?failed=true")
    assert "none that is in force" in guarded.client.get(answer.headers["location"]).text
    assert log_in(guarded, Role.INGEST).headers["location"].startswith("/console/login?failed=true")


def test_guessing_is_slowed_down(make_site: Any) -> None:
    site = make_site(access=Access(loopback=False, key=bytes(32), settings=AccessSettings(failures_per_minute=2)))
    csrf = field(site.client.get("/console/login"))
    found = [site.client.post("/console/login", data={"token": "x", "csrf": csrf}, headers=PAGE, follow_redirects=False) for _ in range(3)]
    assert [answer.status_code for answer in found] == [303, 303, 429]


def verdict(site: Any, csrf: str, **headers: str) -> Any:
    form = {"csrf": csrf, "verdict": "true", "note": ""}
    return site.client.post("/console/alarms/a1/verdict", data=form, headers={**PAGE, **headers})


def test_a_form_needs_its_page(guarded: Any) -> None:
    guarded.store.save(an_alarm())
    log_in(guarded)
    csrf = field(guarded.client.get("/console/alarms/a1"))
    assert verdict(guarded, "").status_code == 403
    assert verdict(guarded, csrf[:-1] + "0" if csrf[-1] != "0" else csrf[:-1] + "1").status_code == 403
    assert verdict(guarded, csrf, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert verdict(guarded, csrf, **{"sec-fetch-site": "", "origin": "https://evil.example"}).status_code == 403
    assert guarded.store.get(type(an_alarm()), "a1").state is AlarmState.OPEN
    assert verdict(guarded, csrf).status_code == 303


def test_a_form_of_another_session_is_none(guarded: Any) -> None:
    guarded.store.save(an_alarm())
    log_in(guarded)
    others = field(guarded.client.get("/console/alarms/a1"))
    guarded.client.cookies.clear()
    log_in(guarded)
    assert verdict(guarded, others).status_code == 403


def test_a_foreign_page_reaches_nothing_on_open_loopback(site: Any) -> None:
    site.store.save(an_alarm())
    act = {"actor": "evil"}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = site.client.post("/v1/alarms/a1/acknowledge", json=act, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "origin")
    assert site.client.post("/v1/alarms/a1/acknowledge", json=act).status_code == 200


# --- what answers tell browsers


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/v1/alarms", "/v1/nowhere", "/console/login", "/console/static/console.css", "/docs", "/openapi.json", "/v1/links/x"],
)
def test_every_answer_has_its_guards(make_site: Any, path: str) -> None:
    site = make_site(access=Access(loopback=False, key=bytes(32), public_url="https://drift.example"))
    for headers in ({}, bearer(site, Role.ADMIN)):
        answer = site.client.get(path, headers=headers, follow_redirects=False)
        said = answer.headers
        assert said["x-content-type-options"] == "nosniff"
        assert said["referrer-policy"] in {"no-referrer", "same-origin"}
        assert "default-src 'none'" in said["content-security-policy"]
        assert said["strict-transport-security"] == "max-age=31536000"
        assert "server" not in said
        if "static" not in path:
            assert said["cache-control"] == "no-store"
            assert path.startswith("/v1/links/") or "frame-ancestors 'none'" in said["content-security-policy"]


def test_without_https_nobody_is_told_to_use_it(site: Any) -> None:
    assert "strict-transport-security" not in site.client.get("/healthz").headers


# --- how much is taken at once


def test_beyond_what_fits_senders_are_told_to_come_again(make_site: Any) -> None:
    site = make_site(access=Access(loopback=True, settings=AccessSettings(bytes_at_once=1_000_000, requests_at_once=8)))
    limit = site.client.app.middleware_stack
    assert limit is not None or site.client.get("/healthz").status_code == 200
    load = find(site.client.app.middleware_stack, "LimitLoad")
    load._requests = 8
    answer = site.client.get("/v1/alarms")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["error"]) == (429, "1", "busy")
    assert site.client.get("/healthz").status_code == 200
    load._requests, load._bytes = 1, 999_990
    assert site.client.post("/v1/monitors/support/samples", json={"id": "m", "text": "hello there"}).status_code == 429
    load._requests, load._bytes = 0, 0
    assert site.client.post("/v1/monitors/support/samples", json={"id": "m", "text": "hello there"}).status_code == 202
    assert (load._requests, load._bytes) == (0, 0)


def test_whoever_shows_no_token_fills_an_eighth_at_most(make_site: Any) -> None:
    """Else anybody could keep all others out by bodies that never come."""
    access = Access(loopback=False, key=bytes(32), settings=AccessSettings(requests_at_once=32))
    site = make_site(access=access)
    known = bearer(site, Role.OPERATOR)
    site.client.get("/healthz")
    strangers = find(site.client.app.middleware_stack, "LimitLoad")._strangers
    assert [strangers.enter(each) for each in ("testclient", "testclient", "testclient", "10.0.0.1", "10.0.0.2", "10.0.0.3")] == [
        True, True, False, True, True, False,
    ]  # fmt: skip
    assert site.client.post("/v1/annotations/label-studio/x", json={}).status_code == 429
    assert site.client.get("/v1/links/x").status_code == 404
    assert site.client.post("/v1/alarms/x/acknowledge", json={"actor": "ana"}, headers=known).status_code == 404
    strangers.leave("testclient")
    assert site.client.post("/v1/annotations/label-studio/x", json={}).status_code != 429
    assert strangers._by == {"testclient": 1, "10.0.0.1": 1, "10.0.0.2": 1}


def test_a_body_of_unknown_length_counts_as_the_most_that_it_may_be(make_site: Any) -> None:
    settings = AccessSettings(bytes_at_once=1_000_000)
    site = make_site(access=Access(loopback=True, settings=settings), max_body_bytes=900_000)
    site.client.get("/healthz")
    load = find(site.client.app.middleware_stack, "LimitLoad")
    load._bytes = 200_000
    headers = {"content-type": "application/json"}
    assert site.client.post("/v1/cloudevents", content=iter([b"{}"]), headers=headers).status_code == 429
    assert site.client.post("/v1/cloudevents", content=b"{}", headers=headers).status_code != 429


@pytest.mark.parametrize("path", ["/v1/refresh/r/model", "/console/login", "/v1/annotations/label-studio/x"])
def test_only_an_upload_may_be_as_large_as_a_model(make_site: Any, path: str) -> None:
    site = make_site(max_body_bytes=3_000_000, max_model_bytes=5_000_000)
    assert site.client.post(path, content=b" " * 3_000_001).status_code == 413
    if path != "/v1/refresh/r/model":
        assert site.client.post(path, content=b" " * 2_000_001).status_code == 413
    assert site.client.put("/v1/refresh/r/model?version=2", content=b" " * 3_000_001).status_code == 404


def test_a_body_that_never_ends_is_not_waited_for(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "PATIENCE_SECONDS", 0.0)
    for key in ({}, {"idempotency-key": "a"}):
        answers = asyncio.run(posted(site.client.app, "/v1/alarms/a1/acknowledge", key))
        assert answers[0]["status"] == 408
        assert (b"connection", b"close") in answers[0]["headers"]


async def posted(app: Any, path: str, headers: dict[str, str]) -> list[Any]:
    """What is answered to a body whose sender has stopped in the middle of it."""
    sent = [{"type": "http.request", "body": b"{", "more_body": True}]
    answers: list[Any] = []

    async def receive() -> Any:
        if not sent:
            await asyncio.Event().wait()
        return sent.pop()

    async def send(message: Any) -> None:
        answers.append(message)

    shown = {"host": "localhost", "content-type": "application/json", "content-length": "1000"} | headers
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in shown.items()], "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return answers


def find(app: Any, name: str) -> Any:
    while type(app).__name__ != name:
        app = getattr(app, "_app", None) or app.app
    return app
