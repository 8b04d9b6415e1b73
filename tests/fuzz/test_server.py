"""What is done to harm below HTTP's meaning: senders that never end, heads without end, and what is no HTTP at all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.fuzz.conftest import TOKEN
from tests.service.api.conftest import Site
from tests.service.api.test_served import running

SLOW = 40
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HEAD = (
    b"POST /v1/monitors/support/samples HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
)


@pytest.fixture
def address(filled: Site) -> Iterator[str]:
    with running(filled.client.app) as address:
        yield address


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_bodies_that_never_end_keep_nobody_else_waiting(address: str) -> None:
    with ExitStack() as stack:
        for _ in range(SLOW):
            slow = stack.enter_context(connected(address))
            slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        assert httpx2.get(f"{address}/v1/monitors", headers=BEARER, timeout=10).status_code == 200


def test_a_sender_that_leaves_in_the_middle_leaves_nothing(address: str, filled: Site) -> None:
    before = len(filled.logged())
    with connected(address) as leaving:
        leaving.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"text": "half"}')
    assert httpx2.get(f"{address}/healthz", timeout=10).status_code == 200
    assert len(filled.logged()) == before


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/monitors HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        b"GET /v1/monitors HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"b" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"X-A\x00: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET http://elsewhere/ HTTP/1.1\r\n\r\n",
    ],
    ids=["headers", "a header", "a path", "two lengths", "a length below none", "chunks", "a zero byte", "TLS", "no host"],
)
def test_what_is_no_request_is_refused_and_the_server_goes_on(address: str, sent: bytes) -> None:
    with connected(address) as other:
        try:
            other.sendall(sent)
            answer = other.recv(65_536)
        except ConnectionError:
            answer = b""  # closed while it was still sent
    assert answer == b"" or answer.split(b" ")[1][:1] == b"4"
    assert httpx2.get(f"{address}/healthz", timeout=10).status_code == 200
