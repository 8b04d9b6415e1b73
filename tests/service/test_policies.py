"""What an installation asks of its monitors is inherited, checked, and kept with its versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import ConfigurationError
from service.policies import Facts, Policies, assess
from service.records.policies import Finding
from service.reference import References
from service.report.kept import Kept
from service.settings import CHECKS, MonitorSettings, Settings, parse
from service.settings.policy import inherited

NOW = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""
DAY = 86_400.0

MONITOR: dict[str, Any] = {"name": "chat", "embedder": {"input": "none", "dimension": 4}}
EVERYTHING = {
    **dict.fromkeys(("team", "notify", "active", "segments", "annotation", "refresh"), True),
    "reference_rows": 4_000,
    "reference_days": 30,
    "golden_rows": 500,
    "report_days": 7,
    "label_days": 2,
    "redaction": ["email"],
    "retention_days": 90,
}


def configured(*, monitor: Mapping[str, Any] = MONITOR, **sections: Any) -> Settings:
    inbox = {"name": "inbox", "type": "folder", "path": "inbox"}
    return parse({"destinations": [inbox], "monitors": [monitor], **sections}, base=Path("/nowhere"))


def full() -> tuple[Settings, Facts]:
    """A monitor as it should be."""
    monitor = {
        **MONITOR,
        "team": "payments",
        "segments": {"tags": ["locale"]},
        "annotation": {"destination": "inbox", "price": 0.2},
        "refresh": {"destination": "inbox"},
        "privacy": {"redact": ["email", "phone"], "retention_days": 90},
    }
    teams = [{"name": "payments", "routes": [{"to": ["inbox"], "news": ["alarms"]}]}]
    settings = configured(monitor=monitor, teams=teams, policy={"require": EVERYTHING})
    (chat,) = settings.monitors
    reference = {"rows": 4_000, "created": "2026-02-20T12:00:00Z"}
    return settings, Facts(chat, settings.teams[0], reference, {"rows": 500}, reported=NOW - DAY, labelled=NOW - DAY)


def test_a_monitor_as_it_should_be_passes_every_check() -> None:
    settings, facts = full()
    found = assess(settings.policy, facts, now=NOW)
    assert [checked.name for checked in found] == list(CHECKS)
    assert {checked.finding for checked in found} == {Finding.MET}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("team", lambda facts: replace(facts, settings=facts.settings.model_copy(update={"team": None}))),
        ("notify", lambda facts: replace(facts, team=None)),
        ("notify", lambda facts: replace(facts, team=facts.team.model_copy(update={"routes": ()}))),
        ("active", lambda facts: replace(facts, settings=changed(facts.settings, detection={"mode": "shadow"}))),
        ("segments", lambda facts: replace(facts, settings=changed(facts.settings, segments={"tags": []}))),
        ("annotation", lambda facts: replace(facts, settings=changed(facts.settings, annotation={"price": None}))),
        ("refresh", lambda facts: replace(facts, settings=changed(facts.settings, refresh={"destination": None}))),
        ("reference_rows", lambda facts: replace(facts, reference={**facts.reference, "rows": 3_999})),
        ("reference_days", lambda facts: replace(facts, reference={**facts.reference, "created": "2026-01-20T12:00:00Z"})),
        ("golden_rows", lambda facts: replace(facts, golden=None)),
        ("report_days", lambda facts: replace(facts, reported=NOW - 7.1 * DAY)),
        ("redaction", lambda facts: replace(facts, settings=changed(facts.settings, privacy={"redact": ["phone"]}))),
        ("retention_days", lambda facts: replace(facts, settings=changed(facts.settings, privacy={"retention_days": None}))),
        ("label_days", lambda facts: replace(facts, labelled=None)),
    ],
)
def test_each_check_fails_alone_and_says_what_to_do(check: str, change: Callable[[Facts], Facts]) -> None:
    settings, facts = full()
    (found,) = (checked for checked in assess(settings.policy, change(facts), now=NOW) if checked.finding is not Finding.MET)
    assert (found.name, found.finding) == (check, Finding.UNMET)
    assert found.remedy
    assert found.found


def changed(settings: MonitorSettings, **sections: Mapping[str, Any]) -> MonitorSettings:
    document = settings.model_dump(mode="json")
    return MonitorSettings.model_validate({**document, **{name: {**document[name], **change} for name, change in sections.items()}})


def test_an_exemption_counts_until_its_day_is_over() -> None:
    policy = {
        "require": {"golden_rows": 10},
        "exempt": [{"monitor": "chat", "check": "golden_rows", "why": "pilot", "until": "2026-03-01"}],
    }
    settings = configured(policy=policy)
    facts = Facts(settings.monitors[0])
    assert [(c.finding, c.remedy) for c in assess(settings.policy, facts, now=NOW)] == [(Finding.EXEMPT, "pilot")]
    assert [c.finding for c in assess(settings.policy, facts, now=NOW + DAY)] == [Finding.UNMET]


def test_defaults_are_inherited_and_a_monitors_own_word_counts() -> None:
    defaults = {"notify": ["inbox"], "detection": {"critical": 0.4, "tolerance": 0.05}}
    settings = configured(monitor={**MONITOR, "detection": {"critical": 0.5}}, policy={"defaults": defaults})
    (chat,) = settings.monitors
    assert (chat.notify, chat.detection.critical, chat.detection.tolerance) == (("inbox",), 0.5, 0.05)


def test_a_default_that_is_wrong_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match=r"monitors\.0\.detection\.critical"):
        configured(policy={"defaults": {"detection": {"critical": 7}}})
    with pytest.raises(ConfigurationError, match="team is each monitor's own"):
        configured(policy={"defaults": {"team": "payments"}})
    with pytest.raises(ConfigurationError, match="golden_rows"):
        configured(policy={"require": {"golden_rows": 0}})


_documents = st.recursive(
    st.none() | st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), _documents), st.dictionaries(st.sampled_from("abcd"), _documents))
def test_inheriting_twice_is_inheriting_once_and_loses_no_own_value(defaults: dict[str, Any], own: dict[str, Any]) -> None:
    merged = inherited(defaults, own)
    assert inherited(defaults, merged) == merged
    assert inherited({}, own) == own
    assert merged.keys() == defaults.keys() | own.keys()
    assert all(merged[name] == value for name, value in own.items() if not isinstance(value, dict))


@dataclass
class Installed:
    settings: Settings

    @property
    def names(self) -> Sequence[str]:
        return [monitor.name for monitor in self.settings.monitors]

    def effective(self, monitor: str) -> MonitorSettings:
        return self.settings.monitor(monitor)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def test_every_change_of_the_policy_is_a_version_that_stays_known(store: SqliteStore, tmp_path: Path) -> None:
    installed = Installed(configured(policy={"require": {"golden_rows": 10}}))
    policies = Policies(store, References(tmp_path / "references"), DataSets(tmp_path), Kept(tmp_path, keep=1), installed)
    assert policies.stored() is None
    assert policies.publish(now=1.0).version == 1
    assert policies.publish(now=2.0).version == 1, "nothing has changed"
    (first,) = policies.compliance(installed.names, now=NOW)
    assert (first.policy, first.unmet) == (1, ["golden_rows"])
    installed.settings = configured()
    second = policies.publish(now=3.0)
    assert (second.version, [step.time for step in second.history]) == (2, [1.0, 3.0])
    assert [before["require"]["golden_rows"] for before in second.before] == [10]
    (after,) = policies.compliance(installed.names, now=NOW)
    assert (after.policy, after.checks) == (2, ())
