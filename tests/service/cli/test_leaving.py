"""What the doctor says of destinations and links, by the configuration alone."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from service.cli.leaving import examine_leaving
from service.settings import parse

MONITOR = {"name": "chat", "embedder": {"input": "none", "dimension": 3}, "annotation": {"destination": "hook"}}
HOOK = {"type": "webhook", "name": "hook", "url": "https://hooks.example.org", "secret_env": "HOOK_SECRET"}
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


def said(tmp_path: Path, *destinations: dict[str, Any], **more: Any) -> dict[str, tuple[str, str, str]]:
    document = {"directory": str(tmp_path / "state"), "destinations": list(destinations), **more}
    return dict(examine_leaving(parse(document, base=tmp_path)))


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def test_without_an_address_batches_carry_their_samples(tmp_path: Path) -> None:
    found = said(tmp_path, HOOK, monitors=[MONITOR])
    assert found["destination hook"] == ("ok", "webhook with a secret from HOOK_SECRET", "")
    level, says, remedy = found["links"]
    assert (level, "carry their samples" in says, "server.public_url" in remedy) == ("warn", True, True)


@pytest.mark.parametrize(
    ("server", "level", "words"),
    [
        ({"public_url": "https://drift.example"}, "ok", "begin with https://drift.example"),
        ({"public_url": "http://127.0.0.1:8080"}, "warn", "this machine only"),
        ({"public_url": "https://drift.example", "link_secret_file": "nowhere"}, "fail", "can't be read"),
    ],
)
def test_links_that_can_be_made(tmp_path: Path, server: dict[str, Any], level: str, words: str) -> None:
    found = said(tmp_path, HOOK, monitors=[MONITOR], server=server)["links"]
    assert found[0] == level
    assert words in found[1]


def test_replicas_are_told_to_share_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"monitors": [MONITOR], "server": {"public_url": "https://drift.example"}, "redis": {"url": "redis://redis:6379/0"}}
    assert said(tmp_path, HOOK, **shared)["links"][0] == "warn"
    monkeypatch.setenv("DRIFTGATE__LINK_SECRET", "a" * 32)
    assert said(tmp_path, HOOK, **shared)["links"][0] == "ok"


def test_links_are_spoken_of_only_where_batches_go_by_link(tmp_path: Path) -> None:
    assert "links" not in said(tmp_path, {**HOOK, "payload": "inline"}, monitors=[MONITOR])
    assert "links" not in said(tmp_path, HOOK)


def test_two_secrets_and_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", f"{SECRET} {SECRET}")
    assert said(tmp_path, HOOK)["destination hook"][1] == "webhook with 2 secrets from HOOK_SECRET"
    monkeypatch.setenv("HOOK_SECRET", "")
    assert said(tmp_path, HOOK)["destination hook"][0] == "fail"
    monkeypatch.setenv("TOKEN", "t0ken")
    github = {**HOOK, "format": "github", "token_env": "TOKEN"}
    del github["secret_env"]
    assert said(tmp_path, github)["destination hook"] == ("ok", "webhook with a token from TOKEN", "")


def test_folders_and_topics(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = {"type": "folder", "name": "inbox", "path": str(tmp_path / "new" / "inbox")}
    assert said(tmp_path, folder)["destination inbox"][0] == "ok"
    assert said(tmp_path, {**folder, "path": str(tmp_path / "file")})["destination inbox"][0] == "fail"
    topic = {"type": "kafka", "name": "events", "topic": "driftgate-events"}
    assert said(tmp_path, topic, kafka={"brokers": ["b:9092"]})["destination events"] == ("ok", "topic driftgate-events", "")
