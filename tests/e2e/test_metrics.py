"""What a real Prometheus sees of a real installation is what the inventory says, no more and no less, and fills the dashboards."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import inventory
from service.metrics.declared import Role as Shows
from tests.deploy.test_dashboards import BOARDS, MACROS, panels
from tests.e2e.episode import Episode
from tests.e2e.roles import Role, until

pytestmark = pytest.mark.server("prometheus")

EPISODE = "1h"
"""Longer than all of it takes."""
CHOSEN = {"$monitor": "chat", "$team": ".*", "$job": ".*"}
_VARIABLE = re.compile(r"\$(?:__\w+|monitor|team|job)\b")
_CHOICES = re.compile(r"label_values\((?P<metric>\w+), (?P<label>\w+)\)")


def expected(*conditions: str) -> frozenset[str]:
    """The names of all samples but for those that are there under these conditions alone."""
    return frozenset(name for each in inventory.EVERY.values() if each.when not in conditions for name in each.shown)


def test_every_metric_is_seen_and_no_other(episode: Episode) -> None:
    seen = episode.names()
    assert seen - inventory.names() == frozenset()
    assert expected(inventory.KAFKA, inventory.REDIS) - seen == frozenset()


@pytest.mark.server("redis-server", "kafka")
def test_over_the_union_of_the_roles_scrapes_every_metric_is_seen(episode_of_roles: Episode) -> None:
    seen = episode_of_roles.names()
    assert seen - inventory.names() == frozenset()
    assert expected(inventory.EMBEDDED) - seen == frozenset()


def test_a_scrape_is_as_prometheus_wants_it(episode: Episode) -> None:
    text = episode.client.get("/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.server("redis-server", "kafka")
def test_a_change_of_leader_neither_doubles_series_nor_leaves_stale_ones(episode_of_roles: Episode) -> None:
    installation = frozenset(name for each in inventory.EVERY.values() if Shows.LEADER in each.role for name in each.shown)
    episode_of_roles.start("standby")
    leading, standby = episode_of_roles.roles["controller"], episode_of_roles.roles["standby"]
    before = until(lambda: figures(leading, installation))
    assert before["driftgate_alarms", ("chat", "warning", "open")] + before["driftgate_alarms", ("chat", "critical", "open")] >= 1
    assert figures(standby, installation) == {}
    assert leading.end() == 0
    until(lambda: figures(standby, installation), seconds=20, what="the standby to lead")

    def complete() -> Mapping[tuple[str, tuple[str, ...]], float]:
        """What is told by a look at the clock comes with the first look of whoever leads now."""
        shown = figures(standby, installation)
        return shown if shown.keys() == before.keys() else {}

    after = until(complete, seconds=60, what="the standby to show what the leader before it did")
    told = ("driftgate_alarms", "driftgate_evidence", "driftgate_effect_ratio", "driftgate_refresh_cycles", "driftgate_model_info")
    assert {key: value for key, value in after.items() if key[0] in told} == {key: value for key, value in before.items() if key[0] in told}


def figures(role: Role, names: frozenset[str]) -> Mapping[tuple[str, tuple[str, ...]], float]:
    """What a process shows of these metrics."""
    families = text_string_to_metric_families(role.client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name in names]
    return {(each.name, tuple(each.labels[label] for label in sorted(each.labels))): each.value for each in samples}


# --- dashboards ----------------------------------------------------------------------------------------------------


def filled(expr: str) -> str:
    """The query as Grafana sends it."""
    return _VARIABLE.sub(lambda found: (MACROS | CHOSEN)[found[0]], expr)


def asked(target: Mapping[str, Any]) -> str:
    """What a panel shows: how things are, or, where it draws lines, how they have been (a new model's accuracy is not known at once)."""
    expr = filled(target["expr"])
    return expr if target["instant"] else f"max_over_time(({expr})[{EPISODE}:1s])"


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_shows_something(name: str, episode: Episode) -> None:
    empty = [
        f"{panel['title']}: {asked(target)}"
        for panel in panels(BOARDS[name])
        for target in panel["targets"]
        if all(math.isnan(value) for _, value in episode.prometheus.query(asked(target)))
    ]
    assert empty == []


@pytest.mark.parametrize("name", BOARDS)
def test_every_mark_and_choice_finds_something(name: str, episode: Episode) -> None:
    board = BOARDS[name]
    for annotation in board["annotations"].get("list", ()):
        assert episode.prometheus.query(filled(annotation["expr"]).replace("[1m]", f"[{EPISODE}]")), annotation["name"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            choice = _CHOICES.fullmatch(variable["query"]["query"])
            assert choice is not None
            found = episode.prometheus.query(f"count by ({choice['label']}) ({choice['metric']})")
            assert any(labels.get(choice["label"]) for labels, _ in found), variable["name"]
