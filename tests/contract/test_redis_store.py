"""What the Redis store promises beyond every store's contract, against real servers."""

from __future__ import annotations

import re
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors import Summary
from service.adapters.blobs import BlobDirectory
from service.adapters.pane_segments import PaneSegments
from service.adapters.redis_store import (
    Gravity,
    Process,
    RedisStore,
    Standing,
    announce,
    climb,
    connect,
    connecting,
    decisions,
    examine,
    leave,
    levels,
    partitions,
    pool,
    present,
    standing_of,
    truth,
)
from service.adapters.redis_store.levels import Step
from service.adapters.redis_store.server import Server
from service.errors import ArtefactError, ConfigurationError, ConflictError, DriftgateError, UnavailableError
from service.ports import GRACE_SECONDS
from service.records import (
    Alarm,
    AlarmState,
    Assignment,
    Commit,
    DeadLetter,
    Decision,
    Event,
    Family,
    Fence,
    Label,
    Measured,
    Original,
    OutboxItem,
    Output,
    Pane,
    PaneKey,
    Partition,
    Payload,
    Pooled,
    Rejected,
    Reservation,
    Reserved,
    ReservedPart,
    Sample,
    Severity,
    Truths,
    Waiting,
)
from service.records.erasure import Doomed
from service.settings import RedisSettings
from service.settings.parts import TlsSettings
from tests.contract import stored
from tests.contract.stored import block, judgement
from tests.contract.test_store_erasing import fill as fill_everywhere
from tests.servers.certificates import Certificate
from tests.servers.fixtures import StartRedis
from tests.servers.redis_server import RedisServer, Sentinel

pytestmark = pytest.mark.server("redis-server")

PARTITION = Partition("samples", "topic-1")
DOCUMENT = Path(__file__).parents[2] / "docs" / "redis.md"
CAP = 10_000_000
LARGE = b"x" * 2_000_000

Open = Callable[..., RedisStore]


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Open]:
    """Opens a store at a server's URL, beside this test's blobs and segments."""
    with ExitStack() as stack:

        def opener(url: str, *, prefix: str = "dg", password: str | None = None, **options: Any) -> RedisStore:
            chosen = {name: options.pop(name) for name in ("user", "tls", "sentinels") if name in options}
            address: dict[str, Any] = {} if "sentinels" in chosen else {"url": url}
            server = connect(RedisSettings(**address, prefix=prefix, **chosen), password)
            store = RedisStore(server, blobs=blobs(tmp_path), archive=lambda state: PaneSegments(tmp_path / "panes" / state), **options)
            return stack.enter_context(closing(store))

        yield opener


@pytest.fixture
def open_shared(open_at: Open, redis_server: RedisServer) -> Open:
    """On the shared server, under a prefix of this test."""
    prefix = f"t{secrets.token_hex(8)}"
    return lambda **options: open_at(redis_server.url, prefix=prefix, **options)


def blobs(folder: Path) -> BlobDirectory:
    return BlobDirectory(folder / "blobs", cap_bytes=CAP)


def admin(server: RedisServer) -> Any:
    return redis.Redis(port=server.port, decode_responses=True)


def step(held: Assignment, at: int, take: int = 8, **changes: Any) -> Commit:
    return Commit(held.partition, held.epoch, at, at + take, float(at), **changes)


def pane(first: int) -> Pane:
    summary = Summary(8, np.arange(16.0), np.arange(3.0), np.arange(5), np.arange(100))
    return Pane(PaneKey("chat", "all", 1, PARTITION, first), first + 7, 1.0, 2.0, summary)


def pooled(number: int, payload: Payload | None = None) -> Pooled:
    embedding = np.full(4, number, np.float16)
    return Pooled("chat", f"s{number}", float(number), PARTITION, number, payload, {}, None, None, embedding, 0.5, 1)


def alarm(version: int = 1) -> Alarm:
    effect = Measured(0.1, 0.05, 0.2)
    kind = ("all", Family.INPUT, 1, "new content", Severity.WARNING, AlarmState.OPEN)
    return Alarm("a1", "chat", *kind, 8, 1, 5.0, 8, 4.0, effect, effect, "mmd", version=version)


def letter(offset: int, **changes: Any) -> DeadLetter:
    return replace(DeadLetter(PARTITION, offset, 3.0, Rejected("not_json", "line is not JSON", b"{", 0, "chat")), **changes)


def item() -> OutboxItem:
    return OutboxItem("o1", "alarm.opened", "hook", {}, created=5.0)


# --- who may use what


def documented_rights() -> list[str]:
    """Of the ACL line in the document."""
    (line,) = re.findall(r"^ACL SETUSER driftgate on (.*)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return [part for part in line.split() if part.startswith("+")]


def run_everything(store: RedisStore) -> None:
    """Every method that writes or reads, and with them every script."""
    held = store.assign(PARTITION)
    waiting = Waiting("ev", 0, Sample("chat", "ev/0", 1.0, "hello"), np.zeros(4, np.float32), "f", 60.0)
    first = step(held, 0, closed=(pane(0),), touched=(pane(8),), pooled=tuple(pooled(n, "hello") for n in range(8)))
    store.commit(replace(first, waiting=(waiting,), recent_ids=np.arange(9_990, dtype=np.uint64), shapes={"chat": 1}, lost=1))
    letters = (letter(0), letter(1, sent=False))
    store.commit(step(held, 8, closed=(pane(8),), pooled=(pooled(8),), answered=(("ev", 0),), dead_letters=letters, counts={"chat": 8}))
    store.commit(step(held, 16, recent_ids=np.arange(20, dtype=np.uint64), touched=(pane(16),)))
    token = store.lease("controller", "me", 5.0) or 0
    store.record_event(Event("e1", "chat", "verdict", 1.0, "ana"))
    store.record_event(Event("e1", "chat", "verdict", 1.0, "ana"))
    store.decide(Decision("chat", 0, 2, (alarm(),), (item(),), b"checkpoint", b"{}", Fence("controller", token)))
    store.decide(Decision("chat", 2, 3))
    store.release("controller", "me")
    store.save(replace(alarm(2), state=AlarmState.RESOLVED))
    assert store.tally(Alarm) == {("chat", "resolved"): 1}
    assert store.drop(Alarm, ["a7"]) == 0
    store.settle(replace(item(), state="delivered"))
    store.settle(replace(item(), state="pending"))
    store.add_labels([Label("chat", "b", "s0", "x", 1.0)])
    store.add_dead_letters([letter(2)])
    store.mark_sent([letter(1).id])
    read_everything(store)
    store.halt(PARTITION, held.epoch, "why")
    store.reset(PARTITION, 4, [Event("e2", "chat", "reset", 2.0, "ana")])
    store.tidy(now=0.0)
    store.probe()


def run_truth(store: RedisStore) -> None:
    """All that is done with answers and labels."""
    for number in range(2):
        held = store.assign(PARTITION)
        brought = Truths("search", (judgement(f"t{number}", monitor="search"),), 100)
        store.commit(step(held, held.offset, answers=(block([f"s{number}"], monitor="search"),), truths=(brought,)))
    store.tidy(now=0.0)
    assert set(store.answers("search", ["s0", "s1"])) == {"s0", "s1"}
    untold = store.untold("search", 9)
    store.tell(Event("told", "search", "truth", 1.0, "driftgate"), after=untold.after, until=untold.until)
    assert store.known_truth("search", ["s0"]) == {}
    store.judge(Truths("search", (judgement("s0", monitor="search"),), 1, 2, {}))
    assert len(store.judgements("search")) == 1


def run_reserve(store: RedisStore) -> None:
    """All that is done with samples that stay longer."""
    rows = tuple(Reserved(pooled(n, "hello"), {"uniform": float(n)}, 1.0) for n in range(4))
    assert store.keep_reserved(Reservation("chat", rows, {"uniform": 3}, 60.0)) == 3
    assert store.reserve_parts("chat") == {"uniform": ReservedPart(3, 1.0, 60.0)}
    assert store.drop_reserved("chat", ["s1"]) == 1
    store.tidy(now=0.0)
    assert [each.row.payload for each in store.reserve("chat")] == ["hello"] * 2


def run_erasing(store: RedisStore) -> None:
    """All that is done with samples that go."""
    fill_everywhere(store)
    assert store.erase(Doomed("chat", frozenset({"s3", "w3"})))["pool"] == 2, "one of before, too"
    assert store.drop_dead_letters([store.dead_letters()[0].id]) == 1
    assert not store.forgotten()
    store.scrub()


def read_everything(store: RedisStore) -> None:
    assert [entry.sequence for entry in store.entries("chat", 0, 10)] == [1, 2, 3]
    assert [event.id for event in store.events("chat")] == ["e1"]
    assert store.decided("chat") == (3, 2, b"checkpoint")
    assert store.undecided() == []
    assert len(store.open_panes("chat")) == 1
    assert store.get(Alarm, "a1").version == 2
    assert len(store.find(Alarm, monitor="chat", states=["open", "resolved"])) == 1
    assert [row.payload for row in store.pool("chat")] == [*["hello"] * 8, None]
    assert store.pool_begins("chat") == 0.0
    assert len(store.labels("chat")) == len(store.due(9.0, 9)) == len(store.outbox()) == 1
    assert len(store.dead_letters()) == 3
    assert store.dead_letter(letter(1).id).sent
    assert store.unsent(9) == []
    assert store.positions()[0].lost == 1
    assert store.epochs([PARTITION]) == {PARTITION: 1}


def test_the_documented_rights_are_enough_and_each_is_needed_from_the_start(
    start_redis: StartRedis, open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = documented_rights()
    server = start_redis(users=[f"driftgate on >secret ~dg:* {' '.join(rights)}"])
    ran, run = set[str](), Server.run

    def noted(server: Server, name: str, given: Mapping[str, Any] | None = None) -> Any:
        ran.add(name)
        return run(server, name, given)

    monkeypatch.setattr(Server, "run", noted)

    store = open_at(server.url, user="driftgate", password="secret")
    run_everything(store)
    run_truth(store)
    run_reserve(store)
    run_erasing(store)
    run_presence(store)

    assert ran == set(scripts())
    assert examine(store._server) == []
    client = admin(server)
    assert client.acl_log() == []
    for right in rights:
        client.execute_command("ACL", "SETUSER", "driftgate", right.replace("+", "-", 1))
        refused = False
        try:
            found = examine(connect(RedisSettings(url=server.url, prefix="dg", user="driftgate"), "secret"))
            open_at(server.url, user="driftgate", password="secret")
        except DriftgateError:
            refused = True
        assert refused or found or right in OPTIONAL_AT_START, right
        client.execute_command("ACL", "SETUSER", "driftgate", right)


OPTIONAL_AT_START = {"+eval", "+multi", "+exec", "+select", "+bgrewriteaof", "+bgsave"}
"""`eval` where scripts are known, a transaction of reads, another database than 0, files written anew: none of them in mid-commit."""


@cache
def scripts() -> tuple[str, ...]:
    return tuple(path.stem for path in (Path(levels.__file__).parent / "scripts").glob("*.lua"))


@pytest.mark.parametrize(("user", "password"), [(None, None), ("driftgate", None), ("driftgate", "wrong"), ("nobody", "secret")])
def test_wrong_credentials_are_told_without_the_password(
    start_redis: StartRedis, open_at: Open, user: str | None, password: str | None
) -> None:
    server = start_redis(users=["default off", "driftgate on >secret ~dg:* +@all"])
    with pytest.raises(UnavailableError, match="DRIFTGATE__REDIS_PASSWORD") as refused:
        open_at(server.url, user=user, password=password)
    assert "secret" not in str(refused.value)
    assert "wrong" not in str(refused.value)


def test_the_password_in_a_file_comes_first(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis(users=["default off", "driftgate on >secret ~dg:* +@all"])
    (tmp_path / "password").write_text("secret\n", encoding="utf-8")
    settings = RedisSettings(url=server.url, prefix="dg", user="driftgate", password_file=tmp_path / "password")
    assert examine(connect(settings, "wrong")) == []


def test_a_key_of_another_prefix_is_out_of_reach(start_redis: StartRedis, open_at: Open) -> None:
    server = start_redis(users=["driftgate on >secret ~dg:* +@all"])
    with pytest.raises(UnavailableError, match=r"docs/redis\.md"):
        open_at(server.url, prefix="other", user="driftgate", password="secret")


def test_tls_trusts_its_authority_and_no_other(start_redis: StartRedis, open_at: Open, certificate: Certificate) -> None:
    server = start_redis(certificate=certificate)
    store = open_at(server.url, tls=TlsSettings(ca_file=certificate.certificate))
    assert store.assign(PARTITION).epoch == 1
    with pytest.raises(UnavailableError, match="certificate"):
        open_at(server.url)


# --- which servers


@pytest.mark.parametrize(
    ("options", "says"),
    [({"cluster-enabled": "yes"}, "Redis Cluster"), ({"maxmemory-policy": "allkeys-lru"}, "set maxmemory-policy noeviction")],
)
def test_a_server_that_can_not_hold_exact_state_is_refused(
    start_redis: StartRedis, open_at: Open, options: dict[str, str], says: str
) -> None:
    server = start_redis(options=options)
    with pytest.raises(ConfigurationError, match=says):
        open_at(server.url)


def test_less_durability_is_reported_and_served(start_redis: StartRedis, open_at: Open) -> None:
    server = start_redis(options={"appendfsync": "everysec"})
    open_at(server.url)
    (trouble,) = examine(connect(RedisSettings(url=server.url)))
    assert trouble.gravity is Gravity.WEAK
    assert "everysec" in trouble.says


def test_nobody_there_is_an_error_that_may_pass(open_at: Open) -> None:
    with pytest.raises(UnavailableError, match="see whether it runs"):
        open_at("redis://127.0.0.1:1/0")
    (trouble,) = examine(connect(RedisSettings(url="redis://127.0.0.1:1/0")))
    assert trouble.gravity is Gravity.FAILING


def test_a_replica_takes_nothing(start_redis: StartRedis, open_at: Open) -> None:
    primary = start_redis()
    replica = start_redis(options={"replicaof": f"127.0.0.1 {primary.port}"})
    with pytest.raises(UnavailableError, match="connect to the primary"):
        open_at(replica.url)


# --- versions of the keys


def run_presence(store: RedisStore) -> None:
    process = Process("a-1", "worker", "1.0", levels.NEWEST)
    announce(store._server, process)
    assert present(store._server, "controller") == [process]
    leave(store._server, process.name)
    climb(store._server)


def stand(store: RedisStore, level: int, oldest: int | None = None) -> None:
    """As a program of that level would leave the keys."""
    server = store._server
    server._client.set(server.key("schema"), level)
    if oldest is None:
        server._client.delete(server.key("oldest"))
    else:
        server._client.set(server.key("oldest"), oldest)


def test_who_knows_only_older_keys_does_nothing(open_shared: Open) -> None:
    store = open_shared()
    held = store.assign(PARTITION)
    server = store._server
    for oldest in (None, levels.NEWEST + 1):
        stand(store, levels.NEWEST + 1, oldest)
        for refused in (
            lambda: store.commit(step(held, 0)),
            lambda: store.assign(PARTITION),
            lambda: store.lease("controller", "me", 5.0),
            store.probe,
            open_shared,
            lambda: climb(server),
        ):
            with pytest.raises(ArtefactError, match=rf"level {levels.NEWEST + 1}, written by a newer driftgate"):
                refused()
        assert examine(server)[0].gravity is Gravity.REFUSED
    stand(store, levels.NEWEST)
    assert store.assign(PARTITION).offset == 0


def test_keys_to_which_a_newer_driftgate_only_added_are_worked_on(open_shared: Open) -> None:
    store = open_shared()
    stand(store, levels.NEWEST + 1, levels.NEWEST)
    held = store.assign(PARTITION)
    store.commit(step(held, 0, counts={"chat": 3}))
    assert open_shared().samples_taken("chat") == 3
    climb(store._server)
    assert standing_of(store._server) == Standing(levels.NEWEST + 1, levels.NEWEST)


def test_keys_of_the_level_before_stay_until_they_are_raised(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    old = open_shared()
    held, last, told = old.assign(PARTITION), levels.NEWEST, list[int]()
    monkeypatch.setattr(levels, "NEWEST", last + 1)
    monkeypatch.setitem(levels.STEPS, last, Step("redis.call('INCR', key('upgrades'))", oldest=last))
    new = open_shared()
    assert new.assign(PARTITION).epoch == held.epoch + 1
    assert standing_of(new._server).level == last
    assert [trouble.gravity for trouble in examine(new._server)] == [Gravity.WEAK]

    for _ in range(2):
        climb(new._server, taken=told.append)
    assert (told, new._server.ask("GET", new._server.key("upgrades"))) == ([last + 1], b"1")
    assert standing_of(new._server) == Standing(last + 1, last)
    monkeypatch.setattr(levels, "NEWEST", last)
    assert old.assign(PARTITION).epoch == held.epoch + 2


def test_keys_from_before_the_level_before_must_be_led_up_first(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    server, last = open_shared()._server, levels.NEWEST
    monkeypatch.setattr(levels, "NEWEST", last + 2)
    with pytest.raises(ArtefactError, match=r"older driftgate.*end every older process, then run `driftgate migrate`"):
        open_shared()
    monkeypatch.setitem(levels.STEPS, last + 1, Step("", oldest=last + 1))
    with pytest.raises(ArtefactError, match="older"):
        climb(server)
    monkeypatch.setitem(levels.STEPS, last, Step("", oldest=last))
    climb(server)
    assert standing_of(open_shared()._server) == Standing(last + 2, last + 1)


def test_entities_of_the_first_level_are_counted_one_by_one_and_then_kept_so(open_shared: Open) -> None:
    old = open_shared()
    stand(old, 1)
    old.save(stored.alarm(id="a1"), stored.alarm(id="a2", monitor="search"), stored.alarm(id="a3"), stored.alarm(id="a4"))
    old.save(replace(stored.alarm(2, id="a3"), state=AlarmState.RESOLVED))
    server = old._server
    for each in ("a1", "a2"):  # as the program before wrote them
        server._client.hdel(server.key("entity", "alarm", each), "monitor")
    counted = {("chat", "open"): 2, ("search", "open"): 1, ("chat", "resolved"): 1}
    assert old.tally(Alarm) == counted
    assert old.drop(Alarm, ["a4"]) == 1
    counted["chat", "open"] = 1
    assert old.tally(Alarm) == counted

    climb(server)
    new = open_shared()
    assert new.tally(Alarm) == counted
    assert new.drop(Alarm, ["a1", "a2"]) == 2
    assert new.tally(Alarm) == {("chat", "resolved"): 1}


def test_processes_are_there_while_they_say_so(open_shared: Open) -> None:
    server = open_shared()._server
    worker, controller = Process("a-1", "worker", "1.0", 2), Process("a-2", "controller", "1.0", 2)
    for process in (worker, controller, worker):
        announce(server, process)
    assert present(server, "controller") == [controller, worker]
    leave(server, "a-2")
    server._client.hset(server.key("processes"), "a-3", struct.pack("<d", 1.0) + b"long ago")
    assert present(server, "controller") == [worker]
    announce(server, worker)
    assert server.ask("HKEYS", server.key("processes")) == [b"a-1"]


def test_who_leads_without_a_word_is_an_older_one(open_shared: Open) -> None:
    store = open_shared()
    announce(store._server, Process("a-2", "controller", "1.0", 2))
    for holder, older in (("a-2-77", []), ("command 12", []), ("b-9-77", [Process("b-9-77", "controller", "unknown", 0)])):
        store.lease("controller", holder, 5.0)
        assert [each for each in present(store._server, "controller") if not each.level] == older
        store.release("controller", holder)


def test_a_server_that_was_emptied_is_not_begun_anew_by_a_worker(start_redis: StartRedis, open_at: Open) -> None:
    server = start_redis()
    store = open_at(server.url)
    held = store.assign(PARTITION)
    admin(server).flushall()
    with pytest.raises(ArtefactError, match="emptied"):
        store.commit(step(held, 0))
    with pytest.raises(ArtefactError, match="emptied"):
        store.assign(PARTITION)


# --- under fire


def test_acknowledged_commits_survive_a_kill_and_the_store_goes_on(start_redis: StartRedis, open_at: Open) -> None:
    server = start_redis()
    store = open_at(server.url)
    held = store.assign(PARTITION)
    for number in range(20):
        store.commit(step(held, 8 * number, closed=(pane(8 * number),), counts={"chat": 8}))
    server.kill()
    with pytest.raises(UnavailableError):
        store.commit(step(held, 160))
    server.start()

    store.commit(step(held, 160, closed=(pane(160),), counts={"chat": 8}))
    assert store.samples_taken("chat") == 168
    assert [entry.sequence for entry in store.entries("chat", 0, 100)] == list(range(1, 22))


def test_connections_that_were_closed_meanwhile_are_not_noticed(start_redis: StartRedis, open_at: Open) -> None:
    """As servers, proxies and firewalls do with idle ones."""
    server = start_redis()
    store = open_at(server.url)
    held = store.assign(PARTITION)
    assert admin(server).client_kill_filter(_type="normal", skipme=True) == 1
    store.commit(step(held, 0))
    assert store.assign(PARTITION).offset == 8


@pytest.mark.parametrize("seed", range(3))
def test_a_server_killed_amid_commits_holds_each_whole_or_not_at_all(start_redis: StartRedis, open_at: Open, seed: int) -> None:
    server, rng = start_redis(), np.random.default_rng(seed)
    store = open_at(server.url, pool_rows={"chat": 100})
    for _ in range(4):
        acknowledged = [0]
        worker = threading.Thread(target=commit_until_refused, args=(store, acknowledged))
        worker.start()
        time.sleep(rng.uniform(0.01, 0.2))
        server.kill()
        worker.join()
        server.start()

        held = store.assign(PARTITION)
        assert held.offset in (acknowledged[-1], acknowledged[-1] + 8)
        assert store.samples_taken("chat") == held.offset
        entries = [entry for entry in store.entries("chat", 0, 100_000) if isinstance(entry, Pane)]
        assert [(entry.sequence, entry.key.first_offset) for entry in entries] == [(n + 1, 8 * n) for n in range(held.offset // 8)]
        assert [row.offset for row in store.pool("chat")] == list(range(max(0, held.offset - 100), held.offset))
        assert held.recent_ids.tolist() == list(range(held.offset))[-10_000:]


def commit_until_refused(store: RedisStore, acknowledged: list[int]) -> None:
    held = store.assign(PARTITION)
    acknowledged.append(held.offset)
    with suppress(UnavailableError):
        while True:
            at = acknowledged[-1]
            rows = tuple(pooled(at + n) for n in range(8))
            ids = np.arange(at, at + 8, dtype=np.uint64)
            store.commit(step(held, at, closed=(pane(at),), pooled=rows, recent_ids=ids, counts={"chat": 8}))
            acknowledged.append(at + 8)


def test_a_commit_whose_answer_was_lost_is_not_doubled(start_redis: StartRedis, open_at: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "ANSWER_SECONDS", 2.0)
    server = start_redis()
    store = open_at(server.url)
    held = store.assign(PARTITION)
    store.commit(step(held, 0))
    commit = step(held, 8, closed=(pane(8),), counts={"chat": 8})
    server.pause()
    with pytest.raises(UnavailableError, match="does not answer in time"):
        store.commit(commit)
    server.resume()
    wait_for(lambda: store.samples_taken("chat") == 8)

    with pytest.raises(ConflictError, match="offset 16"):
        store.commit(commit)
    assert store.assign(PARTITION).offset == 16
    assert len(store.entries("chat", 0, 10)) == 1


def test_while_memory_is_full_samples_wait_and_what_is_there_is_decided(start_redis: StartRedis, open_at: Open) -> None:
    server = start_redis(options={"maxmemory": "4mb"})
    store = open_at(server.url)
    held = store.assign(PARTITION)
    last = fill(store, held)
    assert "nearly full" in examine(store._server)[-1].says

    admin(server).config_set("maxmemory", "1mb")
    assert any(trouble.gravity is Gravity.FAILING for trouble in examine(store._server))
    with pytest.raises(UnavailableError, match=r"OOM command not allowed.*raise maxmemory"):
        store.probe()
    with pytest.raises(UnavailableError, match="OOM command not allowed"):
        open_at(server.url).probe()  # a process that starts now waits as the others do
    assert store.assign(PARTITION).offset == 8 * last
    assert store.lease("controller", "me", 5.0) == 1
    store.decide(Decision("chat", 0, last, (alarm(),), (item(),), b"checkpoint", b"{}"))
    assert len(store.entries("chat", 0, 100_000)) == last

    admin(server).config_set("maxmemory", 0)
    again = store.assign(PARTITION)
    store.commit(step(again, 8 * last, closed=(pane(8 * last),)))
    assert [entry.sequence for entry in store.entries("chat", last, 10)] == [last + 1]


def fill(store: RedisStore, held: Assignment) -> int:
    """Commits until it is refused; returns how many were not."""
    large = replace(pane(0).summary, sums=np.zeros(20_000))
    for number in range(1_000):
        try:
            store.commit(step(held, 8 * number, closed=(replace(pane(8 * number), summary=large),)))
        except UnavailableError as error:
            assert "raise maxmemory" in str(error)  # noqa: PT017 - how often it worked is the point
            return number
    raise AssertionError("the memory was never full")


def test_a_failover_behind_sentinel_is_followed(start_redis: StartRedis, open_at: Open, tmp_path: Path) -> None:
    primary = start_redis()
    replica = start_redis(options={"replicaof": f"127.0.0.1 {primary.port}"})
    sentinel = Sentinel(tmp_path / "sentinel", primary).start()
    try:
        store = open_at("", sentinels=(f"127.0.0.1:{sentinel.port}",))
        held = store.assign(PARTITION)
        store.commit(step(held, 0, counts={"chat": 8}))
        wait_for(lambda: admin(primary).execute_command("WAIT", 1, 1_000) == 1)
        watched = redis.Redis(port=sentinel.port, decode_responses=True)
        wait_for(lambda: len(watched.sentinel_slaves("driftgate")) == 1, seconds=30.0)

        primary.kill()
        wait_for(lambda: answers(store), seconds=60.0)

        assert admin(replica).info("replication")["role"] == "master"
        assert store.assign(PARTITION).offset == 8
    finally:
        sentinel.stop()


def answers(store: RedisStore) -> bool:
    try:
        store.probe()
    except UnavailableError:
        return False
    return True


def wait_for(holds: Callable[[], bool], *, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


# --- payloads, bounds, upkeep


def test_payloads_are_never_in_redis(start_redis: StartRedis, open_at: Open) -> None:
    secret = "this is what a customer wrote"
    server = start_redis()
    store = open_at(server.url)
    held = store.assign(PARTITION)
    waiting = Waiting("ev", 0, Sample("chat", "ev/0", 1.0, secret), np.zeros(4, np.float32), "f", 60.0)
    large = letter(3, original=Original(b"key", secret.encode() * 4_000))
    store.commit(step(held, 0, pooled=(pooled(0, secret), pooled(1, secret.encode())), waiting=(waiting,), dead_letters=(large,)))

    assert [row.payload for row in store.pool("chat")] == [secret, secret.encode()]
    assert store.assign(PARTITION).waiting[0].sample.payload == secret
    assert store.dead_letter(large.id).original == large.original
    written = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
    assert b"chat" in written
    assert secret.encode() not in written


def test_payloads_that_are_gone_cost_nothing_but_themselves(open_shared: Open, tmp_path: Path) -> None:
    store = open_shared()
    waiting = Waiting("ev", 0, Sample("chat", "ev/0", 1.0, "hello"), np.zeros(4, np.float32), "f", 60.0)
    large = letter(3, original=Original(None, bytes(70_000)))
    store.commit(step(store.assign(PARTITION), 0, pooled=(pooled(0, "hi"),), waiting=(waiting,), dead_letters=(large,)))
    drawer = blobs(tmp_path)
    for hours in (2, 3):
        drawer.collect((), now=time.time() + hours * GRACE_SECONDS)

    assert [row.payload for row in store.pool("chat")] == [None]
    assert store.assign(PARTITION).waiting[0].sample.payload == ""
    assert store.dead_letter(large.id).original is None


def test_what_is_referred_to_stays_and_the_rest_is_collected(open_shared: Open, tmp_path: Path) -> None:
    store = open_shared(pool_rows={"chat": 3}, pool_bytes=200)
    waiting = tuple(Waiting("ev", n, Sample("chat", f"ev/{n}", 1.0, f"waits {n}"), np.zeros(4, np.float32), "f", 60.0) for n in range(2))
    large = letter(3, original=Original(None, bytes(70_000)))
    held = store.assign(PARTITION)
    for number in range(6):
        store.commit(step(held, 8 * number, pooled=(pooled(number, str(number) * 100),)))
    store.commit(step(held, 48, waiting=waiting, dead_letters=(large,)))
    store.commit(step(held, 56, answered=(("ev", 0),)))
    drawer = blobs(tmp_path)
    before = drawer.stored_bytes

    for hours in (2, 3):
        store.tidy(now=time.time() + hours * GRACE_SECONDS)

    assert before - drawer.stored_bytes == 4 * 100 + len("waits 0")
    assert [row.payload for row in store.pool("chat")] == [None, "4" * 100, "5" * 100]
    assert [w.sample.payload for w in store.assign(PARTITION).waiting] == ["waits 1"]
    assert store.dead_letter(large.id).original == large.original


def test_a_long_backlog_is_archived_in_steps(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_shared()
    held = store.assign(PARTITION)
    store.commit(step(held, 0, 80, closed=tuple(pane(8 * n) for n in range(10))))
    with mock.patch.object(PaneSegments, "append", side_effect=ArtefactError("the disk is full")):
        store.decide(Decision("chat", 0, 6, checkpoint=b"six"))
    server = store._server
    assert server.ask("XLEN", server.key("panes", "chat")) == 10

    monkeypatch.setattr(decisions, "_MOST", 3)
    store.decide(Decision("chat", 6, 8, checkpoint=b"eight"))
    assert server.ask("XLEN", server.key("panes", "chat")) == 2
    assert [entry.sequence for entry in store.entries("chat", 0, 100)] == list(range(1, 11))
    assert [entry.sequence for entry in store.entries("chat", 4, 5)] == [5, 6, 7, 8, 9]
    assert store.log_start("chat") == (0, None)


def test_delivered_items_go_after_a_while(open_shared: Open) -> None:
    store = open_shared()
    store.save(outbox=[item(), replace(item(), id="o2"), replace(item(), id="o3")])
    store.settle(replace(item(), state="delivered"))
    store.settle(replace(item(), id="o2", state="delivered"))
    store.save(outbox=[replace(item(), id="o4")])
    store.settle(replace(item(), id="o4", state="dropped"))
    server = store._server
    server._client.pexpire(server.key("outbox", "item", "o4"), 1)
    wait_for(lambda: not server.ask("EXISTS", server.key("outbox", "item", "o4")))
    kept = server.ask("TTL", server.key("outbox", "item", "o1"))
    assert 0.9 * 30 * 86_400 < kept <= 30 * 86_400
    server._client.pexpire(server.key("outbox", "item", "o1"), 1)
    wait_for(lambda: not server.ask("EXISTS", server.key("outbox", "item", "o1")))

    assert [x.id for x in store.outbox()] == ["o3", "o2"]
    store.tidy(now=0.0)
    assert server.ask("ZCARD", server.key("outbox")) == 2
    assert server.ask("TTL", server.key("outbox", "item", "o3")) == -1


def test_the_pool_follows_a_size_that_changes(open_shared: Open) -> None:
    rows = {"chat": 2}
    store = open_shared(pool_rows=rows)
    held = store.assign(PARTITION)
    store.commit(step(held, 0, pooled=tuple(pooled(n) for n in range(4))))
    assert len(store.pool("chat")) == 2
    rows["chat"] = 3
    store.commit(step(held, 8, pooled=(pooled(4),)))
    assert [row.id for row in store.pool("chat")] == ["s2", "s3", "s4"]


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), capacity=st.integers(1, 20))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pool_gives_the_newest_and_holds_one_commit_more(open_shared: Open, sizes: list[int], capacity: int) -> None:
    monitor = f"m{secrets.token_hex(4)}"
    store = open_shared(pool_rows={monitor: capacity})
    held = store.assign(Partition("samples", monitor))
    for at, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
        rows = tuple(replace(pooled(at + n), monitor=monitor, partition=held.partition) for n in range(size))
        store.commit(step(held, at, size, pooled=rows))
    taken, server = sum(sizes), store._server
    first = max(0, taken - capacity)
    assert [row.offset for row in store.pool(monitor)] == list(range(first, taken))
    assert [row.offset for row in store.pool(monitor, since=first + 2.0)] == list(range(min(first + 2, taken), taken))
    assert store.pool_begins(monitor) == first
    assert int(server.ask("HGET", server.key("monitor", monitor), "held")) < capacity + max(sizes)
    assert server.ask("LLEN", server.key("pool", monitor)) == server.ask("LLEN", server.key("vectors", monitor))


@given(sizes=st.lists(st.integers(0, 10), min_size=1, max_size=12))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_ids_are_remembered_however_they_came(open_shared: Open, sizes: list[int]) -> None:
    store = open_shared()
    held = store.assign(Partition("samples", secrets.token_hex(4)))
    with mock.patch.object(partitions, "RECENT_IDS", 7):
        for at, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
            store.commit(step(held, at, size, recent_ids=np.arange(at, at + size, dtype=np.uint64)))
        found = store.assign(held.partition).recent_ids.tolist()
    assert found == list(range(sum(sizes)))[-7:]


def test_embeddings_of_two_sizes_share_a_pool(open_shared: Open) -> None:
    store = open_shared()
    wide = replace(pooled(1), embedding=np.ones(6, np.float16))
    store.commit(step(store.assign(PARTITION), 0, pooled=(pooled(0), wide, pooled(2))))
    assert [row.embedding.size for row in store.pool("chat")] == [4, 6, 4]


def test_what_waits_for_its_topic_is_not_trimmed(open_shared: Open) -> None:
    store = open_shared(dead_letters=(2, 10_000_000))
    held = store.assign(PARTITION)
    store.commit(step(held, 0, dead_letters=tuple(letter(n, sent=n % 2 == 0) for n in range(6))))
    assert [x.offset for x in store.unsent(10)] == [1, 3, 5]
    store.mark_sent([letter(1).id, letter(3).id])
    assert [x.offset for x in store.dead_letters()] == [5, 4, 3]


def sent_bytes(send: Callable[[], object]) -> int:
    with mock.patch.object(redis.Redis, "execute_command", autospec=True, side_effect=redis.Redis.execute_command) as sent:
        send()
    return sum(len(part) for call in sent.call_args_list for part in call.args if isinstance(part, bytes))


def test_a_commit_is_bounded_whatever_was_rejected(open_shared: Open) -> None:
    store = open_shared()
    record = Original(b"key", b"v" * 59_000, (("h", b"1"),), 4.0)
    rejected = Rejected("not_json", "m" * 3_000, b"i" * 60_000, 0, "chat")
    letters = tuple(letter(n, rejected=rejected, original=record) for n in range(1_000))

    assert sent_bytes(lambda: store.commit(step(store.assign(PARTITION), 0, dead_letters=letters))) < 8_200_000 + 1_000 * 2_200

    newest, *_, oldest = store.dead_letters(limit=1_000)
    assert (newest.original, oldest.original) == (record, record)
    assert (len(newest.rejected.original), len(newest.rejected.message)) == (1_000, 1_000)
    assert oldest.rejected == rejected


@pytest.mark.parametrize("record", [Original(LARGE, b"v"), Original(b"k", LARGE, (), 4.0), Original(None, None, (("h", LARGE),))])
def test_large_originals_lie_in_the_blobs_whatever_of_them_is_large(open_shared: Open, record: Original) -> None:
    store = open_shared()

    assert sent_bytes(lambda: store.add_dead_letters([letter(0, original=record)])) < 1_000

    assert store.dead_letter(letter(0).id).original == record


def test_no_more_letters_are_sent_than_are_kept(open_shared: Open) -> None:
    store = open_shared(dead_letters=(3, 10_000_000))
    letters = tuple(letter(n, sent=n != 5) for n in range(2_000))

    assert sent_bytes(lambda: store.commit(step(store.assign(PARTITION), 0, dead_letters=letters))) < 5_000

    assert [found.offset for found in store.dead_letters()] == [1_999, 1_998, 1_997, 5]


def test_rows_beyond_a_commit_s_bytes_are_the_newest(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "COMMIT_BYTES", 100_000)
    store = open_shared()
    held = store.assign(PARTITION)
    wide = Output(probabilities=(0.001,) * 1_000)
    store.commit(step(held, 0, pooled=tuple(pooled(n) for n in range(8))))
    rows = tuple(replace(pooled(n), output=wide, monitor=name) for n in range(8, 108) for name in ("chat", "search"))
    few = (replace(pooled(108), monitor="mail"),)

    assert sent_bytes(lambda: store.commit(step(held, 8, pooled=(*rows, *few)))) < 110_000

    for name in ("chat", "search"):
        kept = [row.offset for row in store.pool(name)]
        assert kept == list(range(108 - len(kept), 108))
        assert len(kept) == 5
        assert store.pool_begins(name) == kept[0]
    assert [row.offset for row in store.pool("mail")] == [108]
    store.commit(step(held, 16, pooled=tuple(pooled(n) for n in range(108, 111))))
    assert [row.offset for row in store.pool("chat")] == list(range(103, 111))


def test_a_commit_is_one_round_trip_of_known_size(open_shared: Open) -> None:
    """docs/redis.md tells these figures."""
    store = open_shared()
    held = store.assign(PARTITION)
    rows = tuple(replace(pooled(n), embedding=np.ones(384, np.float16)) for n in range(512))
    commits = [step(held, 512 * n, 512, pooled=rows, recent_ids=np.arange(512, dtype=np.uint64)) for n in range(2)]
    store.commit(commits[0])
    with mock.patch.object(redis.Redis, "execute_command", autospec=True, side_effect=redis.Redis.execute_command) as sent:
        store.commit(commits[1])

    ((_, name, *arguments),) = [call.args for call in sent.call_args_list]
    assert name == "EVALSHA"
    size = sum(len(part) for part in arguments if isinstance(part, bytes))
    assert 512 * 2 * 384 < size < 512 * (2 * 384 + 60)


def test_answers_that_move_while_they_are_looked_for_are_found(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are merged into one that had been looked at before."""
    store = open_shared()
    held = store.assign(PARTITION)
    store.commit(step(held, 0, answers=tuple(block([f"s{number}"], keep=100) for number in range(3))))
    run, looked = store._server.run, list[str]()

    def merging(name: str, given: Any = None) -> Any:
        answered = run(name, given)
        if name == "answer_keys":
            looked.append(name)
            if len(looked) == 1:
                store.tidy(now=0.0)
        return answered

    monkeypatch.setattr(truth, "_BLOCKS", 1)
    monkeypatch.setattr(store._server, "run", merging)
    assert set(store.answers("chat", ["s0", "s2", "nobody"])) == {"s0", "s2"}
