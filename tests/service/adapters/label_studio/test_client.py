"""What Label Studio's refusals are taken for: whether trying again can help, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from service.adapters.label_studio.client import Client, MissingError
from service.errors import ConfigurationError, DeliveryError

HTML = "<!doctype html><title>Sign in</title>"


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[Client]:
    client = Client(httpserver.url_for("/studio"), lambda: "legacy", timeout=5)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("status", "body", "retryable", "said"),
    [
        (401, '{"status_code": 401, "detail": "Invalid token."}', False, r"refuses our token \(401\): Invalid token.: make one under"),
        (403, "{}", False, r"refuses our token \(403\)"),
        (404, '{"detail": "No Project matches"}', False, r"nothing under api/x \(404\): No Project matches: is the destination's url"),
        (400, '{"status_code": 400, "validation_errors": {"title": ["too short"]}}', False, r"refuses api/x \(400\): .*too short"),
        (200, '{"status_code": 400, "detail": "broken"}', False, r"refuses api/x \(400\): broken"),
        (200, '{"status_code": 401, "detail": "who?"}', False, "refuses our token"),
        (200, HTML, False, "no JSON, so this may not be Label Studio, or a login page"),
        (302, HTML, False, "no JSON"),
        (404, HTML, False, "nothing under api/x"),
        (429, "{}", True, "answers 429"),
        (500, '{"detail": "database is locked"}', True, "answers 500 to api/x"),
        (502, HTML, True, "answers 502"),
    ],
)
def test_refusals(client: Client, httpserver: HTTPServer, status: int, body: str, retryable: bool, said: str) -> None:
    httpserver.expect_request("/studio/api/x").respond_with_data(body, status, headers={"retry-after": "7"})
    with pytest.raises(DeliveryError, match=said) as refused:
        client.ask("GET", "api/x")
    assert refused.value.retryable is retryable
    assert refused.value.retry_after == (7.0 if retryable else None)
    assert isinstance(refused.value, MissingError) is (status == 404)


def test_what_it_gives(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/studio/api/x", headers={"authorization": "Token legacy"}).respond_with_json({"id": 1})
    httpserver.expect_request("/studio/api/y").respond_with_data("", 204)
    assert (client.ask("GET", "api/x"), client.ask("DELETE", "api/y")) == ({"id": 1}, None)


def test_nobody_there() -> None:
    client = Client("http://127.0.0.1:9", lambda: "legacy", timeout=1)
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1") as refused:
        client.ask("GET", "api/x")
    assert refused.value.retryable
    client.close()


def test_an_answer_that_is_too_large(client: Client, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.label_studio.client.MOST_BYTES", 100)
    httpserver.expect_request("/studio/api/x").respond_with_data("[" + "1," * 200 + "1]")
    with pytest.raises(DeliveryError, match="larger than 100 bytes"):
        client.ask("GET", "api/x")


def test_a_token_that_is_not_there_yet(httpserver: HTTPServer) -> None:
    def token() -> str:
        raise ConfigurationError("destination studio: no token in file x")

    client = Client(httpserver.url_for("/"), token)
    with pytest.raises(DeliveryError, match="no token in file x; then replay"):
        client.ask("GET", "api/x")
    client.close()


def test_a_personal_token_is_exchanged_once_and_again_when_that_has_ended(httpserver: HTTPServer) -> None:
    exchanged: list[str] = []

    def exchange(request: Request) -> Response:
        assert request.get_json() == {"refresh": "a.b.c"}
        exchanged.append(f"short{len(exchanged)}")
        return Response(json.dumps({"access": exchanged[-1]}))

    def answer(request: Request) -> Response:
        known = request.headers["authorization"] == f"Bearer {exchanged[-1]}" and not (len(exchanged) == 1 and request.path.endswith("z"))
        return Response(json.dumps({"ok": known}), 200 if known else 401)

    httpserver.expect_request("/api/token/refresh/", method="POST").respond_with_handler(exchange)
    for path in "xyz":
        httpserver.expect_request(f"/api/{path}").respond_with_handler(answer)
    client = Client(httpserver.url_for("/"), lambda: "a.b.c")
    assert [client.ask("GET", f"api/{path}") for path in "xyz"] == [{"ok": True}] * 3
    assert exchanged == ["short0", "short1"]
    client.close()


def test_an_exchange_that_gives_nothing(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/token/refresh/").respond_with_json({})
    client = Client(httpserver.url_for("/"), lambda: "a.b.c")
    with pytest.raises(DeliveryError, match="api/token/refresh/ is no JSON"):
        client.ask("GET", "api/x")
    client.close()
