"""What `serve` promises, over its real process: nothing lost, nothing doubled, bad input told, and a restart that forgets nothing."""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from service.app import served
from service.settings import load
from service.signatures import Secret, sign, verify
from service.worker import Worker

if TYPE_CHECKING:
    from tests.e2e.conftest import Site


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_kill_9_during_ingest_loses_and_doubles_nothing(idle: Site) -> None:
    """A client that sends again what was not answered: each id ends up in the pool once, and the count is theirs."""
    batches = [idle.bodies(idle.draw(20, n), f"b{n}") for n in range(120)]
    sent, delays = 0, iter([0.4, 0.15, 0.7, 0.3])
    while sent < len(batches):
        idle.start()
        delay = next(delays, None)
        killer = threading.Timer(delay, idle.kill) if delay is not None else None
        if killer:
            killer.start()
        try:
            while sent < len(batches):
                assert idle.send(batches[sent]).status_code == 202
                sent += 1
                time.sleep(0.01)
        except (httpx2.TransportError, RuntimeError):  # the client is closed with the server
            pass
        if killer:
            killer.join()
    if not idle.alive:
        idle.start()
    idle.settled()
    counted = idle.until(lambda: found if (found := idle.get("/v1/monitors/chat"))["samples"] >= 2_400 else None)
    idle.stop()

    assert counted["samples"] == 2_400
    ids = [row.id for row in idle.pool()]
    assert len(ids) == 2_400
    assert set(ids) == {body["id"] for batch in batches for body in batch}
    assert next(delays, None) is None, "every kill came while samples were sent"


def test_repeated_ids_count_once(site: Site) -> None:
    first = site.bodies(site.draw(50, 1), "a")
    for _ in range(3):
        assert site.send(first).status_code == 202
    assert site.settled()['driftgate_samples_duplicate_total{monitor="chat"}'] == 100
    assert site.get("/v1/monitors/chat")["samples"] == 50


def test_labels_that_come_later_find_their_answers_also_after_a_restart(site: Site) -> None:
    """The model has always said the same; 500 labels say that it was right, those after them that it no longer is."""
    bodies = [{**body, "output": {"label": "early"}} for body in site.bodies(site.draw(700, 1), "m")]
    assert site.send(bodies).status_code == 202
    site.settled()
    site.stop()
    site.start()
    labels = [{"id": body["id"], "label": "early" if n < 600 else "late"} for n, body in enumerate(bodies)]
    for _ in range(2):
        answer = site.client.post("/v1/monitors/chat/labels", json={"labels": labels})
        assert answer.status_code == 200
    assert answer.json()["counts"] == {"repeated": 700}
    (alarm,) = site.until(lambda: [found for found in site.get("/v1/alarms")["alarms"] if found["family"] == "concept"])
    assert alarm["confusions"][0]["answer"] == "early"
    truth = site.get("/v1/monitors/chat")["truth"]
    assert (truth["labels"], truth["errors"], truth["alarm"]) == (700, 100, alarm["id"])


def test_a_restart_forgets_nothing(site: Site) -> None:
    site.send(site.bodies(site.draw(640, 1), "calm"))
    site.send(site.bodies(site.draw(650, 2, new=0.5), "drift"))
    (alarm,) = site.until(lambda: site.get("/v1/alarms")["alarms"])
    before = site.until(lambda: found if (found := site.get("/v1/monitors/chat"))["sequence"] == 80 else None)
    assert (before["samples"], before["undecided"]) == (1_290, {"panes": 1, "samples": 10})
    site.stop()
    pool = [row.id for row in site.pool()]

    site.start()
    assert site.get("/v1/alarms")["alarms"] == [site.get(f"/v1/alarms/{alarm['id']}")]
    after = site.get("/v1/monitors/chat")
    assert after == before
    site.send(site.bodies(site.draw(6, 3), "more"))
    assert site.until(lambda: found if (found := site.get("/v1/monitors/chat"))["sequence"] == 81 else None)["samples"] == 1_296
    site.kill()
    assert [row.id for row in site.pool()] == [*pool, *(f"more-{i}" for i in range(6))]


def test_readiness_names_monitors_without_a_reference(site: Site) -> None:
    """Two of the monitors have no reference yet; samples for building one are taken all the same."""
    answer = site.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"], answer.json()["without_reference"]) == (200, "ready", ["text", "image"])
    assert site.get("/healthz")["status"] == "alive"
    assert site.send([{"text": "where is my parcel"}], "text").status_code == 202


# --- bad input -------------------------------------------------------------------------------------------------------


def bomb() -> str:
    """A PNG of a few bytes that claims 2.5 billion pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


def ahead() -> str:
    return (datetime.now(UTC) + timedelta(days=400)).isoformat()


BAD: dict[str, tuple[str, Any, str]] = {
    "wrong dimension": ("chat", {"vector": [1.0, 2.0]}, "dimension"),
    "not a number": ("chat", '{"vector": [NaN, 1, 2, 3, 4, 5]}', "not_finite"),
    "beyond float32": ("chat", {"vector": [1e300, 1, 2, 3, 4, 5]}, "not_finite"),
    "broken JSON": ("chat", '{"vector": [1, 2', "json"),
    "no payload": ("chat", {"id": "x"}, "payload"),
    "clock in the future": ("chat", {"vector": [0.0] * 6, "time": "(ahead)"}, "time_future"),
    "no time": ("chat", {"vector": [0.0] * 6, "time": "yesterday"}, "time"),
    "empty text": ("text", {"text": ""}, "empty"),
    "blank text": ("text", {"text": " \n\t"}, "empty"),
    "10 MB of text": ("text", {"text": "parcel " * 1_500_000}, "too_large"),
    "half a character": ("text", '{"text": "\\ud800"}', "json"),
    "vector for a text": ("text", {"vector": [1.0]}, "wrong_type"),
    "image bomb": ("image", {"image": bomb()}, "image_bomb"),
    "no image": ("image", {"image": base64.b64encode(b"GIF89a, or so it says").decode()}, "image"),
    "a path": ("image", {"image": "../../etc/passwd.png"}, "image_path"),
}


def test_each_bad_sample_is_refused_with_its_reason_and_harms_no_other(site: Site) -> None:
    expected: dict[str, float] = {}
    found: dict[str, tuple[int, str]] = {}
    for name, (monitor, body, reason) in BAD.items():
        text = (body if isinstance(body, str) else json.dumps(body)).replace("(ahead)", ahead())
        answer = site.client.post(f"/v1/monitors/{monitor}/samples", content=text, headers={"content-type": "application/json"})
        found[name] = (answer.status_code, answer.json()["results"][0]["reason"])
        series = f'driftgate_samples_rejected_total{{monitor="{monitor}",reason="{reason}"}}'
        expected[series] = expected.get(series, 0.0) + 1
    assert found == {name: (422, reason) for name, (_, _, reason) in BAD.items()}

    mixed = site.send([{"id": "good-1", "vector": [0.0] * 6}, {"vector": []}, {"id": "good-2", "vector": [1.0] * 6}])
    assert [item["status"] for item in mixed.json()["results"]] == ["accepted", "rejected", "accepted"]
    metrics = site.settled()
    assert {series: metrics.get(series) for series in expected} == expected
    assert site.get("/v1/monitors/chat")["samples"] == 2
    assert site.get("/healthz")["status"] == "alive"


def test_a_body_that_cannot_be_read_is_answered(site: Site) -> None:
    post = site.client.post
    as_json = {"content-type": "application/json"}
    assert post("/v1/monitors/nobody/samples", json={"vector": [1.0]}).status_code == 404
    assert "there are: chat, text, image" in post("/v1/monitors/nobody/samples", json={}).json()["message"]
    assert post("/v1/monitors/chat/samples", content=b"[1, 2", headers=as_json).status_code == 400
    assert post("/v1/monitors/chat/samples", content=b"a,b", headers={"content-type": "text/csv"}).status_code == 415
    assert post("/v1/monitors/chat/samples", content=b" " * 16_000_001, headers=as_json).status_code == 413
    assert post("/v1/monitors/chat/samples", json=[]).status_code == 400
    assert site.get("/healthz")["status"] == "alive"


def test_a_bad_event_becomes_a_dead_letter_and_harms_no_other(site: Site) -> None:
    """Loggers can't react to an answer, so what they send is taken and kept with its reason."""
    good = {"instances": ["where is my parcel"]}
    sent: list[tuple[str, Any, str]] = [
        ("text", {"instances": ["", "is my parcel"]}, "empty"),
        ("text", {"instances": ["parcel " * 1_000_000]}, "too_large"),
        ("text", b"{broken", "json"),
        ("image", {"instances": [{"b64": bomb()}]}, "image_bomb"),
        ("chat", {"instances": [[1.0, 2.0]]}, "dimension"),
        ("nobody", good, "unrouted"),
    ]
    for n, (service, body, _) in enumerate(sent):
        assert event(site, f"bad-{n}", "request", body, service=service).status_code == 202
    event(site, "good", "request", good, service="text")
    event(site, "lonely", "response", {"predictions": ["x"]}, service="text")

    metrics = site.settled()
    letters = site.get("/v1/dead-letters")["dead_letters"]
    assert sorted(letter["reason"] for letter in letters) == sorted([*(reason for _, _, reason in sent), "unmatched_response"])
    for letter in letters:
        series = f'driftgate_dead_letters_total{{monitor="{letter["monitor"] or "__unknown__"}",reason="{letter["reason"]}"}}'
        assert metrics[series] == 1, series
    assert site.get("/healthz")["status"] == "alive"


# --- logged inferences -----------------------------------------------------------------------------------------------


def event(site: Site, name: str, half: str, body: Any, *, service: str = "chat", structured: bool = False) -> httpx2.Response:
    """As KServe's logger posts it."""
    attributes = {
        "specversion": "1.0",
        "id": name,
        "type": f"org.kubeflow.serving.inference.{half}",
        "source": "http://localhost:9081/",
        "inferenceservicename": service,
        "namespace": "models",
    }
    if structured:
        document = {**attributes, "datacontenttype": "application/json", "data": body}
        return site.client.post("/v1/cloudevents", json=document, headers={"content-type": "application/cloudevents+json"})
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {f"ce-{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}
    return site.client.post("/v1/cloudevents", content=content, headers=headers)


def v1(rows: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return {"instances": rows.tolist()}, {"predictions": [[0.25, 0.75]] * len(rows)}


def v2(rows: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    shape = list(rows.shape)
    inputs = [{"name": "x", "shape": shape, "datatype": "FP32", "data": rows.ravel().tolist()}]
    outputs = [{"name": "p", "shape": [shape[0], 2], "datatype": "FP32", "data": [0.25, 0.75] * shape[0]}]
    return {"inputs": inputs}, {"model_name": "chat", "model_version": "7", "outputs": outputs}


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
def test_logged_inferences_arrive_with_their_answers(site: Site, structured: bool) -> None:
    rows = site.draw(6, 1)
    for name, (request, response) in {"one": v1(rows[:3]), "two": v2(rows[3:])}.items():
        assert event(site, name, "request", request, structured=structured).status_code == 202
        assert event(site, name, "response", response, structured=structured).status_code == 202
        assert event(site, name, "response", response, structured=structured).status_code == 202  # loggers repeat themselves
    metrics = site.settled()
    site.stop()

    pool = {row.id: row for row in site.pool()}
    assert sorted(pool) == ["one/0", "one/1", "one/2", "two/0", "two/1", "two/2"]
    for n, row in enumerate(pool[key] for key in sorted(pool)):
        np.testing.assert_allclose(row.embedding, rows[n], rtol=1e-2)
        assert row.output is not None
        assert (row.output.label, row.output.probabilities) == ("late", (0.25, 0.75))
    assert [pool[key].output.model_version for key in ("one/0", "two/0")] == [None, "7"]  # type: ignore[union-attr]  # seen above
    assert metrics['driftgate_samples_duplicate_total{monitor="chat"}'] == 2


def test_an_answer_finds_its_request_after_a_crash(site: Site) -> None:
    request, response = v1(site.draw(2, 1))
    event(site, "one", "request", request)
    site.settled()
    site.kill()
    site.start()
    event(site, "one", "response", response)
    site.settled()
    site.stop()
    assert [(row.id, row.output.label) for row in site.pool() if row.output] == [("one/0", "late"), ("one/1", "late")]


# --- back-pressure ---------------------------------------------------------------------------------------------------


def test_a_full_backlog_asks_to_come_back(idle: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    idle.configure(lambda document: document.update(log={"backlog_bytes": 100_000}))
    paused = threading.Event()
    paused.set()
    step = Worker.step

    def sometimes(worker: Worker, timeout: float) -> int:
        if paused.is_set():
            time.sleep(0.05)
            return 0
        return step(worker, timeout)

    monkeypatch.setattr(Worker, "step", sometimes)
    with served(load(idle.folder / "driftgate.yaml")) as serving:
        thread = threading.Thread(target=serving.run)
        thread.start()
        idle.client = httpx2.Client(base_url=serving.address, timeout=30)
        answers = [idle.send(idle.bodies(idle.draw(100, n), f"b{n}")) for n in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        accepted = [answer for answer in answers if answer.status_code == 202]
        assert len(refused) + len(accepted) == 30
        assert accepted
        assert refused
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert idle.metrics()["driftgate_ingest_backlog_bytes"] <= 100_000

        paused.clear()
        idle.settled()
        assert idle.send(idle.bodies(idle.draw(10, 99), "late")).status_code == 202
        assert idle.until(lambda: idle.get("/v1/monitors/chat")["samples"] == 100 * len(accepted) + 10)
        idle.client.close()
        serving.stop()
        thread.join(timeout=30)


# --- out and back ----------------------------------------------------------------------------------------------------


def test_alarms_and_batches_leave_signed_and_labels_come_back_signed(idle: Site, httpserver: HTTPServer) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    ours = [Secret.parse(secret)]
    arrived: dict[str, Any] = {}

    def take(request: Request) -> Response:
        body = request.get_data()
        taken = verify(ours, dict(request.headers), body, now=time.time())
        document = json.loads(body)
        assert taken not in arrived, "nothing fails, so nothing is sent twice"
        arrived[taken] = document
        return Response(status=204)

    httpserver.expect_request("/hook", method="POST").respond_with_handler(take)
    idle.environment = {"HOOK_SECRET": secret, "DRIFTGATE__WEBHOOK_SECRET": secret}
    idle.configure(lambda document: _with_hook(document, httpserver.url_for("/hook")))
    idle.start()
    idle.send(idle.bodies(idle.draw(640, 1), "calm"))
    idle.send(idle.bodies(idle.draw(960, 2, new=0.5), "drift"))

    def of(kind: str) -> Any:
        return next((document["data"] for document in arrived.values() if document["type"] == kind), None)

    alarm, batch = idle.until(lambda: of("alarm.opened")), idle.until(lambda: of("annotation.batch"))
    assert alarm["alarm"] == idle.get("/v1/alarms")["alarms"][0]["id"]
    labels = [{"id": candidate["driftgate_id"], "label": "late"} for candidate in batch["candidates"]]
    body = json.dumps({"type": "annotation.returned", "timestamp": ahead()[:19] + "Z", "data": {"batch": batch["batch"], "labels": labels}})

    now = int(time.time())
    signed = sign(ours, id="d1", timestamp=now, body=body.encode())
    stale = sign(ours, id="d1", timestamp=now - 3_600, body=body.encode())
    assert deliver(idle, body, {}).status_code in (401, 403)
    assert deliver(idle, body.replace("late", "early"), signed).status_code in (401, 403)
    assert deliver(idle, body, stale).status_code in (401, 403)
    assert idle.get("/v1/refresh")["cycles"][0]["state"] == "annotating"
    assert deliver(idle, body, signed).status_code == 202
    assert deliver(idle, body, signed).status_code == 202

    requested = idle.until(lambda: of("io.driftgate.refresh.requested") or of("refresh.requested"))
    assert batch["cycle"] in json.dumps(requested)
    assert idle.until(lambda: idle.get("/v1/refresh")["cycles"][0]["state"] == "training")
    metrics = idle.metrics()
    assert metrics['driftgate_deliveries_total{kind="alarm.opened",outcome="delivered"}'] == 1
    assert metrics['driftgate_deliveries_total{kind="refresh.requested",outcome="delivered"}'] == 1
    idle.stop()
    assert secret.removeprefix("whsec_") not in (idle.folder / "log").read_text(encoding="utf-8")


def deliver(site: Site, body: str, headers: Mapping[str, str]) -> httpx2.Response:
    return site.client.post("/v1/annotations", content=body, headers={**headers, "content-type": "application/json"})


def _with_hook(document: dict[str, Any], url: str) -> None:
    hook = {"type": "webhook", "name": "hook", "url": url, "secret_env": "HOOK_SECRET"}
    document["outbound"] = {"allow": ["127.0.0.0/8"]}
    document["destinations"] = [hook]
    document["monitors"][0] |= {
        "notify": ["hook"],
        "annotation": {"destination": "hook", "budget": 20},
        "selection": {"rounds": 1, "challenge": 5},
        "refresh": {"destination": "hook", "after_samples": 200},
    }
