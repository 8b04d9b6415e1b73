"""One JSON object per line, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.logs import Sparing, configure

SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
TOKEN = "correct-horse-battery"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for library in ("httpx2", "httpcore2", "asyncio"):
        logging.getLogger(library).setLevel("NOTSET")
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)  # a server that ran before turned it off
    stream = io.StringIO()
    configure(stream=stream)
    return stream


def last(out: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return line


def test_event_first_and_ids_as_fields(out: io.StringIO) -> None:
    structlog.get_logger().info("alarm opened", monitor="support", alarm="a1", at_sample=3)
    line = last(out)
    assert list(line)[:3] == ["event", "level", "time"]
    assert line.items() >= {"event": "alarm opened", "level": "info", "monitor": "support", "alarm": "a1", "at_sample": 3}.items()
    assert line["time"].endswith("Z")


def test_the_standard_library_s_records_look_the_same(out: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("%s is %d", "port", 80)
    assert list(last(out))[:3] == ["event", "level", "time"]
    assert last(out)["event"] == "port is 80"


def test_requests_to_others_are_not_logged_by_their_library(out: io.StringIO) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST https://hooks.example/T0/secret-part")
    assert out.getvalue() == ""


def test_clients_of_servers_are_heard_at_their_worst_only(out: io.StringIO) -> None:
    logging.getLogger("kafka.net.manager").warning("Updated metadata")
    assert out.getvalue() == ""
    logging.getLogger("kafka.net.manager").error("bootstrap failed")
    assert last(out)["event"] == "bootstrap failed"


def test_commands_hear_no_client(out: io.StringIO) -> None:
    configure(level="WARNING", clients="CRITICAL", stream=out)
    logging.getLogger("kafka.coordinator").error("group coordinator not available")
    assert out.getvalue() == ""
    structlog.get_logger().warning("ours")
    assert last(out)["event"] == "ours"


def test_what_a_client_repeats_is_shown_once_a_minute() -> None:
    seconds = 0.0
    sparing = Sparing(logging.ERROR, clock=lambda: seconds)

    def shown(name: str, line: int) -> bool:
        return sparing.filter(logging.LogRecord(name, logging.ERROR, "client.py", line, "no topic %s", ("a",), None))

    assert shown("kafka.client", 1)
    assert shown("kafka.client", 2)
    seconds = 59.0
    assert not shown("kafka.client", 1)
    assert shown("service.worker", 1)
    assert shown("service.worker", 1)
    seconds = 60.0
    assert shown("kafka.client", 1)


def test_levels_below_are_left_out(out: io.StringIO) -> None:
    structlog.get_logger().debug("quiet")
    logging.getLogger("x").debug("quiet")
    assert out.getvalue() == ""


def test_exceptions_are_fields_of_the_line(out: io.StringIO) -> None:
    try:
        int(f"Bearer {TOKEN}")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError" in last(out)["exception"]
    assert TOKEN not in out.getvalue()


@pytest.mark.parametrize(
    "fields",
    [
        {"token": TOKEN},
        {"ingest_token": TOKEN},
        {"Authorization": f"Bearer {TOKEN}"},
        {"headers": {"authorization": TOKEN, "webhook-signature": TOKEN}},
        {"path": f"/v1/cloudevents/{TOKEN}"},
        {"url": f"http://h:1/v1/cloudevents/{TOKEN}?x=1"},
        {"seen": ["fine", f"bearer {TOKEN}"]},
        {"nested": {"deep": {"password": TOKEN}}},
    ],
)
def test_secrets_are_redacted_in_fields(out: io.StringIO, fields: dict[str, Any]) -> None:
    structlog.get_logger().info("request", **fields)
    assert TOKEN not in out.getvalue()
    assert "[redacted]" in out.getvalue()


@pytest.mark.parametrize(
    "text", [f'"POST /v1/cloudevents/{TOKEN} HTTP/1.1" 202', f"Authorization: Bearer {TOKEN}", f"key {SECRET} refused"]
)
def test_secrets_are_redacted_in_messages(out: io.StringIO, text: str) -> None:
    logging.getLogger("uvicorn.access").info("%s - %s", "127.0.0.1", text)
    structlog.get_logger().info(text)
    assert TOKEN not in out.getvalue()
    assert SECRET not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 2


def test_what_only_looks_secret_stays(out: io.StringIO) -> None:
    structlog.get_logger().info("embedder", max_tokens=256, tokenizer="bpe", path="/v1/cloudevents")
    assert last(out).items() >= {"max_tokens": 256, "tokenizer": "bpe", "path": "/v1/cloudevents"}.items()


def test_a_terminal_gets_readable_lines() -> None:
    terminal = Terminal()
    configure(stream=terminal)
    structlog.get_logger().info("alarm opened", token=TOKEN)
    assert "alarm opened" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert TOKEN not in terminal.getvalue()
