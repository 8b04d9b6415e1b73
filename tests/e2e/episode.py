"""An installation that lives through everything that metrics, dashboards and alert rules speak of, scraped by a real Prometheus.

    def test_panels(episode: Episode) -> None:
        episode.prometheus.query('sum(driftgate_alarms{state="open"})')

`episode` is one process with the embedded store; `episode_of_roles` the same in three processes over Kafka and Redis. Either takes about
half a minute, once in a process of tests. What happens: calm traffic with segments and answers, late labels, a rejected and an unreadable
sample, drift and its alarm, a webhook that fails and one that is gone, candidates answered by annotators, and (`episode`) a new model that
is verified, promoted and rebased on, then drift again: an alarm stands and a cycle is open at the end. Monitor `chat` has all of that;
`mail` a refresh that is due.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from service.app import Installation, opened
from service.records import Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import load
from tests.chaos.receiver import OK, REFUSED, Inbox, receiving
from tests.e2e.classified import CLASSES, truth, write_model
from tests.e2e.roles import DIMENSION, Role, build, draw, until
from tests.servers.fixtures import StartPrometheus
from tests.servers.kafka_server import KafkaServer
from tests.servers.process import free_port
from tests.servers.prometheus_server import PrometheusServer
from tests.servers.redis_server import RedisServer

GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
LOCALES = ("de", "en")
CALM, DRIFTED = 640, 650


@dataclass(slots=True, eq=False)
class Episode:
    """A folder with its configuration, the processes that run there, and the Prometheus that scrapes them."""

    folder: Path
    roles: dict[str, Role] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    sent: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Every sample by its id."""
    prometheus: PrometheusServer = field(init=False)

    @property
    def client(self) -> httpx2.Client:
        """Of the process with the API."""
        return self.roles.get("api", self.roles.get("serve", next(iter(self.roles.values())))).client

    def start(self, role: str) -> None:
        """Where it listened before, if it did."""
        port = self.ports.setdefault(role, free_port())
        command = "controller" if role == "standby" else role
        self.roles[role] = Role(command, self.folder, len(list(self.folder.glob("*.log"))), port=port)

    def restart(self, role: str) -> None:
        """As on the day of a release."""
        assert self.roles[role].end() == 0
        self.start(role)

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def names(self) -> frozenset[str]:
        """Metrics of driftgate that Prometheus has seen so far."""
        answer = httpx2.get(f"{self.prometheus.url}/api/v1/label/__name__/values").json()["data"]
        return frozenset(name for name in answer if name.startswith("driftgate_"))

    def close(self) -> None:
        for role in self.roles.values():
            if role.process.returncode is None:
                role.end()

    # --- what happens ---------------------------------------------------------------------------------------------------

    def send(self, prefix: str, rows: NDArray[np.float32], *, version: str = "") -> None:
        """Samples with their answers, and until they are decided."""
        bodies = [
            {"id": f"{prefix}-{n}", "vector": row.tolist(), "segments": {"locale": LOCALES[n % 2]}, **_answered(label, version)}
            for n, (row, label) in enumerate(zip(rows, truth(rows), strict=True))
        ]
        self.sent |= {f"{prefix}-{n}": row for n, row in enumerate(rows)}
        assert self.client.post("/v1/monitors/chat/samples", json=bodies).status_code == 202
        until(lambda: self.get("/v1/monitors/chat")["samples"] == len(self.sent), what="samples to be taken")

    def nuisances(self) -> None:
        """A sample that is refused, one that can't be read, one that comes twice; and labels that come late."""
        refused = self.client.post("/v1/monitors/chat/samples", json=[{"id": "bad"}])
        assert refused.status_code == 422, refused.text
        event = {"ce-specversion": "1.0", "ce-id": "e1", "ce-type": "org.kubeflow.serving.inference.request", "ce-source": "/"}
        headers = {**event, "ce-inferenceservicename": "chat", "content-type": "application/json"}
        assert self.client.post("/v1/cloudevents", content=b"nonsense", headers=headers).status_code == 202
        once = next(iter(self.sent))
        self.client.post("/v1/monitors/chat/samples", json=[{"id": once, "vector": self.sent[once].tolist()}])
        self.late_labels(list(self.sent)[:200])

    def late_labels(self, names: Sequence[str]) -> None:
        """Of these samples."""
        rows = np.stack([self.sent[name] for name in names])
        labels = [{"id": name, "label": label} for name, label in zip(names, truth(rows), strict=True)]
        assert self.client.post("/v1/monitors/chat/labels", json={"labels": labels}).status_code == 200
        until(lambda: self.get("/v1/monitors/chat").get("truth"), what="labels to be told")

    def report(self) -> None:
        """Of blind spots."""
        assert self.client.post("/v1/monitors/chat/report").status_code == 202
        until(lambda: self.get("/v1/reports")["reports"], what="a report")

    def drift(self, prefix: str, rows: NDArray[np.float32], *, version: str = "") -> None:
        """Until a cycle is open and its candidates are out: portions, as a worker may take up a new reference between two of them."""
        before, end = len(self.batches()), time.monotonic() + 60
        for number in count():
            self.send(f"{prefix}-{number}", rows, version=version)
            with suppress(AssertionError):
                until(lambda: len(self.batches()) > before, seconds=8, what="a batch")
                return
            assert time.monotonic() < end, "no batch within a minute"

    def batches(self) -> Sequence[Path]:
        """Those that the annotators have, oldest first."""
        return sorted((self.folder / "vendor").glob("annotation.batch-*.jsonl"), key=lambda path: path.stat().st_mtime)

    def answer(self) -> None:
        """The annotators answer the newest batch; training is asked for."""
        lines = [json.loads(line) for line in self.batches()[-1].read_text(encoding="utf-8").splitlines()]
        rows = np.array([line["vector"] for line in lines])  # gold among them was never sent
        labels = [{"id": line["driftgate_id"], "label": label} for line, label in zip(lines, truth(rows), strict=True)]
        body = {"type": "annotation.returned", "timestamp": _now(), "data": {"batch": lines[0]["batch"], "labels": labels}}
        assert self.client.post("/v1/annotations", json=body).status_code == 202
        self.comes_to("training")

    def train(self) -> None:
        """A new model is registered, proven, promoted, production answers with it, and the worker embeds with it."""
        cycle, before = self.cycle()["id"], self.embedder()
        put = f"/v1/refresh/{cycle}/model?version=m2&classes=early&classes=late"
        assert self.client.put(put, content=(self.folder / "new.onnx").read_bytes()).status_code == 202
        self.comes_to("verified")
        assert self.client.post(f"/v1/refresh/{cycle}/promote", json={"actor": "ana"}).status_code == 200
        self.comes_to("deploying")
        self.send("served", draw(64, 5, new=0.5), version="m2")
        self.comes_to("promoted")
        until(lambda: self.embedder() != before, what="the new embedder")

    def embedder(self) -> Sequence[str]:
        """The one that the worker says it has."""
        return re.findall(r'driftgate_embedder_info\{.*monitor="chat".*\}', self.client.get("/metrics").text)

    def cycle(self) -> Mapping[str, Any]:
        newest: Mapping[str, Any] = self.get("/v1/refresh?monitor=chat")["cycles"][0]
        return newest

    def comes_to(self, state: str) -> None:
        until(lambda: self.cycle()["state"] == state, what=state)


def elsewhere(number: int, seed: int) -> NDArray[np.float32]:
    """Half of it far from all that was seen so far."""
    rows = draw(number, seed)
    rows[::2] += 3.0
    return rows


def _answered(label: str, version: str) -> Mapping[str, Any]:
    """What production answered; '' leaves that to the embedder, which tells its confidence."""
    return {"output": {"label": label, "model_version": version}} if version else {}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


# --- setting up -----------------------------------------------------------------------------------------------------------


def document(pager: Inbox, gone: Inbox) -> dict[str, Any]:
    """The configuration of one process; roles of their own need Kafka and Redis besides."""
    hook = {"type": "webhook", "secret_file": "secret"}
    return {
        "directory": "state",
        "server": {"public_url": "http://127.0.0.1:8080"},
        "outbound": {"allow": ["127.0.0.0/8"]},
        "teams": [{"name": "support"}],
        "policy": {"require": {"team": True, "notify": True}},
        "destinations": [
            {"type": "folder", "name": "vendor", "path": "vendor"},
            {**hook, "name": "pager", "url": pager.url},
            {**hook, "name": "gone", "url": gone.url},
        ],
        "monitors": [
            {
                "name": "chat",
                "team": "support",
                "embedder": {"model": "old.onnx", "input": "tensor", "threads": 1},
                "detection": {"run_length": 2_000, "pane_samples": 16},
                "classes": list(CLASSES),
                "segments": {"tags": ["locale"]},
                "kserve": {"service": "chat"},
                "truth": {"first_labels": 100},
                "notify": ["pager", "gone"],
                "annotation": {"destination": "vendor", "budget": 24, "second_opinions": 0.0, "gold_share": 0.25},
                "selection": {"rounds": 1, "challenge": 12, "audit_share": 0.0},
                "refresh": {"destination": "vendor", "after_samples": 200, "margin": 0.03, "min_freshness": 0.01, "cool_down_hours": 0.0},
            },
            {
                "name": "mail",
                "embedder": {"input": "none", "dimension": DIMENSION},
                "detection": {"run_length": 2_000, "pane_samples": 16},
                "refresh": {"automatic": False, "every_days": 30},
            },
        ],
    }


def prepare(folder: Path, configuration: Mapping[str, Any]) -> None:
    """Models, the configuration, references and data sets."""
    write_model(folder / "old.onnx", 12)
    write_model(folder / "new.onnx", 16)
    (folder / "secret").write_text(SECRET, encoding="utf-8")
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(dict(configuration)), encoding="utf-8")
    path = folder / "driftgate.yaml"
    with opened(load(path), config=path) as installation:
        _reference(installation)
        build(installation, "mail")
        embedder = installation.embedder("chat")
        for role, rows, seed in (("golden", 1_100, 77), ("train", 300, 78)):
            installation.data_sets.add("chat", role, _labelled(rows, seed), embedder, now=1.0, classes=CLASSES)  # type: ignore[arg-type]  # of both roles


def _reference(installation: Installation) -> None:
    """Some labels are not what the model says: so its confidence can be calibrated."""
    embedder, settings = installation.embedder("chat"), installation.effective("chat")
    samples = [replace(each, label=CLASSES[0]) if n % 15 == 0 else each for n, each in enumerate(_labelled(1_200, 1))]
    rows = embed_rows(samples, embedder, classes=CLASSES)
    installation.references.build(settings, rows, Origin(embedder.fingerprint, 1.0))


def _labelled(number: int, seed: int) -> list[Sample]:
    rows = draw(number, seed)
    return [
        Sample("chat", f"{seed}-{n}", float(n), row, segments={"locale": LOCALES[n % 2]}, label=label)
        for n, (row, label) in enumerate(zip(rows, truth(rows), strict=True))
    ]


def _fails_once(number: int) -> bytes:
    return REFUSED if number == 1 else OK


@pytest.fixture(scope="session")
def episode(tmp_path_factory: pytest.TempPathFactory, prometheus: StartPrometheus) -> Iterator[Episode]:
    """One process, through a whole cycle and into the next drift."""
    with ExitStack() as stack:
        pager, gone = stack.enter_context(receiving()), stack.enter_context(receiving())
        pager.mood, gone.mood = _fails_once, lambda _: GONE
        lived = Episode(tmp_path_factory.mktemp("episode"))
        prepare(lived.folder, document(pager, gone))
        stack.callback(lived.close)
        lived.start("serve")
        lived.prometheus = prometheus(targets={"driftgate": [f"127.0.0.1:{lived.ports['serve']}"]})
        lived.send("calm", draw(CALM, 1))
        lived.nuisances()
        lived.restart("serve")
        lived.drift("first", draw(DRIFTED, 2, new=0.5))
        lived.report()
        lived.answer()
        lived.train()
        lived.drift("second", elsewhere(DRIFTED, 3), version="m2")
        lived.late_labels(list(lived.sent)[-200:])
        _rest(lived)
        yield lived


@pytest.fixture(scope="session")
def episode_of_roles(
    tmp_path_factory: pytest.TempPathFactory, prometheus: StartPrometheus, kafka_broker: KafkaServer, redis_server: RedisServer
) -> Iterator[Episode]:
    """Three processes over Kafka and Redis, up to the drift and its candidates."""
    with ExitStack() as stack:
        pager, gone = stack.enter_context(receiving()), stack.enter_context(receiving())
        lived = Episode(tmp_path_factory.mktemp("roles"))
        name = lived.folder.name
        kafka_broker.create_topics({f"{name}-ingest": 1, f"{name}-letters": 1})
        topics = {"ingest_topic": f"{name}-ingest", "dead_letter_topic": f"{name}-letters"}
        shared = {
            "kafka": {"brokers": [kafka_broker.bootstrap], "group": name, "session_seconds": 6, **topics},
            "redis": {"url": redis_server.url, "prefix": name},
            "roles": {"lease_seconds": 3},
        }
        prepare(lived.folder, {**document(pager, gone), **shared})
        stack.callback(lived.close)
        for role in ("worker", "controller", "api"):
            lived.start(role)
        targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"role": role}} for role, port in lived.ports.items()]
        lived.prometheus = prometheus(targets={"driftgate": targets})
        lived.send("calm", draw(CALM, 1))
        lived.nuisances()
        lived.restart("controller")
        lived.drift("first", draw(DRIFTED, 2, new=0.5))
        lived.report()
        _rest(lived)
        yield lived


def _rest(lived: Episode) -> None:
    """A few scrapes after the last of it."""
    lived.prometheus.scraped()
    time.sleep(3.0)
