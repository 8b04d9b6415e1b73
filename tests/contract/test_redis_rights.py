"""The users of docs/acl.md at a real Redis: a worker's rights are enough, each of them is needed, and none reaches further."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from service.adapters.blobs import BlobDirectory
from service.adapters.pane_segments import PaneSegments
from service.adapters.redis_store import Process, RedisStore, announce, connect, leave, levels
from service.errors import DriftgateError
from service.records import Declaration, DeclarationState, Event, Reservation, Reserved, Sample, Truths, Waiting
from service.settings import RedisSettings
from tests.contract.stored import block, judgement
from tests.contract.test_redis_store import PARTITION, letter, pane, pooled, step
from tests.servers.fixtures import StartRedis
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.server("redis-server")

PAGE = (Path(__file__).parents[2] / "docs/acl.md").read_text(encoding="utf-8")
LINES = {line.split()[0]: line.split()[1:] for line in re.findall(r"^ACL SETUSER (driftgate-.*)$", PAGE, re.MULTILINE)}
_DECIDED = ("lease:controller", "checkpoint:chat", "state:chat", "timeline:chat:10:all")
FOREIGN = {
    "worker": ("entity:alarm:a1", "entities:alarm", "outbox", "outbox:due", "labels:chat:b", *_DECIDED),
    "controller": ("partitions", "partition:a/b/0", "partition:a/b/0:ids", "partition:a/b/0:open"),
    "api": ("partitions", "partition:a/b/0", "partition:a/b/0:ids", "panes:chat", *_DECIDED),
}
"""What a role may read, and not change."""
SHARED = frozenset({"~driftgate:entity:token:*", "~driftgate:entities:token", "~driftgate:entities:token:*"})
"""Written when somebody shows a token, by whatever process is shown it."""


def user(server: RedisServer, role: str, without: str = "") -> Any:
    """Made anew, with one right less."""
    client: Any = redis.Redis(port=server.port, decode_responses=True)
    client.execute_command("ACL", "DELUSER", f"driftgate-{role}")
    rights = [right.replace(">PASSWORD", ">secret") for right in LINES[f"driftgate-{role}"] if right != without]
    client.execute_command("ACL", "SETUSER", f"driftgate-{role}", *rights)
    return client


@contextmanager
def opened(server: RedisServer, role: str, folder: Path) -> Iterator[RedisStore]:
    """As a process of that role opens it, on an empty server."""
    connection = connect(RedisSettings(url=server.url, user=f"driftgate-{role}"), "secret")
    blobs = BlobDirectory(folder / "blobs", cap_bytes=10_000_000)
    with closing(RedisStore(connection, blobs=blobs, archive=lambda state: PaneSegments(folder / "panes" / state))) as store:
        yield store


def declaration(version: int) -> Declaration:
    return Declaration("chat", "chat", {}, "driftgate.yaml", 1, None, DeclarationState.DECLARED, 1.0, (), version)


def work(store: RedisStore) -> None:
    """All that a worker writes: declarations of its file, partitions with everything that a batch brings, dead letters, its presence."""
    store.save(declaration(1))
    store.save(declaration(2))
    held = store.assign(PARTITION)
    waiting = Waiting("ev", 0, Sample("chat", "ev/0", 1.0, "hello"), np.zeros(4, np.float32), "f", 60.0)
    first = step(held, 0, closed=(pane(0),), touched=(pane(8),), pooled=(pooled(1, "hello"),))
    store.commit(replace(first, waiting=(waiting,), recent_ids=np.arange(9, dtype=np.uint64), shapes={"chat": 1}, lost=1))
    kept = Reservation("chat", (Reserved(pooled(2, "hello"), {"uniform": 1.0}, 1.0),), {"uniform": 3}, 60.0)
    told = Truths("chat", (judgement("t1", monitor="chat"),), 100)
    brought = step(
        held, 8, answered=(("ev", 0),), dead_letters=(letter(0), letter(1, sent=False)), answers=(block(["s1"], monitor="chat"),)
    )
    store.commit(replace(brought, truths=(told,), reserved=(kept,)))
    store.mark_sent([letter(1).id])
    store.record_event(Event("e1", "chat", "silence", 1.0, "driftgate"))
    store.halt(PARTITION, held.epoch, "why")
    announce(store._server, Process("w-1", "worker", "1.0", levels.NEWEST))
    leave(store._server, "w-1")
    store.probe()


def test_a_worker_needs_each_of_its_rights(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis()
    client = user(server, "worker")
    with opened(server, "worker", tmp_path / "all") as store:
        work(store)
    assert client.acl_log() == []
    for right in LINES["driftgate-worker"]:
        if not right.startswith("~") or right in SHARED:
            continue
        client.flushall()
        user(server, "worker", without=right)
        with pytest.raises(DriftgateError, match="ACL user"), opened(server, "worker", tmp_path / right.replace("/", "-")) as store:
            work(store)


@pytest.mark.parametrize("role", FOREIGN)
def test_a_role_reads_what_it_may_not_change(start_redis: StartRedis, role: str) -> None:
    server = start_redis()
    client, name = user(server, role), f"driftgate-{role}"
    for key in FOREIGN[role]:
        assert client.execute_command("ACL", "DRYRUN", name, "HGET", f"driftgate:{key}", "f") == "OK"
        assert "no permissions" in client.execute_command("ACL", "DRYRUN", name, "HSET", f"driftgate:{key}", "f", "v")
    assert "no permissions" in client.execute_command("ACL", "DRYRUN", name, "GET", "another:schema")
    for command in (
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "SET", "save", ""),
        ("ACL", "LIST"),
        ("SCRIPT", "FLUSH"),
        ("DEBUG", "SLEEP", "0"),
    ):
        assert "no permissions" in client.execute_command("ACL", "DRYRUN", name, *command)


def test_roles_try_the_same_commands_and_erase_where_they_erase() -> None:
    commands = {name: {right for right in rights if right.startswith("+")} for name, rights in LINES.items()}
    assert commands["driftgate-controller"] == commands["driftgate-api"]
    assert commands["driftgate-api"] - commands["driftgate-worker"] == {"+config|get", "+bgrewriteaof", "+bgsave"}
    assert commands["driftgate-worker"] < commands["driftgate-api"]
