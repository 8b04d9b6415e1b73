"""Two versions of driftgate side by side on one consumer group: rolled out process by process and back, nothing is lost, counted twice or
refused, and alarms are those of a run that nothing disturbed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.adapters.redis_store import levels
from tests import history
from tests.chaos import versions
from tests.chaos.audit import audit
from tests.chaos.conftest import LONG, MakeSite
from tests.chaos.site import PRESENT, Process, Program, Site

pytestmark = pytest.mark.server("kafka", "redis-server")

ROLES = ("worker", "worker", "controller", "controller", "api")
CALM = 150.0
"""Samples a second: starting a process takes seconds, and what comes meanwhile is recounted."""


@pytest.fixture
def older() -> Program:
    """Of the level before this one's."""
    if not history.has(versions.OLDER):
        pytest.skip(f"the repository's history lacks {versions.OLDER}: `git fetch --unshallow`")
    return versions.older()


def roll(site: Site, program: Program, *roles: str) -> None:
    """Every process of the roles that is of another program, one by one, each once the one before it is at work."""
    for role in roles:
        for process in [each for each in site.of(role) if each.program != program]:
            swap(site, process, program)


def swap(site: Site, process: Process, program: Program) -> None:
    """Ends a process as it is asked to, and waits until the one in its place is at work."""
    await_start(site)
    assert process.stop() == 0, f"{process.log.name} did not end as asked\n{site.logs()}"
    site.replace(process, stop=lambda _: None, by=program)
    await_start(site)
    site.advance(100)


def await_start(site: Site) -> None:
    """All of them answer."""
    site.until(lambda: all(process.says("Listening on") for process in site.processes), "every process has started")


def survey(site: Site, program: Program = PRESENT) -> Any:
    """What a program finds that there is to migrate; it may be asked while anything runs."""
    return json.loads(site.run(program, "migrate", "--check", "--json", codes=(0, 1)))


def refusals(site: Site) -> list[str]:
    """Logs of processes, ended ones included, that were told of another version's keys."""
    logs = sorted(site.folder.glob("*.log"))
    return [log.name for log in logs if "written by" in log.read_text(encoding="utf-8", errors="replace")]


def test_from_the_past_to_the_present_and_back(make_site: MakeSite, older: Program) -> None:
    site = make_site(2, versions.begin)
    with site.feed(CALM) as feed:
        for role in ROLES:
            site.start(role, older)
        site.advance()
        roll(site, PRESENT, "worker", "controller")
        feed.drift()
        swap(site, site.of("worker")[0], older)
        swap(site, site.of("controller")[0], older)
        roll(site, PRESENT, "worker", "controller", "api")
        assert (survey(site)["finished"], survey(site)["older"]) == (False, [])
        site.run(PRESENT, "migrate", "--wait", "30")
        site.advance(300)
    audit(site)
    assert survey(site)["finished"]
    assert refusals(site) == []


@pytest.mark.skipif(not LONG, reason="the roll from the past is the same mechanism; this one in make chaos")
def test_from_the_present_to_the_next_and_back(make_site: MakeSite) -> None:
    """Whose level only adds: those of the present go on at it."""
    site, newer = make_site(1), versions.newer()
    with site.feed(CALM) as feed:
        for role in ("worker", "worker", "controller", "api"):
            site.start(role)
        site.advance()
        roll(site, newer, "worker", "controller")
        found = survey(site, newer)
        assert [process["role"] for process in found["processes"] if process["name"] in found["older"]] == ["api"]
        assert "older processes still run" in site.run(newer, "migrate", codes=(1,))
        feed.drift()
        roll(site, newer, "api")
        site.run(newer, "migrate", "--wait", "60")
        assert survey(site, newer)["finished"]
        roll(site, PRESENT, "worker", "controller")
        site.advance(300)
    audit(site)
    assert refusals(site) == []


@pytest.mark.skipif(not LONG, reason="the store's own tests refuse the same in a second; with processes in make chaos")
def test_nobody_whom_the_next_level_shuts_out_works_on(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site, newer = make_site(2), versions.newer(breaks=True)
    monkeypatch.setattr(levels, "NEWEST", levels.NEWEST + 1)  # whoever looks at the site from here on
    with site.feed(CALM) as feed:
        for role in ("worker", "controller"):
            site.start(role, newer)
        site.advance()
        feed.drift()
        site.run(newer, "migrate", "--wait", "60")
        assert "written by a newer driftgate" in site.run(PRESENT, "worker", codes=(1,))
        assert not survey(site)["parts"][-1]["works"]
        site.advance(300)
        roll(site, newer, "worker")
    audit(site)
