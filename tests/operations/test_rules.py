"""The shipped rules and configurations, as the programs that read them see them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.operations.sooner import DEPLOY

RULES = DEPLOY / "prometheus/rules"
CONFIGURATION = DEPLOY / "alertmanager/alertmanager.yml"


def run(*command: str | Path) -> str:
    """What it prints; it must succeed."""
    done = subprocess.run([str(each) for each in command], cwd=RULES, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.server("promtool")
def test_rules_are_well_formed() -> None:
    run("promtool", "check", "rules", *sorted(RULES.glob("*.rules.yml")))


@pytest.mark.server("promtool")
def test_rules_fire_and_do_not_as_their_tests_say() -> None:
    tests = sorted((RULES.parent / "tests").glob("*.test.yml"))
    assert len(tests) >= 4
    run("promtool", "test", "rules", *tests)


@pytest.mark.server("promtool")
def test_prometheus_reads_every_rule_and_no_test(tmp_path: Path) -> None:
    shipped = (DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "token").touch()
    (tmp_path / "prometheus.yml").write_text(shipped.replace("/run/secrets/metrics/token", str(tmp_path / "token")), encoding="utf-8")
    (tmp_path / "rules").symlink_to(RULES)
    checked = run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert f"{len(list(RULES.glob('*.rules.yml')))} rule files found" in checked


@pytest.mark.server("amtool")
def test_alertmanager_can_be_configured() -> None:
    run("amtool", "check-config", CONFIGURATION)


@pytest.mark.server("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=DriftgateBlind severity=page team=sales monitor=chat", "page"),
        ("alertname=DriftgateBlind severity=page team=support monitor=chat", "page-support"),
        ("alertname=DriftgateDown severity=page", "page"),
        ("alertname=DriftgateDrift severity=ticket team=none level=critical", "ticket"),
        ("alertname=DriftgateDrift severity=ticket team=support", "ticket-support"),
        ("alertname=DriftgateWatchdog severity=none", "dead-man"),
        ("alertname=DriftgateMissed severity=ticket was=page team=support", "page-missed"),
        ("alertname=DriftgateMissed severity=ticket was=ticket team=sales", "ticket"),
        ("alertname=DriftgateAlarm severity=critical family=feed monitor=chat", "page"),
        ("alertname=DriftgateAlarm severity=critical family=feed monitor=chat team=support", "page-support"),
        ("alertname=DriftgateAlarm severity=critical family=input monitor=chat", "ticket"),
        ("alertname=DriftgateAlarmMissed severity=critical family=input monitor=chat team=support", "ticket-support"),
        ("alertname=SomebodyElses severity=warning", "ticket"),
    ],
)
def test_alerts_take_their_route(labels: str, receiver: str) -> None:
    assert run("amtool", "config", "routes", "test", f"--config.file={CONFIGURATION}", *labels.split()).strip() == receiver
