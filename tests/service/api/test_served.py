"""Over a real server on a free port: limits while streaming, tokens out of the logs, an unharmed loop while appends wait."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import pytest
import structlog

from service.access import Access
from service.api import listen, server_for
from service.errors import ConfigurationError
from service.logs import configure

pytestmark = pytest.mark.long

TOKEN = "correct-horse-battery"


@contextmanager
def running(app: Any) -> Iterator[str]:
    """The application's address while it is served."""
    listening = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = server_for(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()
    assert not thread.is_alive()


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure(stream=out, level="DEBUG")
    yield out
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_a_port_that_is_taken_is_told_with_the_remedy() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigurationError, match="choose another port"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.(host|port)"):
        listen(host, 0)


def test_samples_in_and_metrics_out(make_site: Any, logs: io.StringIO) -> None:
    site = make_site(access=Access(loopback=False, token=TOKEN))
    with running(site.client.app) as address, httpx2.Client(base_url=address) as client:
        bearer = {"authorization": f"Bearer {TOKEN}"}
        sent = client.post("/v1/monitors/support/samples", json=[{"text": "hello"}, {"text": ""}], headers=bearer)
        event = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "x", "ce-source": "s"}
        logged = client.post(f"/v1/cloudevents/{TOKEN}", json={}, headers=event)
        guessed = client.post("/v1/cloudevents/my-wrong-guess-of-it", json={}, headers=event)
        metrics = client.get("/metrics", headers=bearer)
        alive = client.get("/healthz")
    assert [r.status_code for r in (sent, logged, guessed, metrics, alive)] == [202, 202, 401, 200, 200]
    assert "driftgate_samples_received_total" in metrics.text
    assert "server" not in alive.headers
    assert len(site.logged()) == 2
    lines = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert {line.get("path") for line in lines} >= {"/v1/monitors/{monitor}/samples", "/v1/cloudevents/[redacted]", "/healthz"}
    assert TOKEN not in logs.getvalue()
    assert "my-wrong-guess" not in logs.getvalue()
    assert "hello" not in logs.getvalue()


def test_an_endless_body_is_cut_off(make_site: Any, logs: io.StringIO) -> None:
    """The sender claims no length and never stops; the server answers after the limit and hangs up."""
    site = make_site(max_body_bytes=10_000)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with running(site.client.app) as address, socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), timeout=10) as sender:
        lines = (
            "POST /v1/monitors/support/samples HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
        )
        sender.sendall("\r\n".join((*lines, "", "")).encode())
        received = b""
        try:
            for _ in range(2_000):
                sender.sendall(chunk)
        except OSError:
            pass
        else:
            pytest.fail("130 MB were taken")
        with suppress(ConnectionError):  # what was on its way is lost when the other side hangs up first
            received = sender.recv(65_536)
    assert received == b"" or received.startswith(b"HTTP/1.1 413")
    assert site.logged() == []


@pytest.mark.parametrize("length", [True, False])
def test_whoever_sends_a_body_that_is_too_large_to_its_end_reads_why_it_is_refused(make_site: Any, length: bool) -> None:
    """A sender that reads nothing before it has sent all of it, as most do."""
    site = make_site(max_body_bytes=10_000)
    body = b" " * 40_000_000
    framing = f"Content-Length: {len(body)}" if length else "Transfer-Encoding: chunked"
    lines = ("POST /v1/monitors/support/samples HTTP/1.1", "Host: localhost", "Content-Type: application/json", framing, "", "")
    with running(site.client.app) as address, socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), timeout=30) as sender:
        sender.sendall("\r\n".join(lines).encode())
        sender.sendall(body if length else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert sender.recv(65_536).startswith(b"HTTP/1.1 413")


def test_who_asks_before_sending_is_answered_at_once(make_site: Any) -> None:
    site = make_site(max_body_bytes=10_000)
    lines = (
        "POST /v1/monitors/support/samples HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 40000000",
        "Expect: 100-continue",
    )
    with running(site.client.app) as address, socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), timeout=5) as sender:
        sender.sendall("\r\n".join((*lines, "", "")).encode())
        assert sender.recv(65_536).startswith(b"HTTP/1.1 413")


def test_probes_answer_while_appends_wait(make_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    release, entered = threading.Event(), threading.Event()
    append = site.log.append

    def slow(*args: Any, **options: Any) -> int:
        entered.set()
        release.wait(timeout=10)
        return int(append(*args, **options))

    monkeypatch.setattr(site.log, "append", slow)
    with running(site.client.app) as address, httpx2.Client(base_url=address) as client:
        answers: list[httpx2.Response] = []
        sender = threading.Thread(
            target=lambda: answers.append(httpx2.post(f"{address}/v1/monitors/support/samples", json={"text": "hello"}))
        )
        sender.start()
        assert entered.wait(timeout=10)
        assert client.get("/healthz").status_code == 200
        assert answers == []
        release.set()
        sender.join(timeout=10)
    assert [answer.status_code for answer in answers] == [202]
    assert len(site.logged()) == 1


def test_many_senders_at_once_lose_nothing(make_site: Any) -> None:
    site = make_site()
    with running(site.client.app) as address:

        def send(sender: int) -> None:
            with httpx2.Client(base_url=address) as client:
                for n in range(10):
                    answer = client.post("/v1/monitors/support/samples", json={"id": f"{sender}-{n}", "text": "x"})
                    assert answer.status_code == 202

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    ids = [item.id for item in site.logged()]
    assert sorted(ids) == sorted(f"{sender}-{n}" for sender in range(4) for n in range(10))
    for sender in range(4):
        assert [sent for sent in ids if sent.startswith(f"{sender}-")] == [f"{sender}-{n}" for n in range(10)]
