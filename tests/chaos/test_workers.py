"""Workers that are killed, stopped, started and woken up late lose nothing and count nothing twice."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.chaos.audit import audit
from tests.chaos.conftest import MakeSite, Storm
from tests.chaos.site import SESSION_SECONDS, Process, Site

pytestmark = pytest.mark.server("kafka", "redis-server")


@pytest.mark.parametrize("partitions", [1, 4])
def test_killed_at_random(partitions: int, make_site: MakeSite, storm: Storm) -> None:
    site = make_site(partitions)
    with site.feed() as feed:
        for role in ("worker", "worker", "controller"):
            site.start(role)
        site.advance()
        storm.strike(feed, lambda: site.replace(storm.shuffled(site.of("worker"))[0]))
    audit(site)


def test_killed_during_a_rebalance(site: Site, storm: Storm) -> None:
    """One leaves, and before the others have shared what it had, another dies."""
    with site.feed() as feed:
        for role in ("worker", "worker", "worker", "controller"):
            site.start(role)
        site.advance()

        def blow() -> None:
            leaving, dying, _ = storm.shuffled(site.of("worker"))
            leaving.ask_to_stop()
            time.sleep(storm.rng.uniform(0.0, 0.4))
            site.replace(dying)
            site.replace(leaving, stop=Process.stop)
            site.advance()

        storm.strike(feed, blow)
    audit(site)


def test_woken_after_its_session(site: Site, storm: Storm) -> None:
    """It believes that its partitions are still its own."""
    with site.feed() as feed:
        for role in ("worker", "worker", "controller"):
            site.start(role)
        site.advance()

        def blow() -> None:
            sleeping = storm.shuffled(site.of("worker"))[0]
            sleeping.pause()
            time.sleep(SESSION_SECONDS * storm.rng.uniform(1.2, 3.0))
            sleeping.wake()

        storm.strike(feed, blow)
    audit(site)


def test_started_and_stopped_at_random(site: Site, storm: Storm) -> None:
    """As a scaler does it: between one and three of them."""
    with site.feed() as feed:
        for role in ("worker", "controller"):
            site.start(role)
        site.advance()

        def blow() -> None:
            count = len(site.of("worker"))
            if count == 1 or (count == 2 and storm.rng.random() < 0.5):
                site.start("worker")
            else:
                leaving = storm.shuffled(site.of("worker"))[0]
                site.until(partial(leaving.says, "worker.assigned"), "a worker has had something to do")
                assert leaving.stop() == 0, leaving.log.read_text()
                site.processes.remove(leaving)

        storm.strike(feed, blow)
    audit(site)
