"""What a real Prometheus sees of a real installation is what the inventory says, no more and no less."""

from __future__ import annotations

import pytest

from service.metrics import inventory
from tests.e2e.episode import Episode

pytestmark = pytest.mark.server("prometheus")


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
