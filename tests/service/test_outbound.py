"""What may be connected to: the address that was checked, and nothing inside the network that is not named."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from service.errors import ConfigurationError, DeliveryError
from service.outbound import Outgoing
from service.settings import Settings, parse

PUBLIC = "93.184.215.14"


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> list[str]:
    """Makes every name resolve to the first answer, the next time to the second, and so on around; returns the names asked for."""
    asked: list[str] = []
    turn: Iterator[Sequence[str]] = cycle(answers)

    def resolve(host: str, port: int | None, **_: Any) -> list[Any]:
        asked.append(host)
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in next(turn)]

    monkeypatch.setattr("service.outbound.socket.getaddrinfo", resolve)
    return asked


def connections(monkeypatch: pytest.MonkeyPatch, *, refused: int = 0) -> list[httpx2.Request]:
    """What would have been connected to; the first so many refuse."""
    sent: list[httpx2.Request] = []

    def connect(_: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        if len(sent) <= refused:
            raise httpx2.ConnectError("no route")
        return httpx2.Response(200)

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", connect)
    return sent


def post(url: str, *allow: str) -> None:
    with closing(Outgoing(allow)) as outgoing:
        outgoing.post(url, b"{}", {}, now=1.0)


def failure(url: str, *allow: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        post(url, *allow)
    return error.value


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0"),  # noqa: S104 - nothing is bound
        *(
            "2130706433",
            "0",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::]",
            "LOCALHOST.",
            "[fe80::1]",
        ),
    ],
)
def test_addresses_inside_the_network_are_refused_before_any_connection(httpserver: HTTPServer, host: str) -> None:
    error = failure(f"http://{host}:{httpserver.port}/in")
    assert not error.retryable or "can't be resolved" in str(error)
    assert httpserver.log == []


@pytest.mark.parametrize(
    "address", ["::ffff:10.0.0.1", "fe80::1%eth0", "fc00::1", "64:ff9b::7f00:1", "2002:7f00:1::1", "224.0.0.1", "ff02::1", "::"]
)
def test_a_name_that_leads_inside_by_a_detour_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolve_to(monkeypatch, [PUBLIC, address])
    error = failure("https://hooks.example.org/in")
    assert not error.retryable
    assert "outbound.allow" in str(error)


def test_a_name_that_changes_its_answer_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: it is asked once for each request, what was checked is what is connected to, and the next request is checked anew."""
    asked, sent = resolve_to(monkeypatch, [PUBLIC], ["169.254.169.254"]), connections(monkeypatch)
    post("https://hooks.example.org/in")
    assert not failure("https://hooks.example.org/in").retryable
    assert asked == ["hooks.example.org"] * 2
    assert [request.url.host for request in sent] == [PUBLIC]


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, sent = resolve_to(monkeypatch, ["2606:4700::1111", PUBLIC]), connections(monkeypatch, refused=1)
    post("https://hooks.example.org:8443/in")
    assert asked == ["hooks.example.org"]
    assert [(r.url.host, r.url.port) for r in sent] == [("2606:4700::1111", 8443), (PUBLIC, 8443)]
    assert all(r.headers["host"] == "hooks.example.org:8443" for r in sent)
    assert all(r.extensions["sni_hostname"] == "hooks.example.org" for r in sent)
    assert sent[1].read() == sent[0].read() == b"{}"


def test_a_name_that_does_not_resolve_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("service.outbound.socket.getaddrinfo", resolve)
    assert failure("https://hooks.example.org/in").retryable


@pytest.mark.parametrize("host", ["hooks.example.org", "HOOKS.example.org", "hooks.example.org."])
@pytest.mark.parametrize(
    ("allow", "address", "reached"),
    [
        ("hooks.example.org", "10.0.0.7", True),
        ("hooks.example.org", "127.0.0.1", True),
        ("hooks.example.org", "169.254.169.254", False),  # where clouds hand out credentials: by its network alone
        ("hooks.example.org", "0.0.0.0", False),  # noqa: S104 - nothing is bound
        ("169.254.0.0/16", "169.254.169.254", True),
        ("other.example.org", "10.0.0.7", False),
        ("example.org", "10.0.0.7", False),
        ("10.0.0.0/8", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.7", True),
        ("10.1.0.0/16", "10.0.0.7", False),
        ("fc00::/7", "fd00::1", True),
        ("10.0.0.0/8", "::ffff:10.0.0.7", True),
    ],
)
def test_what_is_named_is_reached(monkeypatch: pytest.MonkeyPatch, host: str, allow: str, address: str, reached: bool) -> None:
    resolve_to(monkeypatch, [address])
    sent = connections(monkeypatch)
    if reached:
        post(f"https://{host}/in", allow)
    else:
        assert not failure(f"https://{host}/in", allow).retryable
    assert bool(sent) == reached


def test_redirects_lead_nowhere(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/in").respond_with_data("", 307, {"Location": httpserver.url_for("/elsewhere")})
    httpserver.expect_request("/elsewhere").respond_with_data("ok")
    assert "redirects are not followed" in str(failure(httpserver.url_for("/in"), httpserver.host, "127.0.0.1"))
    assert [request.path for request, _ in httpserver.log] == ["/in"]


def configured(url: str = "https://hooks.example.org/in", allow: Sequence[str] = ()) -> Settings:
    hook = {"type": "webhook", "name": "hook", "url": url, "format": "cloudevents"}
    return parse({"destinations": [hook], "outbound": {"allow": list(allow)}}, base=Path("/nowhere"))


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org@10.0.0.7/in",
        "https://user:word@hooks.example.org/in",
        "http://10.0.0.7\\@hooks.example.org/",
        "https:///in",
        "https://hooks.example.org:port/",
        "https://hooks.example.org/in put",
        "https://hooks.example.org/in\r\nX: 1",
    ],
)
def test_an_address_that_reads_as_another_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        configured(url)


@pytest.mark.parametrize("name", ["10.0.0.0/33", "10.0.0.1/8", "http://hooks", "*", "2130706433", "", "a b", "hooks/8"])
def test_what_is_neither_host_nor_network_can_t_be_allowed(name: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a host"):
        configured(allow=[name])
