"""Webhooks against a real HTTP server."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from service.adapters.webhook import WebhookDestination
from service.errors import DeliveryError
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


def webhook(url: str, **options: Any) -> WebhookDestination:
    return WebhookDestination(Declared(type="webhook", name="hook", url=url, **{"secret_env": "HOOK_SECRET", **options}))


@pytest.fixture
def hook(httpserver: HTTPServer) -> Iterator[WebhookDestination]:
    with closing(webhook(httpserver.url_for("/in?key=s3cret"), allow_private=True)) as destination:
        yield destination


def failure(destination: WebhookDestination) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        destination.deliver(ITEM, now=NOW)
    return error.value


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Makes every name resolve so; returns the names asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int | None, **_: Any) -> list[Any]:
        asked.append(host)
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    monkeypatch.setattr("service.adapters.webhook.public_transport.socket.getaddrinfo", resolve)
    return asked


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
        with closing(webhook(url, timeout=0.05, allow_private=True)) as destination:
            error = failure(destination)
    assert error.retryable
    assert "no answer in time" in str(error)


def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with closing(webhook(url, allow_private=True)) as destination:
            assert failure(destination).retryable


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "2130706433", "0"],
)
def test_addresses_inside_the_network_are_refused_before_any_connection(httpserver: HTTPServer, host: str) -> None:
    with closing(webhook(f"http://{host}:{httpserver.port}/in")) as destination:
        error = failure(destination)
    assert not error.retryable
    assert "allow_private" in str(error)
    assert httpserver.log == []


@pytest.mark.parametrize(
    "address", ["::ffff:10.0.0.1", "fe80::1%eth0", "fc00::1", "64:ff9b::7f00:1", "2002:7f00:1::1", "224.0.0.1", "ff02::1"]
)
def test_a_name_that_leads_inside_by_a_detour_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolve_to(monkeypatch, "93.184.215.14", address)
    with closing(webhook("https://hooks.example.org/in")) as destination:
        assert not failure(destination).retryable


def test_a_name_that_does_not_resolve_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("service.adapters.webhook.public_transport.socket.getaddrinfo", resolve)
    with closing(webhook("https://hooks.example.org/in")) as destination:
        assert failure(destination).retryable


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolve_to(monkeypatch, "2606:4700::1111", "93.184.215.14")
    sent: list[httpx2.Request] = []

    def connect(_: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        if len(sent) == 1:
            raise httpx2.ConnectError("no route")
        return httpx2.Response(200)

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", connect)
    with closing(webhook("https://hooks.example.org:8443/in")) as destination:
        destination.deliver(ITEM, now=NOW)

    assert asked == ["hooks.example.org"]
    assert [(r.url.host, r.url.port) for r in sent] == [("2606:4700::1111", 8443), ("93.184.215.14", 8443)]
    assert all(r.headers["host"] == "hooks.example.org:8443" for r in sent)
    assert all(r.extensions["sni_hostname"] == "hooks.example.org" for r in sent)
    assert sent[1].read() == sent[0].read() != b""
