"""Servers that go away, come back, or take nothing more: work waits, goes on by itself, and is as exact as before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from redis import Redis

from tests.chaos.audit import audit
from tests.chaos.conftest import LONG, Storm
from tests.chaos.site import Site

pytestmark = pytest.mark.server("kafka", "redis-server")

UNAVAILABLE_SECONDS = 30.0 if LONG else 8.0
ROOM = 200_000
"""Bytes that still fit when space runs out."""


@contextmanager
def working(site: Site) -> Iterator[None]:
    """Two workers and a controller, before and after what happens while the traffic drifts; then the audit."""
    with site.feed() as feed:
        for role in ("worker", "worker", "controller"):
            site.start(role)
        site.until(lambda: all(worker.says("worker.assigned") for worker in site.of("worker")), "both have something to do")
        feed.drift()
        yield
    audit(site)


def test_broker_restarts(site: Site, storm: Storm) -> None:
    with working(site):
        site.kafka.kill()
        time.sleep(storm.rng.uniform(1, 4))
        site.kafka.start()


def test_redis_restarts(site: Site, storm: Storm) -> None:
    """What it acknowledged is in its append-only file."""
    with working(site):
        for _ in range(3):
            site.redis.kill()
            time.sleep(storm.rng.uniform(0.2, 2))
            site.redis.start()
            site.advance()


def test_redis_does_not_answer(site: Site) -> None:
    """A commit whose answer never came may have been made, or be made when it wakes up."""
    with working(site):
        site.redis.pause()
        time.sleep(UNAVAILABLE_SECONDS)
        site.redis.resume()


def test_redis_has_no_disk_space(site: Site) -> None:
    """It ends by itself, as it can't keep what it would promise; with space it is started again."""
    with working(site):
        site.redis.limit_files(max(file.stat().st_size for file in site.redis.folder.rglob("*.aof")) + ROOM)
        assert site.redis.ended(60), site.redis.log()
        time.sleep(2)
        site.redis.start()


def test_redis_has_no_memory(site: Site) -> None:
    """`OOM command not allowed`: reading goes on, writing is refused until there is room."""
    with working(site), closing(Redis.from_url(site.redis.url)) as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + ROOM)
        site.until(lambda: any(process.says("maxmemory") for process in site.of("worker")), "a worker is refused memory")
        time.sleep(2)
        redis.config_set("maxmemory", 0)
