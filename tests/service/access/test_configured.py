"""Where the server listens decides what it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.access import Access, is_loopback, session_key
from service.errors import ConfigurationError
from service.records import Role
from service.settings import Settings, parse

TOKEN = "0123456789abcdef"


def settings(**changes: Any) -> Settings:
    return parse(changes, base=Path("/nowhere"))


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - the point of the test
        ("::", False),
        ("10.0.0.7", False),
        ("driftgate.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_on_loopback_no_token_is_needed() -> None:
    assert Access.of(settings()).token is None


def test_off_loopback_nobody_is_let_in_before_there_is_a_token() -> None:
    """The server starts all the same, so that the first can be made beside it."""
    access = Access.of(settings(server={"host": "0.0.0.0"}))  # noqa: S104 - the point of the test
    assert (access.loopback, access.token) == (False, None)


def test_the_configured_token_s_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTGATE__INGEST_TOKEN", TOKEN)
    assert Access.of(settings()).role is Role.ADMIN
    assert Access.of(settings(server={"ingest_token_role": "ingest"})).role is Role.INGEST


def test_sessions_are_signed_alike_by_every_replica(tmp_path: Path) -> None:
    site = parse({"directory": str(tmp_path)}, base=tmp_path)
    assert session_key(site) == session_key(site)
    assert len(session_key(site)) == 32


def test_the_token_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert Access.of(settings(server={"ingest_token_file": str(tmp_path / "token")})).token == TOKEN


def test_the_environment_s_token_goes_before_the_file_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("another-token-of-the-file")
    monkeypatch.setenv("DRIFTGATE__INGEST_TOKEN", TOKEN)
    assert Access.of(settings(server={"ingest_token_file": str(tmp_path / "token")})).token == TOKEN


@pytest.mark.parametrize(
    "token", ["", "short", "has space in the middle", "with/slash/in/the/path", "ümlaut-in-the-token", "x" * 513, "0123456789abcdef\n"]
)
def test_an_unusable_token_is_refused_without_showing_it(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTGATE__INGEST_TOKEN", token)
    with pytest.raises(ConfigurationError, match="DRIFTGATE__INGEST_TOKEN: a token has 16 to 512") as caught:
        Access.of(settings())
    assert not token or token not in str(caught.value)


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no-such-file"):
        Access.of(settings(server={"ingest_token_file": str(tmp_path / "no-such-file")}))


def test_webhook_secrets_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch, webhook_secrets: list[str]) -> None:
    monkeypatch.setenv("DRIFTGATE__WEBHOOK_SECRET", " ".join(webhook_secrets))
    assert len(Access.of(settings()).webhook_secrets) == 2
    monkeypatch.setenv("DRIFTGATE__WEBHOOK_SECRET", "whsec_short")
    with pytest.raises(ConfigurationError):
        Access.of(settings())


@pytest.fixture
def webhook_secrets() -> list[str]:
    return ["whsec_" + letter * 40 for letter in "AB"]


def test_secrets_do_not_show(webhook_secrets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTGATE__INGEST_TOKEN", TOKEN)
    monkeypatch.setenv("DRIFTGATE__WEBHOOK_SECRET", webhook_secrets[0])
    shown = repr(Access.of(settings()))
    assert TOKEN not in shown
    assert "AAAA" not in shown


def test_secrets_of_labels_are_read_from_their_file_as_it_stands(tmp_path: Path, webhook_secrets: list[str]) -> None:
    path = tmp_path / "secrets"
    path.write_text(webhook_secrets[0])
    access = Access.of(settings(server={"webhook_secret_file": str(path)}))
    assert len(access.secrets()) == 1
    path.write_text("\n".join(webhook_secrets))
    assert len(access.secrets()) == 2
    assert access.signed_annotations
    assert not access.unsigned_annotations


@pytest.mark.parametrize("content", [None, "", "whsec_short", "\n"])
def test_a_file_without_a_secret_lets_nobody_in_unsigned(tmp_path: Path, webhook_secrets: list[str], content: str | None) -> None:
    path = tmp_path / "secrets"
    path.write_text(webhook_secrets[0])
    access = Access.of(settings(server={"webhook_secret_file": str(path)}))
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    assert not access.unsigned_annotations
    with pytest.raises(ConfigurationError):
        access.secrets()
    with pytest.raises(ConfigurationError):
        Access.of(settings(server={"webhook_secret_file": str(path)}))
