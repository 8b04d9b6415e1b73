"""What the chain's tests change in the shipped files is how long they wait, and nothing else."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.operations.sooner import ALERTMANAGER, DEPLOY, aimed, rules, seconds, sooner


def test_durations() -> None:
    assert [seconds(each) for each in ("0s", "90s", "1h30m", "1d", "250ms")] == [0.0, 90.0, 5_400.0, 86_400.0, 0.25]


def test_waits_alone_are_shorter() -> None:
    rule = {"alert": "A", "expr": "rate(x[5m]) > 0", "for": "30m", "keep_firing_for": "5m", "annotations": {"summary": "for 5m"}}
    assert sooner({"groups": [{"rules": [rule]}]}, 300)["groups"][0]["rules"] == [{**rule, "for": "6000ms", "keep_firing_for": "1000ms"}]
    assert sooner({"group_wait": "0s", "repeat_interval": "1m"}, 300) == {"group_wait": "0s", "repeat_interval": "1000ms"}


def test_copied_rules_are_the_shipped_ones(tmp_path: Path) -> None:
    copies = rules(tmp_path, 1)
    assert len(copies) > 3
    for copy in copies:
        shipped = yaml.safe_load((DEPLOY / "prometheus/rules" / copy.name).read_text(encoding="utf-8"))
        copied = yaml.safe_load(copy.read_text(encoding="utf-8"))
        pairs = zip(copied["groups"][0]["rules"], shipped["groups"][0]["rules"], strict=True)
        assert all(_without_waits(one) == _without_waits(other) for one, other in pairs)


def _without_waits(rule: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in rule.items() if key not in {"for", "keep_firing_for"}}


def test_receivers_alone_are_aimed() -> None:
    here = aimed(ALERTMANAGER, "http://127.0.0.1:1")
    assert {key: value for key, value in here.items() if key != "receivers"} == {k: v for k, v in ALERTMANAGER.items() if k != "receivers"}
    assert "example.com" not in str(here)
    (page,) = [receiver for receiver in here["receivers"] if receiver["name"] == "page"]
    assert [hook["url"] for hook in page["webhook_configs"]] == ["http://127.0.0.1:1/page"]
    assert [each["url"] for each in page["pagerduty_configs"]] == ["http://127.0.0.1:1/page/pagerduty"]
