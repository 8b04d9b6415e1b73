"""Secrets in files are taken up when they change, and one that is spoilt leaves the one before in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.access.configured import Access, metrics_token
from service.access.gate import Asked, Gate, RefusedError
from service.access.kept import KeptSecret
from service.errors import ConfigurationError
from service.settings import Settings, parse

FIRST, SECOND = "correct-horse-battery", "another-horse-battery"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.access.kept.LOOK_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text(f"{FIRST}\n", encoding="utf-8")
    return found


def configured(file: Path) -> Settings:
    server = {"host": "0.0.0.0", "ingest_token_file": str(file), "metrics_port": 0, "metrics_token_file": str(file)}  # noqa: S104 - nothing is bound
    return parse({"server": server}, base=file.parent)


def test_it_is_looked_at_again_after_a_while() -> None:
    found, now = ["one"], 0.0
    secret = KeptSecret(lambda: found[-1], clock=lambda: now)
    found.append("two")
    assert secret() == "one"
    now = 1.0
    assert secret() == "two"


@pytest.mark.usefixtures("at_once")
def test_what_is_spoilt_is_said_once_and_changes_nothing(file: Path) -> None:
    secret = metrics_token(configured(file))
    assert secret is not None
    file.write_text("short", encoding="utf-8")
    with capture_logs() as logs:
        assert [secret() for _ in range(3)] == [FIRST] * 3
    assert [line["event"] for line in logs] == ["secret refused"]
    assert "short" not in str(logs)
    file.write_text(SECOND, encoding="utf-8")
    assert secret() == SECOND


def test_one_that_is_missing_at_the_start_is_said() -> None:
    with pytest.raises(ConfigurationError, match="ingest_token_file"):
        Access.of(configured(Path("/nowhere/token")))


@pytest.mark.usefixtures("at_once")
def test_the_door_follows_its_file(file: Path) -> None:
    gate = Gate(Access.of(configured(file)))
    let_in = _let_in(gate)
    assert (let_in(FIRST), let_in(SECOND)) == (True, False)
    file.write_text(SECOND, encoding="utf-8")
    assert (let_in(FIRST), let_in(SECOND)) == (False, True)


@pytest.mark.usefixtures("at_once")
def test_a_session_ends_with_the_token_that_it_began_with(file: Path) -> None:
    gate = Gate(Access.of(configured(file)))
    session = gate.log_in(FIRST, "10.0.0.1")
    assert session is not None
    assert gate._by_session(session) is not None
    file.write_text(SECOND, encoding="utf-8")
    assert gate._by_session(session) is None


def _let_in(gate: Gate) -> Callable[[str], bool]:
    def ask(token: str) -> bool:
        try:
            gate.admit(Asked("GET", "/v1/alarms", {"authorization": f"Bearer {token}"}, "10.0.0.1"))
        except RefusedError:
            return False
        return True

    return ask
