"""A backup that is taken while everything runs: put back into a new Redis and an empty folder, it is gone on from, and nothing that Kafka
holds is lost or counted twice."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.chaos.audit import audit
from tests.chaos.conftest import LONG, MakeSite
from tests.chaos.site import PRESENT, Site
from tests.servers.fixtures import StartRedis
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.server("kafka", "redis-server", "redis-cli")

CALM = 200.0


def dumped(site: Site) -> Path:
    """As docs/backup.md says."""
    dump = site.folder / "before.rdb"
    subprocess.run(["redis-cli", "-u", site.redis.url, "--rdb", str(dump)], check=True, capture_output=True, timeout=60)
    return dump


def begun_from(dump: Path, start_redis: StartRedis, site: Site) -> RedisServer:
    """A new Redis that reads a dump, and keeps a log of what it writes from then on."""
    server = start_redis(options={"appendonly": "no", "dbfilename": "dump.rdb"})
    server.stop()
    shutil.copy(dump, server.folder / "dump.rdb")
    server.start()
    with closing(redis.Redis(port=server.port)) as client:
        asked: Any = client
        asked.config_set("appendonly", "yes")
        site.until(lambda: is_logged(asked.info("persistence")), "Redis keeps a log")
    server.options["appendonly"] = "yes"
    server.stop()
    return server.start()


def is_logged(found: Any) -> bool:
    return not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"]) and found["aof_last_bgrewrite_status"] == "ok"


@pytest.mark.skipif(not LONG, reason="of the embedded store among the commands' tests; with Redis, under load, in make chaos")
def test_everything_is_lost_and_put_back(make_site: MakeSite, start_redis: StartRedis) -> None:
    site = make_site(1)
    with site.feed(CALM) as feed:
        for role in ("worker", "controller"):
            site.start(role)
        site.advance(1_500)
        site.run(PRESENT, "backup", "--output", "copy", "--redis-dump", str(dumped(site)))
        feed.drift()
        site.until(lambda: bool(site.inbox.deliveries), "an alarm is told")

        site.close()
        site.processes.clear()
        site.redis.kill()
        shutil.rmtree(site.folder / "state")

        site.redis = begun_from(site.folder / "copy" / "redis.rdb", start_redis, site)
        site.configure("driftgate.yaml", site.document())
        site.run(PRESENT, "restore", "--input", "copy")
        for role in ("worker", "controller"):
            site.start(role)
        site.advance()
    audit(site, told_alike=False)
