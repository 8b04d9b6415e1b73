"""Pages, examples and rules that name fields, metrics and files of the program stay in step with it."""

from __future__ import annotations

import re
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from typer.core import TyperGroup
from typer.main import get_command

from service.access import Access
from service.cli.application import app
from service.decoding.kafka_records import KafkaDecoder
from service.metrics import inventory
from service.records import Original, Sample
from service.settings import Settings, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


FIELDS = frozenset({"driftgate_id", "driftgate_batch", "driftgate_priority"})
"""Of what is sent to annotators: no metrics."""


def test_configuration_page_is_rendered_from_the_settings() -> None:
    render = runpy.run_path(str(ROOT / "docs/configuration.py"))["render"]
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert page == render(Settings.model_json_schema()), "run: .venv/bin/python docs/configuration.py"


def test_every_setting_says_what_it_means() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    silent = [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert [line for line in silent if not line.startswith("| `type`")] == []


def fenced(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_example_configurations_are_valid() -> None:
    examples = [*fenced(ROOT / "README.md", "yaml"), (ROOT / "deploy/driftgate.yaml").read_text(encoding="utf-8")]
    assert len(examples) >= 2
    for example in examples:
        assert parse(yaml.safe_load(example), base=ROOT).monitors


def test_production_examples_are_of_what_several_processes_share() -> None:
    examples = [parse(yaml.safe_load(text), base=ROOT) for text in fenced(ROOT / "docs/production.md", "yaml")]
    assert len(examples) == 2
    for settings in examples:
        assert settings.kafka
        assert settings.redis
        assert Access.of(settings.model_copy(update={"ingest_token": SecretStr("a" * 32)})).token
        assert all(monitor.topic for monitor in settings.monitors)


def test_production_example_reads_the_record_that_is_sent() -> None:
    page = (ROOT / "docs/production.md").read_text(encoding="utf-8")
    settings = parse(yaml.safe_load(fenced(ROOT / "docs/production.md", "yaml")[0]), base=ROOT)
    (sent,) = re.findall(r"echo '(.*)' \|", page)
    (found,) = KafkaDecoder(settings.monitors).decode("chat-messages", Original(None, sent.encode()))
    assert isinstance(found, Sample)
    assert (found.id, found.payload, found.segments) == ("m-1", "where is my refund?", {"locale": "en"})


def test_scaler_follows_the_group_and_topic_of_the_production_example() -> None:
    settings = parse(yaml.safe_load(fenced(ROOT / "docs/production.md", "yaml")[0]), base=ROOT)
    (scaler,) = (yaml.safe_load(text) for text in fenced(ROOT / "docs/operating.md", "yaml"))
    (trigger,) = scaler["spec"]["triggers"]
    assert settings.kafka
    assert trigger["metadata"]["consumerGroup"] == settings.kafka.group
    assert trigger["metadata"]["bootstrapServers"] in settings.kafka.brokers
    declared = [(monitor.topic.name, monitor.topic.start) for monitor in settings.monitors if monitor.topic]
    assert [(trigger["metadata"]["topic"], trigger["metadata"]["offsetResetPolicy"])] == declared


def test_commands_that_pages_name_exist() -> None:
    commands = get_command(app)
    named = {
        words
        for page in PAGES
        for words in re.findall(
            r"(?:`|^ {4,}|=\d+ )driftgate ((?:[a-z\\|]+(?:-[a-z]+)* ?)+)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert len(named) > 30
    assert [words for words in sorted(named) if not _is_command(commands, words.replace("\\", "").split())] == []


@pytest.mark.long
def test_options_that_pages_name_exist() -> None:
    typed = [
        line
        for page in PAGES
        for line in re.findall(r"[`\" ]driftgate ([a-z]+[ -][^`\"\n]*--[a-z][^`\"\n]*)", page.read_text(encoding="utf-8"))
    ]
    assert len(typed) > 30
    assert [line for line in typed if not _options(line) <= _known_options(line)] == []


def _options(line: str) -> set[str]:
    return set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line))


def _known_options(line: str) -> set[str]:
    """Of the command that the line begins with."""
    command: Any = get_command(app)
    for word in line.split():
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
    return {"--help", *(name for parameter in command.params for name in parameter.opts)}


def _is_command(command: object, words: Sequence[str]) -> bool:
    """Whether the words lead to a command, or a group of them, by each of the ways that `|` separates; what follows are arguments."""
    if not words or not isinstance(command, TyperGroup):
        return True
    return all(way in command.commands and _is_command(command.commands[way], words[1:]) for way in words[0].split("|"))


def test_chart_writes_a_valid_configuration() -> None:
    values: dict[str, Any] = yaml.safe_load((ROOT / "helm/driftgate/values.yaml").read_text(encoding="utf-8"))
    settings = parse(values["config"], base=ROOT)
    assert [destination.name for destination in settings.destinations] == ["inbox"]


def test_metrics_page_is_rendered_from_the_inventory() -> None:
    render = runpy.run_path(str(ROOT / "docs/metrics.py"))["render"]
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == render(), "run: .venv/bin/python docs/metrics.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_metrics_that_exist(page: Path) -> None:
    asked = set(re.findall(r"\bdriftgate_[a-z_]+", page.read_text(encoding="utf-8")))
    assert asked - inventory.names() - inventory.EVERY.keys() - FIELDS == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
