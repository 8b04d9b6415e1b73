"""What HTTP answers, and what the generator makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pytest_httpserver import HTTPServer

from service.demo.channels import over_http
from service.demo.chats import Chats
from service.demo.messages import CALM
from service.errors import ConfigurationError, UnavailableError

MESSAGES = Chats(np.random.default_rng(2), run="r").draw(3, mix=CALM)
TOKEN = "t" * 20


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    return path


def test_messages_go_as_one_request_with_the_token(httpserver: HTTPServer, token: Path) -> None:
    httpserver.expect_request("/v1/monitors/chat/samples", "POST", headers={"authorization": f"Bearer {TOKEN}"}).respond_with_data(
        status=202
    )
    with over_http(httpserver.url_for(""), "chat", token) as channel:
        channel.send(MESSAGES)
    ((request, _),) = httpserver.log
    assert [each["id"] for each in json.loads(request.data)] == [message.body["id"] for message in MESSAGES]


@pytest.mark.parametrize(
    ("status", "error"), [(429, UnavailableError), (503, UnavailableError), (401, ConfigurationError), (404, ConfigurationError)]
)
def test_what_may_pass_is_tried_again_and_what_is_wrong_is_said(status: int, error: type[Exception], httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/monitors/chat/samples").respond_with_data("why", status=status)
    with over_http(httpserver.url_for(""), "chat", None) as channel, pytest.raises(error, match=f"{status} why"):
        channel.send(MESSAGES)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://localhost", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected http://HOST:PORT"), over_http(url, "chat", None):
        pass


@pytest.mark.parametrize("content", [b"", b"short", b"two words of a token", b"\xff" * 20])
def test_a_file_without_a_token_is_refused(content: bytes, token: Path) -> None:
    token.write_bytes(content)
    with pytest.raises(ConfigurationError, match="--token-file"), over_http("http://localhost:1", "chat", token):
        pass


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"), over_http("http://localhost:1", "chat", tmp_path / "nowhere"):
        pass
