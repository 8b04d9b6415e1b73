"""What the doctor says of whatever listens on the configured port."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.cli import server
from service.cli.server import examine_server, live_metrics
from service.errors import ConfigurationError
from service.settings import Settings, parse

READY: Mapping[str, Any] = {"status": "ready", "waiting_for": [], "without_reference": [], "reasons": {}, "notes": {}}


def configured(port: int) -> Settings:
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 3}}
    return parse({"directory": "state", "server": {"port": port}, "monitors": [monitor]}, base=Path("/nowhere"))


@contextmanager
def answering(
    ready: Mapping[str, Any] | str, *, status: int = 200, measured: bool = True, metrics: tuple[int, str] = (200, "{}")
) -> Iterator[Settings]:
    """A server whose `/readyz` says that; alive, and with these metrics, or with some that never come."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics" and not measured:
                return
            code, said = {"/readyz": (status, ready), "/metrics": metrics}.get(self.path, (200, {}))
            body = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield configured(listening.server_port)
        listening.shutdown()
        thread.join()


def test_a_server_that_is_ready_says_what_it_notes() -> None:
    notes = {"leader": "no, standing by", "monitor chat": "model.onnx is damaged"}
    with answering({**READY, "monitors": ["chat", "by-api"], "notes": notes}) as settings:
        said = list(examine_server(settings))
    assert [(level, says) for level, says, _ in said] == [
        ("ok", "runs and is ready"),
        ("ok", "leader: no, standing by"),
        ("warn", "monitor chat: model.onnx is damaged"),
    ]


def test_what_is_waited_for_is_told_with_the_reason() -> None:
    why = "orders/0: its topic was deleted and made anew; say where to read on"
    waiting = {**READY, "status": "waiting", "waiting_for": ["partitions"], "reasons": {"partitions": why}, "monitors": ["chat"]}
    with answering(waiting, status=503) as settings:
        assert list(examine_server(settings)) == [("fail", f"runs and waits for: partitions: {why}", "")]


def test_metrics_that_do_not_come_hide_no_reason() -> None:
    waiting = {**READY, "status": "waiting", "waiting_for": ["store"], "reasons": {"store": "it hangs"}}
    with answering(waiting, status=503, measured=False) as settings:
        said = [says for _, says, _ in examine_server(settings)]
    assert said[0] == "runs and waits for: store: it hangs"
    assert said[1].startswith("stopped answering")


def test_who_has_no_token_is_told_less() -> None:
    with answering({**READY, "status": "waiting", "waiting_for": ["store"]}, status=503) as settings:
        [(level, says, remedy)] = examine_server(settings)
    assert (level, says) == ("fail", "runs and waits for: store")
    assert "token" in remedy


def test_the_server_of_another_installation_is_not_taken_for_this_one() -> None:
    with answering({**READY, "monitors": ["mail"]}) as settings:
        [(level, says, remedy)] = examine_server(settings)
    assert (level, says) == ("fail", "runs for another installation: it watches mail, and not chat")
    assert "DRIFTGATE__SERVER__PORT" in remedy


@pytest.mark.parametrize("answer", ["<html>hello</html>", "[]", "{}"])
def test_something_else_is_no_driftgate(answer: str) -> None:
    with answering(answer) as settings:
        [(level, says, _)] = examine_server(settings)
    assert level == "fail"
    assert "is no driftgate" in says


def test_a_server_that_does_not_answer_is_not_an_address_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        [(level, says, remedy)] = examine_server(configured(silent.getsockname()[1]))
    assert level == "fail"
    assert "does not answer within 0.1 s" in says
    assert "restart" in remedy


def test_a_free_port_is_fine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert [level for level, _, _ in examine_server(configured(port))] == ["ok"]


def test_the_metrics_of_a_server_that_runs_are_read() -> None:
    shown = "# HELP driftgate_x What.\ndriftgate_x 1\n"
    with answering(READY, metrics=(200, shown)) as settings:
        assert live_metrics(settings) == shown
    with pytest.raises(ConfigurationError, match="no server answers on"):
        live_metrics(settings)


@pytest.mark.parametrize(("metrics", "says"), [((401, "no"), "says 401 to /metrics"), ((200, "secret=1"), "is no driftgate")])
def test_what_has_no_metrics_to_show_says_why(metrics: tuple[int, str], says: str) -> None:
    with answering(READY, metrics=metrics) as settings, pytest.raises(ConfigurationError, match=says):
        live_metrics(settings)


def test_metrics_on_a_port_of_their_own_are_asked_for_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[object, ...]]()

    def request(*given: object) -> tuple[int, bytes]:
        asked.append(given)
        return 200, b"# HELP\ndriftgate_x 1\n"

    monkeypatch.setattr(server, "_request", request)
    monkeypatch.setenv("DRIFTGATE__METRICS_TOKEN", "metrics-token-0123456789")
    monkeypatch.setenv("DRIFTGATE__INGEST_TOKEN", "ingest-token-0123456789")
    document = {"directory": "state", "server": {"port": 1, "metrics_port": 2, "metrics_host": "::"}}
    live_metrics(parse(document, base=Path("/nowhere")))
    live_metrics(configured(3))
    assert asked == [("::", 2, "/metrics", "metrics-token-0123456789"), ("127.0.0.1", 3, "/metrics", "ingest-token-0123456789")]
