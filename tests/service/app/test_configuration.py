"""A configuration file is followed while the program runs; a wrong one leaves the one before in force."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from service.adapters.sqlite import SqliteStore
from service.app.configuration import Configuration
from service.declarations import Declarations
from service.errors import ConfigurationError, UnavailableError
from service.settings import Settings, load


class Site:
    """A file, and what follows it."""

    def __init__(self, folder: Path, store: SqliteStore) -> None:
        self.path = folder / "driftgate.yaml"
        self.document: dict[str, Any] = {"directory": "state", "monitors": [self.monitor("chat")]}
        self.write()
        self.declarations = Declarations(store, folder / "state")
        self.told: list[Settings] = []
        settings = load(self.path)
        self.seconds = 0.0
        self.configuration = Configuration(self.path, self.declarations, settings, clock=lambda: self.seconds)
        self.configuration.followers.append(self.told.append)
        self.declarations.publish(settings.monitors, self.declarations.origin(self.path))

    @staticmethod
    def monitor(name: str, **changes: Any) -> dict[str, Any]:
        return {"name": name, "embedder": {"input": "none", "dimension": 3}, **changes}

    def write(self, text: str | None = None) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(yaml.safe_dump(self.document) if text is None else text, encoding="utf-8")
        draft.replace(self.path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(SqliteStore(":memory:")) as store:
        yield Site(tmp_path, store)


def test_a_file_that_stays_as_it_is_is_not_read_again(site: Site) -> None:
    assert site.configuration.step() == 0
    assert site.told == []


def test_what_changed_is_published(site: Site) -> None:
    site.document["monitors"] = [site.monitor("chat", importance=2.0), site.monitor("mail")]
    site.write()
    assert site.configuration.step() == 2
    assert [settings.monitors[0].importance for settings in site.told] == [2.0]
    assert {name: known.version for name, known in site.declarations.declared.items()} == {"chat": 2, "mail": 1}
    assert site.configuration.step() == 0


@pytest.mark.parametrize("text", ["monitors: [", "monitors: 7", "unknown: 1", ""])
def test_a_wrong_one_is_reported_and_changes_nothing(site: Site, text: str) -> None:
    right = site.path.read_text(encoding="utf-8")
    if text:
        site.write(text)
    else:
        site.path.unlink()
    assert site.configuration.step() == 0
    assert "driftgate.yaml" in site.configuration.problem
    assert list(site.declarations.declared) == ["chat"]
    assert site.configuration.step() == 0, "said once"
    site.write(right)
    site.configuration.step()
    assert site.configuration.problem == ""


def test_one_that_somebody_cannot_go_by_is_not_published(site: Site) -> None:
    def refuse(_: Settings) -> None:
        raise ConfigurationError("destination hook: no secret")

    site.configuration.followers.insert(0, refuse)
    site.document["monitors"].append(site.monitor("mail"))
    site.write()
    site.configuration.step()
    assert (site.configuration.problem, list(site.declarations.declared)) == ("destination hook: no secret", ["chat"])


def test_one_that_was_refused_is_tried_again(site: Site) -> None:
    """What it names may come a moment later: a Secret's files are not written in the same moment as a ConfigMap's."""
    there = False

    def follow(_: Settings) -> None:
        if not there:
            raise ConfigurationError("destination hook: no secret")

    site.configuration.followers.insert(0, follow)
    site.document["monitors"].append(site.monitor("mail"))
    site.write()
    with capture_logs() as logs:
        for site.seconds in (0.0, 5.0, 10.0):
            assert site.configuration.step() == 0
        assert [line["event"] for line in logs] == ["configuration refused"]
        there = True
        site.seconds = 15.0
        assert site.configuration.step() == 0, "not yet"
        site.seconds = 20.0
        assert (site.configuration.step(), site.configuration.problem) == (1, "")


def test_a_store_that_is_away_is_tried_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise UnavailableError("gone")

    site.document["monitors"].append(site.monitor("mail"))
    site.write()
    with monkeypatch.context() as patch:
        patch.setattr(site.declarations, "publish", away)
        with pytest.raises(UnavailableError):
            site.configuration.step()
    assert site.configuration.step() == 1


def test_what_counts_only_from_the_next_start_is_said(site: Site) -> None:
    site.document["server"] = {"port": 9_000}
    site.write()
    with capture_logs() as logs:
        site.configuration.step()
    assert [line.get("at_the_next_start") for line in logs if line["event"] == "configuration read"] == [["server"]]
