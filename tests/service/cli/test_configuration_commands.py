"""`init`, `config`, and what wrong configurations are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.cli.model import TARGET
from service.settings import load

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def test_init_writes_a_configuration_that_is_valid_and_fits_the_model_command(desk_in: Callable[[Path], Desk], tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    said = desk.run("init").stdout
    assert "driftgate model build minilm" in said
    settings = load(desk.folder / "driftgate.yaml")
    assert settings.monitors[0].embedder.model == desk.folder / TARGET
    assert desk.json("config", "check") == {"valid": True, "monitors": ["support-chat"], "directory": str(desk.folder / "driftgate-data")}


def test_init_leaves_a_file_alone(desk: Desk) -> None:
    before = (desk.folder / "driftgate.yaml").read_text(encoding="utf-8")
    result = desk.run("init", code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("driftgate: driftgate.yaml exists")
    assert (desk.folder / "driftgate.yaml").read_text(encoding="utf-8") == before


def test_every_mistake_is_named_at_once(desk: Desk) -> None:
    def spoil(document: dict[str, Any]) -> None:
        document["server"]["port"] = 99_999
        document["monitors"][0]["detection"]["run_length"] = 3

    desk.configure(spoil)
    for command in (["config", "check"], ["status"], ["serve"]):
        result = desk.run(*command, code=2)
        assert "server.port" in result.stderr
        assert "monitors.0.detection.run_length" in result.stderr
        assert "Traceback" not in result.output


def test_a_missing_configuration_says_how_to_get_one(desk_in: Callable[[Path], Desk], tmp_path: Path) -> None:
    assert "driftgate init" in desk_in(tmp_path).run("status", code=2).stderr


def test_the_environment_names_the_configuration(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "driftgate.yaml").rename(desk.folder / "other.yaml")
    monkeypatch.setenv("DRIFTGATE_CONFIG", "other.yaml")
    assert desk.json("config", "check")["monitors"] == ["chat"]


def test_schema_is_the_settings_own(desk: Desk) -> None:
    schema = json.loads(desk.run("config", "schema").stdout)
    assert set(schema["properties"]) >= {"directory", "server", "monitors", "destinations"}


def test_with_several_monitors_one_must_be_named(desk: Desk) -> None:
    desk.configure(lambda document: document["monitors"].append({**document["monitors"][0], "name": "voice"}))
    assert "chat, voice; name one with --monitor" in desk.run("reference", "list", code=2).stderr
    assert desk.json("reference", "list", "--monitor", "voice") == {"references": []}
    assert "no monitor 'video'" in desk.run("reference", "list", "--monitor", "video", code=2).stderr
    assert [monitor["monitor"] for monitor in desk.json("status")["monitors"]] == ["chat", "voice"]


@pytest.mark.parametrize("field", ["ingest_topic", "dead_letter_topic"])
def test_a_monitor_reads_no_topic_that_is_written_to(desk: Desk, field: str) -> None:
    desk.configure(lambda document: document.update(kafka={"brokers": ["localhost:9092"], field: "chats"}))
    desk.configure(lambda document: document["monitors"][0].update(topic={"name": "chats"}))
    said = desk.run("config", "check", code=2).stderr
    assert f"topic chats is kafka.{field}" in said
