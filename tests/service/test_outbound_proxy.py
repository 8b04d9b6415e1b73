"""A proxy for what lies outside, and an authority of one's own: by a real proxy, and a real server that speaks TLS."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from service.errors import ConfigurationError, DeliveryError
from service.outbound import Outgoing
from service.settings import parse
from tests.servers.certificates import Certificate, certify

LOCAL = ("127.0.0.0/8", "::1")


class ConnectProxy:
    """Takes CONNECT, asks for credentials where it has any, and leads every name to this machine."""

    def __init__(self, credentials: str = "") -> None:
        self.asked: list[str] = []
        self.credentials = credentials
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = client.recv(65_536).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            basic = base64.b64encode(self.credentials.encode()).decode()
            if self.credentials and f"proxy-authorization: basic {basic}".lower() not in head.lower():
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            self.asked.append(f"{method} {target}")
            with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=_carry, args=(server, client), daemon=True).start()
                _carry(client, server)


def _carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while chunk := one.recv(65_536):
            other.sendall(chunk)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(credentials: str = "") -> Iterator[ConnectProxy]:
    with closing(ConnectProxy(credentials)) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HTTPServer, Certificate]]:
    made = certify(tmp_path_factory.mktemp("certificates"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        server.expect_request("/in").respond_with_data("ok")
        yield server, made


@pytest.fixture
def receiver(served: tuple[HTTPServer, Certificate], monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """Speaks TLS by a certificate that only SSL_CERT_FILE knows."""
    server, made = served
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    return server


def sending(through: ConnectProxy | None, *allow: str, secret: Path | None = None) -> closing[Outgoing]:
    outbound = {"allow": allow, "proxy": through and through.url, "proxy_credentials_file": secret}
    return closing(Outgoing.of(parse({"outbound": outbound}, base=Path("/nowhere")).outbound, timeout=5.0))


def post(server: HTTPServer, through: ConnectProxy | None = None, *allow: str, secret: Path | None = None) -> None:
    with sending(through, *allow, secret=secret) as outgoing:
        outgoing.post(f"https://localhost:{server.port}/in", b"{}", {}, now=1.0)


def unknown_here(monkeypatch: pytest.MonkeyPatch, error: int = socket.EAI_NONAME) -> None:
    """Our own resolver does not know the receiver's name, as where only the proxy reaches the world."""
    really = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **options: Any) -> Any:
        if host == "localhost":
            raise socket.gaierror(error, "no address")
        return really(host, *rest, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolve)


def test_an_authority_of_our_own_is_trusted_and_no_other(receiver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    post(receiver, None, "localhost")
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        post(receiver, None, "localhost")


def test_what_is_not_known_here_goes_through_the_proxy_by_name(receiver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as through:
        unknown_here(monkeypatch)
        post(receiver, through)
        assert through.asked == [f"CONNECT localhost:{receiver.port}"]


@pytest.mark.parametrize(
    ("error", "allow"),
    [(socket.EAI_NONAME, ["localhost"]), (socket.EAI_AGAIN, []), (socket.EAI_AGAIN, ["localhost"]), (socket.EAI_FAIL, [])],
)
def test_what_may_lie_inside_is_never_told_to_the_proxy(monkeypatch: pytest.MonkeyPatch, error: int, allow: list[str]) -> None:
    """A name server that is away for a moment must not send what is meant for inside, and its token, out of the network."""
    unknown_here(monkeypatch, error)
    with proxy() as through, sending(through, *allow) as outgoing:
        with pytest.raises(DeliveryError, match="can't be resolved") as refused:
            outgoing.post("http://localhost/in", b"{}", {}, now=1.0)
        assert refused.value.retryable
        assert through.asked == []


def test_what_lies_inside_is_reached_without_it_or_refused(receiver: HTTPServer) -> None:
    with proxy() as through:
        post(receiver, through, *LOCAL)
        with pytest.raises(DeliveryError, match="inside the network"):
            post(receiver, through)
        assert through.asked == []


def test_credentials_are_read_anew(receiver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "proxy-credentials"
    file.write_text("driftgate:first\n", encoding="utf-8")
    unknown_here(monkeypatch)
    with proxy("driftgate:first") as through, sending(through, secret=file) as outgoing:
        url = f"https://localhost:{receiver.port}/in"
        outgoing.post(url, b"{}", {}, now=1.0)
        through.credentials = "driftgate:second"
        file.write_text("driftgate:second\n", encoding="utf-8")
        outgoing.post(url, b"{}", {}, now=1.0)
        file.write_text("driftgate:third\n", encoding="utf-8")
        with pytest.raises(DeliveryError, match="407") as refused:
            outgoing.post(url, b"{}", {}, now=1.0)
    assert refused.value.retryable
    assert len(through.asked) == 2


def test_credentials_that_can_t_be_read_are_said(receiver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unknown_here(monkeypatch)
    with proxy("a:b") as through, pytest.raises(DeliveryError, match=r"proxy_credentials_file .* can't be read") as error:
        post(receiver, through, secret=tmp_path / "absent")
    assert error.value.retryable


def test_a_proxy_that_is_away_is_tried_again(receiver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as through:
        pass
    unknown_here(monkeypatch)
    with pytest.raises(DeliveryError) as error:
        post(receiver, through)
    assert error.value.retryable


@pytest.mark.parametrize("outbound", [{"proxy": "http://user:word@proxy:3128"}, {"proxy": "socks5://proxy"}, {"proxy": "proxy:3128"}])
def test_what_is_no_address_of_a_proxy_is_refused(outbound: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="proxy"):
        parse({"outbound": outbound}, base=Path("/nowhere"))
