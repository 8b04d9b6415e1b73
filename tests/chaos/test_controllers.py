"""Whoever decides may die, and whoever is told may be unwell: decisions are those of the log, and each is told until it is heard."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.audit import audit
from tests.chaos.conftest import Storm
from tests.chaos.receiver import HANGS, OK, REFUSED, TWICE
from tests.chaos.site import Site

pytestmark = pytest.mark.server("kafka", "redis-server")


def test_killed_at_random_beside_a_standby(site: Site, storm: Storm) -> None:
    with site.feed() as feed:
        for role in ("worker", "controller", "controller"):
            site.start(role)
        site.advance()
        storm.strike(feed, lambda: site.replace(site.of("controller")[0]))
    audit(site)


def test_killed_between_decision_and_delivery(site: Site) -> None:
    """The receiver has the request and no answer has left it, more is waiting behind it: whoever follows tells all of it again."""
    site.inbox.mood = lambda number: HANGS if number == 1 else OK
    with site.feed() as feed:
        for role in ("worker", "controller"):
            site.start(role)
        site.advance()
        feed.drift()
        site.until(lambda: len(site.inbox.deliveries) == 1, "the receiver is told of an alarm")
        site.replace(site.of("controller")[0])
    audit(site)
    assert Counter(site.inbox.ids)[site.inbox.ids[0]] == 2


def test_receiver_fails_hangs_and_answers_twice(site: Site) -> None:
    moods = (REFUSED, HANGS, TWICE)
    site.inbox.mood = lambda number: moods[number - 1] if number <= len(moods) else OK
    with site.feed() as feed:
        for role in ("worker", "controller"):
            site.start(role)
        site.advance()
        feed.drift()
    audit(site)
    times = Counter(site.inbox.ids)
    assert times.total() > len(times), "what was refused came again; what hung did, unless its alarm had been told by other news meanwhile"
