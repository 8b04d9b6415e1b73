"""Alert rules, their tests, their pages and where they lead: complete, and in step with each other and with the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from service.metrics import inventory
from service.notifying.pipeline import runbook
from tests.architecture.test_commands import wrong
from tests.architecture.test_source import none

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/rules"
TESTS = ROOT / "deploy/prometheus/tests"
PAGES = ROOT / "docs/runbooks"
SECTIONS = ["What it means", "Impact", "Look", "What to do", "Silence", "How it ends"]
NOTHING_IS_SEEN = {"DriftgateDown", "DriftgateNoLeader", "DriftgateNoWorker", "DriftgateStalled", "DriftgateUndecided", "DriftgateBlind"}


@cache
def rules() -> list[dict[str, Any]]:
    """All of them, those that record too."""
    documents = (yaml.load(path.read_bytes(), yaml.CSafeLoader) for path in sorted(RULES.glob("*.rules.yml")))
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


@cache
def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def expectations() -> Iterator[dict[str, Any]]:
    """What promtool expects of alerts."""
    for path in sorted(TESTS.glob("*.test.yml")):
        for case in yaml.load(path.read_bytes(), yaml.CSafeLoader)["tests"]:
            yield from case.get("alert_rule_test", [])


def fenced(page: str, language: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def page_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def test_every_alert_says_what_it_is_and_where_to_read_on() -> None:
    assert len(alerts()) > 20
    for name, rule in alerts().items():
        of_one = {"console_url"} if "team" in rule["labels"] and name != "DriftgateMissed" else set()
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url", *of_one}, name
        assert rule["annotations"]["runbook_url"] == f"https://driftgate.example/runbooks/{name}.md"
        assert rule["labels"]["severity"] in {"page", "ticket", "none"}, name


def test_only_what_leaves_monitors_unwatched_and_critical_drift_page() -> None:
    assert {name for name, rule in alerts().items() if rule["labels"]["severity"] == "page"} == {*NOTHING_IS_SEEN, "DriftgateDriftCritical"}


def test_a_change_of_leader_neither_resolves_nor_repeats_any() -> None:
    none(f"{name} resolves at once" for name, rule in alerts().items() if name != "DriftgateWatchdog" and rule["keep_firing_for"] != "5m")
    none(f"{rule} knows instances" for rule in rules() if re.search(r"\b(instance|pod)\b", rule["expr"]))


def test_an_alert_of_a_monitor_knows_its_team() -> None:
    none(f"{name} has no team" for name, rule in alerts().items() if "by (monitor" in rule["expr"] and "team" not in rule["labels"])


def test_rules_and_pages_ask_for_metrics_that_there_are() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = [(rule.get("alert", rule.get("record")), rule["expr"] + str(rule.get("annotations"))) for rule in rules()]
    asked += [(path.name, path.read_text(encoding="utf-8")) for path in [*sorted(TESTS.glob("*.test.yml")), *sorted(PAGES.glob("*.md"))]]
    named = [(where, name) for where, text in asked for name in re.findall(r"\bdriftgate_\w+|\bdriftgate:[a-z0-9_:]+", text)]
    assert len(named) > 100
    none(f"{where}: {name}" for where, name in named if name not in inventory.names() | recorded)


@pytest.mark.parametrize("fires", [True, False])
def test_every_alert_is_tested_to_fire_and_not_to(fires: bool) -> None:
    """But for the watchdog, which always fires."""
    seen = {each["alertname"] for each in expectations() if bool(each["exp_alerts"]) is fires}
    assert seen == alerts().keys() - (set() if fires else {"DriftgateWatchdog"})


def test_every_alert_has_a_page_in_the_same_order() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == alerts().keys()
    for name in alerts():
        page = page_of(name)
        assert page.startswith(f"# {name}\n")
        assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS, name


@pytest.mark.parametrize("severity", ["warning", "critical"])
@pytest.mark.parametrize("family", ["input", "feed"])
def test_what_driftgate_sends_itself_leads_to_a_page(family: str, severity: str) -> None:
    assert (PAGES / f"{runbook({'family': family, 'severity': severity})}.md").exists()


def test_the_operating_page_lists_every_alert_with_its_severity() -> None:
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| \[(Driftgate\w+)\]\(runbooks/\1\.md\) \| (\w*) \|", page, re.MULTILINE))
    assert listed == {name: rule["labels"]["severity"].replace("none", "") for name, rule in alerts().items()}


def test_commands_of_the_pages_can_be_run() -> None:
    typed = [(name, line) for name in alerts() for line in fenced(page_of(name), "sh") if line.startswith("driftgate ")]
    inline = [(name, line) for name in alerts() for line in re.findall(r"`(driftgate [a-z][^`]*)`", page_of(name))]
    assert len(typed) > 30
    none(f"{name}: {line}: {why}" for name, line in chain(typed, inline) if (why := wrong(line.removeprefix("driftgate "))))


def test_queries_of_the_pages_can_be_asked() -> None:
    asked = [(name, line) for name in alerts() for line in fenced(page_of(name), "promql")]
    assert len(asked) > 50
    for name, line in asked:
        try:
            promql_parser.parse(line)
        except ValueError as error:
            pytest.fail(f"{name}: {line}: {error}")
