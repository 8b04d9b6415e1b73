"""What may be declared of destinations, and where their secrets come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import ConfigurationError
from service.settings import Settings, WebhookDestination, parse, read_secrets, read_token

HOOK = {"type": "webhook", "name": "hook", "url": "https://hooks.example.org/in"}
TOPIC = {"type": "kafka", "name": "events", "topic": "driftgate-events"}


def settings(*destinations: dict[str, Any], **more: Any) -> Settings:
    return parse({"destinations": list(destinations), **more}, base=Path("/nowhere"))


def webhook(**options: Any) -> WebhookDestination:
    return WebhookDestination.model_validate({**HOOK, **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "every standard webhook is signed"),
        ({"secret_env": "A", "secret_file": "b"}, "either secret_file or secret_env"),
        ({"secret_env": "A", "token_env": "A", "token_file": "b"}, "either token_file or token_env"),
        ({"format": "github"}, "GitHub asks for a token"),
        ({"format": "smoke"}, "format"),
        ({"secret_env": "A", "payload": "both"}, "payload"),
        ({"secret_env": "A", "url": "file:///etc/passwd"}, "url"),
    ],
)
def test_what_a_receiver_could_not_know_us_by_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        settings({**HOOK, **options})


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"url": "https://ana:5ecret@hooks.example.org/in"}, "url: .* holds no user and no password"),
        ({"url": "https://ana:5ecret/x@hooks.example.org"}, "url: no address"),
        ({"url": "https://ana:5ecret@[hooks"}, "url: no address"),
        ({"url": "https://ana:5ecret\u2100@hooks"}, "url: no address"),
        ({"url": "htps://hooks.example.org/services/5ecret"}, "url: String should match"),
        ({"url": ["https://hooks.example.org/5ecret"]}, "url: Input should be a valid string"),
        ({"secret": "whsec_5ecret"}, "secret: Extra inputs"),
        ({"token_env": ["5ecret"]}, "token_env: Input should be a valid string"),
    ],
)
def test_what_may_hold_a_secret_is_not_told_with_its_error(options: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigurationError, match=where) as refused:
        settings({**HOOK, "secret_env": "A", **options})
    assert "5ecret" not in str(refused.value)


def test_what_holds_none_is_told_with_its_error() -> None:
    with pytest.raises(ConfigurationError, match=r"timeout: .*found 0"):
        settings({**HOOK, "secret_env": "A", "timeout": 0})


@pytest.mark.parametrize("options", [{"secret_env": "A"}, {"format": "cloudevents"}, {"format": "github", "token_file": "t"}])
def test_what_is_enough(options: dict[str, Any]) -> None:
    assert settings({**HOOK, **options}).destinations


def test_events_need_brokers_and_a_topic_that_no_monitor_reads() -> None:
    with pytest.raises(ConfigurationError, match="destination events: type kafka needs the brokers"):
        settings(TOPIC)
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 3}, "topic": {"name": "driftgate-events"}}
    kafka = {"brokers": ["broker:9092"]}
    with pytest.raises(ConfigurationError, match="topic driftgate-events is destination events's"):
        settings(TOPIC, kafka=kafka, monitors=[monitor])
    assert settings(TOPIC, kafka=kafka).destinations


def test_secrets_as_they_stand_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("whsec_a\n  whsec_b\n")
    assert read_secrets(webhook(secret_file=tmp_path / "secret")) == ["whsec_a", "whsec_b"]
    monkeypatch.setenv("HOOK", "whsec_c whsec_d")
    assert read_secrets(webhook(secret_env="HOOK")) == ["whsec_c", "whsec_d"]
    assert read_secrets(webhook(format="cloudevents")) == []


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match="destination hook: no secret in file"):
        read_secrets(webhook(secret_file=tmp_path / "secret"))


def test_a_token_is_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token(webhook(secret_env="A")) is None
    monkeypatch.setenv("TOKEN", "one")
    assert read_token(webhook(secret_env="A", token_env="TOKEN")) == "one"
    for wrong in ("", "two words", "ümlaut"):
        monkeypatch.setenv("TOKEN", wrong)
        with pytest.raises(ConfigurationError, match="no token in environment variable TOKEN"):
            read_token(webhook(secret_env="A", token_env="TOKEN"))


def test_destinations_of_the_page_are_valid() -> None:
    page = (Path(__file__).parents[3] / "docs/handoff.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    declared = [parse(example, base=Path("/nowhere")).destinations for example in examples if "destinations" in example]
    assert [len(each) for each in declared] == [1, 3]
