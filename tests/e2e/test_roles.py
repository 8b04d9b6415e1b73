"""Roles as processes of their own over a real broker and a real Redis: they share the work, take over, and follow what is declared."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from service.ports import Store
from service.records import WHOLE, Pane, Partition
from tests.e2e.roles import Role, Shared, bodies, draw, monitor, until
from tests.servers.fixtures import StartRedis
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.server("redis-server", "kafka")


@pytest.fixture
def shared(tmp_path: Path, kafka_broker: KafkaServer, redis_server: RedisServer) -> Iterator[Shared]:
    site = Shared(tmp_path, kafka_broker, redis_server)
    yield site
    site.close()


def ready(role: Role) -> bool:
    return bool(role.client.get("/readyz").status_code == 200)


def decided(shared: Shared, samples: int, *, seconds: float = 60.0) -> None:
    until(lambda: shared.status().get("samples") == samples, seconds=seconds, what=f"{samples} samples to be decided")


def test_each_role_does_its_part(shared: Shared) -> None:
    worker, controller, api = shared.start("worker"), shared.start("controller"), shared.start("api")
    until(lambda: ready(worker), what="partitions")
    assert ready(controller)
    assert api.client.post("/v1/monitors/chat/samples", json=bodies(draw(160, 2), "http")).status_code == 202
    shared.produce(draw(160, 3), "topic")
    until(lambda: api.get("/v1/monitors/chat")["samples"] == 320, what="samples of both ways")
    until(lambda: api.get("/v1/monitors/chat")["state"] == "watching")
    assert controller.get("/readyz")["notes"]["leader"] == "yes"
    for role in (worker, controller):
        assert role.client.get("/v1/monitors").status_code == 404
        assert "driftgate_build_info" in role.client.get("/metrics").text
    assert [role.end() for role in (api, worker, controller)] == [0, 0, 0]
    assert "loop stopped" in worker.log


def test_a_standby_takes_over_from_a_leader_that_was_killed(shared: Shared) -> None:
    worker, leader = shared.start("worker"), shared.start("controller")
    until(lambda: leader.get("/readyz")["notes"]["leader"] == "yes")
    standby = shared.start("controller")
    shared.produce(draw(160, 2), "a")
    until(lambda: shared.status().get("samples"))
    assert standby.get("/readyz")["status"] == "ready"
    assert "standing by" in standby.get("/readyz")["notes"]["leader"]
    leader.end(signal.SIGKILL)
    died = time.monotonic()
    until(lambda: standby.get("/readyz")["notes"]["leader"] == "yes", seconds=10)
    shared.produce(draw(160, 3), "b")
    until(lambda: shared.status()["samples"] > 160)
    assert time.monotonic() - died < 20
    assert worker.end() == standby.end() == 0


def test_a_leader_that_ends_in_order_is_followed_at_once(shared: Shared) -> None:
    leader = shared.start("controller")
    until(lambda: leader.get("/readyz")["notes"]["leader"] == "yes")
    standby = shared.start("controller")
    assert leader.end() == 0
    until(lambda: standby.get("/readyz")["notes"]["leader"] == "yes", seconds=3)


def test_the_configuration_is_followed_without_a_restart(shared: Shared) -> None:
    worker, controller, api = shared.start("worker"), shared.start("controller"), shared.start("api")
    shared.produce(draw(320, 2), "a")
    until(lambda: shared.status().get("samples", 0) >= 288)

    shared.document["monitors"][0]["detection"]["critical"] = 0.5
    shared.document["monitors"].append(monitor("search"))
    shared.configure()
    until(lambda: "search" in [line["monitor"] for line in api.get("/v1/monitors")["monitors"]], seconds=15)
    assert api.client.post("/v1/monitors/search/samples", json=bodies(draw(16, 4), "new")).status_code == 202
    until(lambda: api.get("/v1/monitors/search")["samples"] == 16, seconds=20)
    with shared.opened() as installation:
        until(lambda: [e for e in installation.store.events("chat") if e.kind == "settings"], seconds=20, what="the event")
        assert not installation.store.dead_letters()

    right = shared.path.read_text(encoding="utf-8")
    shared.configure("monitors: [")
    until(lambda: "configuration" in worker.get("/readyz")["notes"], seconds=15)
    assert ready(worker)
    shared.configure(right)
    until(lambda: "configuration" not in worker.get("/readyz")["notes"], seconds=15)

    shared.document["monitors"].pop()
    shared.configure()
    until(lambda: api.client.get("/v1/monitors/search").status_code == 404, seconds=15)
    assert [role.end() for role in (api, worker, controller)] == [0, 0, 0]


def test_a_monitor_is_declared_over_http(shared: Shared) -> None:
    worker, api = shared.start("worker"), shared.start("api")
    document = monitor("mail")
    declared = api.client.put("/v1/monitors/mail", json=document)
    assert (declared.status_code, declared.headers["etag"]) == (200, '"1"')
    until(lambda: "mail" in [line["monitor"] for line in api.get("/v1/monitors")["monitors"]])
    until(lambda: api.client.post("/v1/monitors/mail/samples", json=bodies(draw(16, 9), "b")).status_code == 202)
    until(lambda: api.get("/v1/monitors/mail")["samples"] == 16, seconds=20)
    assert api.client.put("/v1/monitors/mail", json=document).status_code == 409
    assert api.client.put("/v1/monitors/chat", json=monitor("chat"), headers={"if-match": '"1"'}).status_code == 409
    assert api.client.delete("/v1/monitors/mail", headers={"if-match": '"1"'}).status_code == 204
    until(lambda: api.client.get("/v1/monitors/mail").status_code == 404)
    with shared.opened() as installation:
        assert not installation.store.dead_letters()
    assert worker.end() == api.end() == 0


def test_a_rebase_and_its_rollback_under_traffic_count_every_sample_once(shared: Shared) -> None:
    workers, controller = [shared.start("worker"), shared.start("worker")], shared.start("controller")
    shared.produce(draw(640, 2), "before")
    until(lambda: shared.status().get("samples", 0) >= 500)
    enough, sent = threading.Event(), [640]

    def traffic() -> None:
        while not enough.is_set():
            shared.produce(draw(100, sent[0]), f"during-{sent[0]}", seconds=1.0)
            sent[0] += 100

    thread = threading.Thread(target=traffic)
    thread.start()
    with shared.opened() as installation:
        store = installation.store

        def versions(partition: Partition) -> list[int]:
            own = sorted((p.key.first_offset, p.key.reference_version) for p in whole_panes(store) if p.key.partition == partition)
            return [version for version, _ in groupby(version for _, version in own)]

        read = [position.partition for position in store.positions() if position.partition.topic == shared.topic]
        for act, expected in (("rebase", [1, 2]), ("rollback", [1, 2, 1])):
            shared.command("reference", act, "--monitor", "chat")
            until(lambda expected=expected: all(versions(partition) == expected for partition in read), what=act)  # type: ignore[misc]  # a default in a lambda
        enough.set()
        thread.join()
        until(lambda: store.samples_taken("chat") == sent[0])
        panes = whole_panes(store)
        assert sum(pane.summary.count for pane in panes) == sent[0]
        for partition in read:
            spans = sorted((pane.key.first_offset, pane.last_offset) for pane in panes if pane.key.partition == partition)
            assert all(one[1] < other[0] for one, other in pairwise(spans)), "no offset is in two panes"
        until(lambda: [event.body["version"] for event in store.events("chat") if event.kind == "rebase"] == [2, 1])
    assert [role.end() for role in (*workers, controller)] == [0, 0, 0]


def whole_panes(store: Store) -> list[Pane]:
    """Of the undivided stream, the open ones last."""
    closed = [entry for entry in store.entries("chat", 0, 100_000) if isinstance(entry, Pane)]
    return [pane for pane in (*closed, *store.open_panes("chat")) if pane.key.segment == WHOLE]


def test_a_second_signal_stops_at_once(tmp_path: Path, kafka_broker: KafkaServer, start_redis: StartRedis) -> None:
    redis = start_redis()
    site = Shared(tmp_path, kafka_broker, redis)
    try:
        worker = site.start("worker")
        until(lambda: ready(worker))
        redis.pause()
        time.sleep(1)
        worker.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        began = time.monotonic()
        assert worker.end(signal.SIGTERM) == 1
        assert time.monotonic() - began < 3
    finally:
        redis.resume()
        site.close()


def test_the_doctor_examines_the_servers(shared: Shared) -> None:
    said = shared.command("doctor", "--json")
    levels = {finding["subject"]: finding["level"] for finding in json.loads(said)["findings"]}
    assert levels["redis"] == levels["kafka"] == "ok"
    shared.document["kafka"]["ingest_topic"] = f"{shared.topic}-forgotten"
    shared.document["redis"]["url"] = "redis://127.0.0.1:1/0"
    shared.configure()
    said = shared.command("doctor", "--json", code=1)
    failed = {finding["subject"]: finding["says"] for finding in json.loads(said)["findings"] if finding["level"] == "fail"}
    assert "--create --topic" in failed["kafka"]
    assert "127.0.0.1:1" in failed["redis"]
