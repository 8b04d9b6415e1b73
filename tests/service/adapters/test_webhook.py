"""Webhooks against a real HTTP server."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate

import pytest
from pytest_httpserver import HTTPServer

from service.adapters.webhook import WebhookDestination
from service.errors import DeliveryError
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import WebhookDestination as Declared
from service.signatures import Secret, verify

TEXT = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRET = Secret.parse(TEXT)
ITEM = OutboxItem("0123456789abcdef0123", "alarm.opened", "hook", {"alarm": "a1", "text": "grüße"}, created=1_700_000_000.5)
NOW = 1_700_000_100.0


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", TEXT)


def webhook(url: str, *, timeout: float = 20.0) -> WebhookDestination:
    return WebhookDestination(
        Declared(type="webhook", name="hook", url=url, secret_env="HOOK_SECRET"), Outgoing(["127.0.0.0/8"], timeout=timeout)
    )


@pytest.fixture
def hook(httpserver: HTTPServer) -> Iterator[WebhookDestination]:
    with closing(webhook(httpserver.url_for("/in?key=s3cret"))) as destination:
        yield destination


def failure(destination: WebhookDestination) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        destination.deliver(ITEM, now=NOW)
    return error.value


def test_an_item_arrives_signed_with_its_id(httpserver: HTTPServer, hook: WebhookDestination) -> None:
    httpserver.expect_request("/in", method="POST", query_string="key=s3cret").respond_with_data("", 204)

    hook.deliver(ITEM, now=NOW)

    ((request, _),) = httpserver.log
    body = request.get_data()
    assert verify([SECRET], dict(request.headers), body, now=NOW) == ITEM.id
    assert json.loads(body) == {
        "type": "alarm.opened",
        "timestamp": "2023-11-14T22:13:20.500000Z",
        "data": {"alarm": "a1", "text": "grüße"},
    }
    assert request.headers["content-type"] == "application/json"


def test_a_repetition_has_the_same_id_and_body_and_its_own_time(httpserver: HTTPServer, hook: WebhookDestination) -> None:
    httpserver.expect_request("/in").respond_with_data("ok")

    hook.deliver(ITEM, now=NOW)
    hook.deliver(ITEM, now=NOW + 300)

    first, second = (request for request, _ in httpserver.log)
    assert first.get_data() == second.get_data()
    assert [r.headers["webhook-id"] for r in (first, second)] == [ITEM.id] * 2
    assert [r.headers["webhook-timestamp"] for r in (first, second)] == ["1700000100", "1700000400"]


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((status, True) for status in (301, 302, 307, 408, 429, 500, 502, 503, 504)),
        *((status, False) for status in (400, 401, 404, 410, 422)),
    ],
)
def test_a_status_says_whether_trying_again_can_help(
    httpserver: HTTPServer, hook: WebhookDestination, status: int, retryable: bool
) -> None:
    httpserver.expect_request("/in").respond_with_data("", status, {"Location": httpserver.url_for("/elsewhere")})
    httpserver.expect_request("/elsewhere").respond_with_data("ok")

    error = failure(hook)

    assert error.retryable is retryable
    assert str(status) in str(error)
    assert "s3cret" not in str(error)
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_understood_in_both_forms(
    httpserver: HTTPServer, hook: WebhookDestination, header: str, seconds: float | None
) -> None:
    httpserver.expect_request("/in").respond_with_data("", 503, {"Retry-After": header})

    assert failure(hook).retry_after == seconds


def test_a_receiver_that_does_not_answer_is_tried_again() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with closing(webhook(url, timeout=0.05)) as destination:
            error = failure(destination)
    assert error.retryable
    assert "no answer in time" in str(error)


def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with closing(webhook(url)) as destination:
            assert failure(destination).retryable
