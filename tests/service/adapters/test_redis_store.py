"""The Redis store without a server: what its bytes and keys are, what its errors mean, what it asks of a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import MasterDownError, NoPermissionError, OutOfMemoryError, RedisError, ResponseError

from detectors import Summary
from service.adapters.redis_store import Gravity, connect, examine
from service.adapters.redis_store.codec import named_partition, pack_pane, pane_field, partition_name, unpack_pane
from service.adapters.redis_store.levels import NEWEST
from service.adapters.redis_store.payloads import PACKED_BYTES, Kept, Opened, keep, keep_all, nothing
from service.adapters.redis_store.reserve import packed
from service.adapters.redis_store.server import Server, explained, script
from service.errors import ArtefactError, ConfigurationError, ConflictError, DriftgateError, NotFoundError, RefusedError, UnavailableError
from service.records import Pane, PaneKey, Partition, Payload, Reservation, Reserved
from service.settings import RedisSettings
from service.settings.parts import TlsSettings
from tests.contract.stored import pooled

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


class Drawer:
    """Blobs in memory, with room for so many."""

    def __init__(self, room: int = 100) -> None:
        self.contents: dict[str, bytes] = {}
        self._room = room

    def put(self, content: bytes) -> str | None:
        if len(self.contents) == self._room:
            return None
        address = str(len(self.contents))
        self.contents[address] = content
        return address

    def get(self, address: str) -> bytes | None:
        return self.contents.get(address)

    def discard(self, addresses: object) -> None:
        raise NotImplementedError

    def collect(self, referred: object, *, now: float) -> int:
        raise NotImplementedError


# --- bytes and keys


@given(topic=TEXTS, topic_id=TEXTS, number=st.integers(0, 10_000))
def test_a_partition_is_read_from_its_name(topic: str, topic_id: str, number: int) -> None:
    partition = Partition(topic, topic_id, number)
    assert named_partition(partition_name(partition)) == partition


def test_no_two_partitions_share_a_name() -> None:
    assert partition_name(Partition("a/b", "c")) != partition_name(Partition("a", "b/c"))


@given(first=st.integers(0, 2**53), segment=TEXTS, losses=st.dictionaries(TEXTS, st.integers(0, 2**31), max_size=3))
def test_a_pane_comes_back_under_its_number(first: int, segment: str, losses: Mapping[str, int]) -> None:
    summary = Summary(3, np.arange(4.0), np.arange(2.0), np.arange(3), np.arange(100))
    pane = Pane(PaneKey("chat", segment, 2, Partition("t", "id", 1), first), first + 2, 1.5, 2.5, summary, 7, losses)
    found = unpack_pane(pack_pane(pane), 7)
    assert (found.key, found.last_offset, found.first_time, found.last_time) == (pane.key, first + 2, 1.5, 2.5)
    assert (found.sequence, found.losses) == (7, losses)
    assert found.summary.to_bytes() == summary.to_bytes()


@given(firsts=st.lists(st.integers(0, 2**53), min_size=2, max_size=5))
def test_fields_of_open_panes_are_in_order_of_their_beginning(firsts: list[int]) -> None:
    keys = [PaneKey("chat", "all", 1, Partition("t", "id"), first) for first in firsts]
    assert [key.first_offset for key in sorted(keys, key=pane_field)] == sorted(firsts)


@pytest.mark.parametrize("payload", ["grüße\x00\ud800", "", b"\x89PNG", np.arange(6, dtype=np.float32).reshape(2, 3)])
def test_a_payload_lies_in_the_blobs_alone(payload: Payload) -> None:
    drawer = Drawer()
    kept = keep(drawer, payload)
    np.testing.assert_equal(Opened(drawer).fetch(kept), payload)
    assert kept.size == len(drawer.contents[kept.address])


def test_small_payloads_of_a_batch_share_a_blob_and_large_ones_have_their_own() -> None:
    batch = ["one", None, b"two", "x" * (PACKED_BYTES + 1), np.arange(3, dtype=np.float32), ""]
    drawer = Drawer()
    kept = keep_all(drawer, batch)
    assert len(drawer.contents) == 2
    opened = Opened(drawer)
    for payload, place in zip(batch, kept, strict=True):
        np.testing.assert_equal(place and opened.fetch(place), payload)
    assert keep_all(Drawer(room=0), ["one"]) == [Kept("", 3, "text", (), 0)]
    assert keep_all(drawer, [None]) == [None]


@pytest.mark.parametrize(("payload", "stands_for"), [("hello", ""), (b"\x89PNG", b""), (np.ones((2, 3), np.float32), np.zeros((2, 3)))])
def test_a_payload_that_found_no_room_is_gone(payload: Payload, stands_for: Payload) -> None:
    kept = keep(Drawer(room=0), payload)
    assert Opened(Drawer()).fetch(kept) is None
    np.testing.assert_equal(nothing(kept), stands_for)


def test_what_is_reserved_travels_as_one_argument_however_many_rows_it_has() -> None:
    rows = tuple(Reserved(pooled(n), {"uniform": float(n)}, 0.0) for n in range(300))
    document = packed(Reservation("chat", rows, {"uniform": 9}, 1.0), Drawer())
    assert [name for name, value in document.items() if not isinstance(value, (str, float))] == ["rows", "quotas"]
    found = msgspec.msgpack.decode(document["rows"], type=list[dict[str, msgspec.Raw]])
    assert [msgspec.msgpack.decode(row["id"]) for row in found] == [each.row.id for each in rows]


# --- scripts


FOLDER = files("service.adapters.redis_store").joinpath("scripts")


def scripts() -> list[str]:
    """Those that are run."""
    return sorted(path.name.removesuffix(".lua") for path in FOLDER.iterdir() if path.is_file())


def names() -> list[str]:
    """With those that others use."""
    return [*scripts(), *(f"parts/{path.name.removesuffix('.lua')}" for path in FOLDER.joinpath("parts").iterdir())]


def text_of(name: str) -> str:
    return FOLDER.joinpath(f"{name}.lua").read_text(encoding="utf-8")


def commands(text: str) -> set[str]:
    return set(re.findall(r"redis\.call\('([A-Z]+)'", text))


def test_every_command_is_tried_before_it_is_relied_on() -> None:
    assert commands("".join(map(text_of, names()))) == commands(text_of("rights"))


def test_no_script_has_a_command_that_no_test_can_see() -> None:
    assert all(text_of(name).count("redis.call(") == len(re.findall(r"redis\.call\('[A-Z]+'", text_of(name))) for name in names())


WRITES = {"DEL", "EXPIRE", "HDEL", "HINCRBY", "HSET", "INCR", "LTRIM", "PERSIST", "RPUSH", "SADD", "SET", "SETNX", "SETRANGE", "SREM"} | {
    "XADD",
    "XTRIM",
    "ZADD",
    "ZREM",
}


@pytest.mark.parametrize("name", scripts())
def test_a_script_says_whether_it_writes(name: str) -> None:
    text, _ = script(name)
    assert ("flags=no-writes" in text.splitlines()[0]) == (name != "probe" and not (commands(text_of(name)) & WRITES or uses_writers(name)))


def uses_writers(name: str) -> bool:
    used = re.findall(r"^-- use: (.*)$", text_of(name), re.MULTILINE)
    return any(commands(text_of(f"parts/{part}")) & WRITES for line in used for part in line.split())


# --- errors


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (ResponseError("CONFLICT partition p: epoch 1 is over"), ConflictError, r"^partition p: epoch 1 is over$"),
        (ResponseError("NOTFOUND no outbox item 'o9'"), NotFoundError, "no outbox item 'o9'"),
        (ResponseError("SCHEMA 3"), ArtefactError, "a newer driftgate"),
        (ResponseError("SCHEMA 0"), ArtefactError, "emptied"),
        (ResponseError("WRONGTYPE Operation against a key"), ArtefactError, "not what this driftgate wrote"),
    ],
)
def test_what_can_not_help_to_try_again(error: RedisError, kind: type[DriftgateError], says: str) -> None:
    found = explained(error)
    assert type(found) is kind
    assert not found.retryable
    assert re.search(says, str(found))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
            "Redis: OOM command not allowed when used memory > 'maxmemory'; raise maxmemory",
        ),
        (redis.ConnectionError("Connection refused"), "see whether it runs"),
        (redis.TimeoutError("Timeout reading from socket"), "does not answer in time"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "wait"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "Sentinel"),
        (MasterDownError("Link with MASTER is down"), "Sentinel"),
        (ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "free space"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "min-replicas-to-write"),
        (ResponseError("BUSY Redis is busy running a script."), "wait"),
    ],
)
def test_what_may_pass_says_what_to_do(error: RedisError, remedy: str) -> None:
    found = explained(error)
    assert type(found) is UnavailableError
    assert found.retryable
    assert remedy in str(found)
    assert "user_script" not in str(found)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (redis.AuthenticationError("invalid username-password pair"), "DRIFTGATE__REDIS_PASSWORD"),
        (NoPermissionError("this user has no permissions to run the 'eval' command"), "docs/redis.md"),
        (
            ResponseError("The user executing the script can't run this command script: " + "a" * 40 + ", on @user_script:5."),
            "docs/redis.md",
        ),
    ],
)
def test_who_is_refused_waits_for_a_person(error: RedisError, remedy: str) -> None:
    found = explained(error)
    assert type(found) is RefusedError
    assert found.retryable
    assert remedy in str(found)
    assert "user_script" not in str(found)


# --- settings and servers


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (RedisSettings(url="redis://localhost:6379/0", tls=TlsSettings()), "rediss://"),
        (RedisSettings(sentinels=("localhost",)), "host:port"),
    ],
)
def test_settings_that_contradict_are_refused(settings: RedisSettings, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        connect(settings)


@pytest.mark.parametrize(("content", "says"), [(None, "No such file"), (" \n", "holds no password")])
def test_a_password_file_must_hold_one(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"redis\.password_file .*{says}"):
        connect(RedisSettings(url="redis://localhost", password_file=file))


class Said(Server):
    """A server that says of itself what it is told to."""

    def __init__(self, fsync: str | None = "always", **changes: Any) -> None:
        self._fsync = fsync
        self._says = {"redis_version": "7.0.15", "redis_mode": "standalone", "maxmemory_policy": "noeviction", "aof_enabled": 1} | changes

    def ask(self, *command: str | int) -> Any:
        if command[0] == "INFO":
            return self._says
        if self._fsync is None:
            raise UnavailableError("no rights")
        return {"appendfsync": self._fsync}

    def run(self, name: str, given: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - those of the server
        return [NEWEST, NEWEST]


def test_nothing_is_wrong_with_a_server_as_it_should_be() -> None:
    assert examine(Said(redis_version="8.2.1")) == []


@pytest.mark.parametrize(
    ("server", "gravity", "says"),
    [
        (Said(redis_version="6.2.14"), Gravity.REFUSED, "6.2.14 is too old"),
        (Said(redis_mode="cluster"), Gravity.REFUSED, "Cluster"),
        (Said(maxmemory_policy="volatile-lru"), Gravity.REFUSED, "volatile-lru"),
        (Said(maxmemory=1_000_000_000, used_memory=950_000_000), Gravity.WEAK, "950 of 1,000 MB"),
        (Said(aof_enabled=0), Gravity.WEAK, "appendonly is off"),
        (Said(aof_last_write_status="err"), Gravity.WEAK, "aof_last_write_status"),
        (Said("everysec"), Gravity.WEAK, "appendfsync is everysec"),
        (Said(None), Gravity.WEAK, "can't be asked"),
    ],
)
def test_each_trouble_is_named_with_its_remedy(server: Server, gravity: Gravity, says: str) -> None:
    (trouble,) = examine(server)
    assert trouble.gravity is gravity
    assert says in trouble.says
    assert trouble.remedy


def test_the_worst_comes_first() -> None:
    assert [trouble.gravity for trouble in examine(Said("no", redis_mode="cluster"))] == [Gravity.REFUSED, Gravity.WEAK]
