"""The whole loop on real parts: Kafka, Redis, Label Studio and a torch training job around three processes of driftgate.

A support chat drifts; the alarm opens a cycle; candidates appear in Label Studio and are answered there, some of them wrongly; doubtful
answers go back; a model is trained, verified, promoted and deployed; the reference is rebased on it. The same traffic is quiet from then
on, and the next drift alarms again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kafka import KafkaProducer

from service.annotation import scheme_of
from service.app import Installation, opened
from service.datasets import Role as SetRole
from service.demo.grammar import pick, read
from service.demo.messages import CALM, CLEAN, DOMAINS, DRIFTED, LAUNCH, Mix
from service.demo.scene import MONITOR, Scene, first_model, labelled
from service.records import Alarm, AlarmState, AnnotationBatch, BatchState, CycleState, Purpose, RefreshCycle
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import load
from tests.e2e.roles import Role, until
from tests.servers.fixtures import StartRedis
from tests.servers.kafka_server import KafkaServer
from tests.servers.label_studio_server import LabelStudioServer
from tests.servers.process import free_port

pytest.importorskip("torch", reason="the training job needs the extra train: make e2e installs it")
pytestmark = pytest.mark.server("redis-server", "kafka", "label-studio")

SEED = 20_261
RUN_LENGTH = 20_000
WRONG, PLANTED, CAUGHT = 0.08, 10, 5
"""Share of the answers that are wrong, how many of them name a class of another domain, and how many of those must be sent back."""
BUDGET, CHALLENGE = 120, 60
NEW_MODEL = "chat-2"
STEP = 64
SETTLED = replace(DRIFTED, repeat=CALM.repeat)
AGAIN = Mix(junk=0.01, surge=0.6)
"""The second drift: hardly anything but a few known intents."""
DOMAIN: Mapping[str, str] = {intent.name: domain for domain in (*DOMAINS, LAUNCH) for intent in read(domain)}


class Annotators:
    """People in Label Studio: they answer the truth, but err now and then; a class that is missing they propose by its name."""

    def __init__(self, studio: LabelStudioServer, truth: Mapping[str, str | None]) -> None:
        self._client = studio.client()
        self._truth = truth
        self._rng = np.random.default_rng(SEED)
        self._answered: set[int] = set()
        self.wrong: set[str] = set()
        self.planted: set[str] = set()

    def answer(self, batch: AnnotationBatch, choices: Sequence[str]) -> None:
        """Whatever of the batch nobody has answered; whoever is asked for a second opinion takes care."""
        tasks = [task for task in self._tasks() if task["data"]["driftgate_batch"] == batch.id and task["id"] not in self._answered]
        wrong = {} if any(item.again for item in batch.items) else self._errors(batch)
        for task in tasks:
            sample = task["data"]["driftgate_id"]
            self._give(task["id"], wrong.get(sample, self._truth[sample]), choices)
            self._answered.add(task["id"])

    def ids(self) -> list[tuple[str, str]]:
        """(batch, our id) of every task."""
        return [(task["data"]["driftgate_batch"], task["data"]["driftgate_id"]) for task in self._tasks()]

    def close(self) -> None:
        self._client.close()

    def _errors(self, batch: AnnotationBatch) -> Mapping[str, str]:
        """8 % of the batch; of candidates as many as are still to be planted name another domain, the others a neighbouring class."""
        usable = [item for item in batch.items if self._truth[item.id] is not None]
        number = round(WRONG * len(batch.items))
        candidates = [item.id for item in usable if item.purpose is not Purpose.CHALLENGE]
        plant = self._drawn(candidates, min(PLANTED - len(self.planted), number))
        others = self._drawn([item.id for item in usable if item.id not in plant], number - len(plant))
        self.planted |= set(plant)
        self.wrong |= {*plant, *others}
        far = {name: self._other(name, near=False) for name in plant}
        return far | {name: self._other(name, near=True) for name in others}

    def _drawn(self, names: Sequence[str], count: int) -> list[str]:
        return [names[i] for i in self._rng.permutation(len(names))[:count]]

    def _other(self, sample: str, *, near: bool) -> str:
        truth = str(self._truth[sample])
        names = [name for name, domain in DOMAIN.items() if (domain == DOMAIN[truth]) is near and name != truth and domain != LAUNCH]
        return pick(names or [name for name in DOMAIN if name != truth], self._rng)

    def _give(self, task: int, label: str | None, choices: Sequence[str]) -> None:
        word = "unusable" if label is None else label
        region: dict[str, Any] = {"from_name": "label", "type": "choices", "value": {"choices": [word]}}
        if label is not None and label not in choices:
            region = {"from_name": "new_class", "type": "textarea", "value": {"text": [label]}}
        answer = self._client.post(f"/api/tasks/{task}/annotations/", json={"result": [{**region, "to_name": "sample"}]})
        assert answer.status_code == 201, answer.text

    def _tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for project in self._client.get("/api/projects", params={"page_size": 100}).json()["results"]:
            page, asked = 1, 500
            while True:
                answer = self._client.get("/api/tasks", params={"project": project["id"], "page_size": asked, "page": page})
                found += answer.json()["tasks"] if answer.status_code == 200 else []
                if answer.status_code != 200 or len(answer.json()["tasks"]) < asked:
                    break
                page += 1
        return found


class Chat:
    """The installation, its processes, and the traffic of its one monitor."""

    def __init__(self, folder: Path, servers: tuple[KafkaServer, str, str], model: tuple[Path, Sequence[str]], scene: Scene) -> None:
        self.folder, self.scene = folder, scene
        kafka, redis, studio = servers
        self.topic = f"{folder.name}-chat"
        letters = f"{folder.name}-letters"
        kafka.create_topics({self.topic: 2, letters: 1})
        self._producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
        self._port = free_port()
        self._roles: list[Role] = []
        self.sent = 0
        document = {
            "directory": "state",
            "server": {"public_url": f"http://127.0.0.1:{self._port}"},
            "kafka": {"brokers": [kafka.bootstrap], "group": folder.name, "ingest_topic": None, "dead_letter_topic": letters},
            "redis": {"url": redis, "prefix": folder.name},
            "outbound": {"allow": ["127.0.0.0/8"]},
            "destinations": [
                {"type": "label_studio", "name": "studio", "url": studio, "token_env": "STUDIO_TOKEN", "poll_seconds": 5},
                {"type": "folder", "name": "inbox", "path": "inbox"},
            ],
            "monitors": [self._monitor(*model)],
        }
        self.path = folder / "driftgate.yaml"
        self.path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def _monitor(self, model: Path, classes: Sequence[str]) -> Mapping[str, Any]:
        return {
            "name": MONITOR,
            "topic": {"name": self.topic},
            "embedder": {"model": str(model), "max_tokens": 64, "threads": 1},
            "classes": list(classes),
            "segments": {"tags": ["locale"]},
            "detection": {"run_length": RUN_LENGTH, "pane_samples": 16, "accept_supported": True},
            "annotation": {"budget": BUDGET, "price": 0.12, "destination": "studio"},
            "selection": {"rounds": 2, "challenge": CHALLENGE},
            "refresh": {"destination": "inbox", "after_samples": 1_200, "margin": 0.03, "segment_margin": 0.1},
            "pool": {"rows": 8_000},
            "notify": ["inbox"],
        }

    @contextmanager
    def opened(self) -> Iterator[Installation]:
        with opened(load(self.path), config=self.path) as installation:
            yield installation

    def prepare(self, train: Sequence[Any], now: float) -> None:
        """Data sets and a reference, as a team has them before it begins."""
        golden = self.scene.draw(1_200, start=now - 20 * 86_400, mix=CLEAN)
        ordinary = self.scene.draw(4_000, start=now - 7 * 86_400)
        sets: Mapping[SetRole, Sequence[Any]] = {"train": train, "golden": golden}
        with self.opened() as installation:
            settings, embedder = installation.effective(MONITOR), installation.embedder(MONITOR)
            for role, rows in sets.items():
                installation.data_sets.add(MONITOR, role, labelled(rows), embedder, now=now, classes=settings.classes)
            reference = embed_rows(labelled(ordinary), embedder, classes=settings.classes)
            installation.references.build(settings, reference, Origin(embedder.fingerprint, now))

    def start(self, *roles: str) -> None:
        for role in roles:
            self._roles.append(Role(role, self.folder, len(self._roles), port=self._port if role == "api" else 0))

    def stream(self, count: int, mix: Mix, *, model: str = "chat-1") -> None:
        """So many messages into the topic, and until all of them are decided."""
        for message in self.scene.draw(count, start=time.time(), mix=mix):
            body = {"id": message.id, "text": message.text, "segments": dict(message.segments), "output": {"model_version": model}}
            self._producer.send(self.topic, key=message.id.encode(), value=json.dumps(body).encode())
        self._producer.flush()
        self.sent += count
        until(self._decided, seconds=120, what="messages to be decided")

    def _decided(self) -> bool:
        done: bool = self.get(lambda it: it.store.samples_taken(MONITOR) >= self.sent and MONITOR not in it.store.undecided())
        return done

    def get(self, ask: Any) -> Any:
        with self.opened() as installation:
            return ask(installation)

    def alarms(self) -> list[Alarm]:
        """Those of the whole stream that are not resolved."""
        states = [AlarmState.OPEN, AlarmState.ACKNOWLEDGED]
        return [alarm for alarm in self.get(lambda it: it.store.find(Alarm, monitor=MONITOR, states=states)) if alarm.segment == "all"]

    def cycle(self) -> RefreshCycle | None:
        return next(iter(self.get(lambda it: it.store.find(RefreshCycle, monitor=MONITOR))), None)

    def batch(self, name: str) -> AnnotationBatch:
        batch: AnnotationBatch = self.get(lambda it: it.store.get(AnnotationBatch, name))
        return batch

    def choices(self) -> Sequence[str]:
        """What annotators choose from."""
        scheme = self.get(lambda it: scheme_of(it.store, MONITOR))
        return [each.name for each in scheme.classes]

    def command(self, *arguments: str, code: int = 0) -> str:
        program = [sys.executable, "-c", "from service.cli import main; main()", *arguments]
        done = subprocess.run(program, cwd=self.folder, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        self._producer.close()
        for role in self._roles:
            role.end()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[LabelStudioServer]:
    server = LabelStudioServer(tmp_path / "studio")
    yield server.start()
    server.kill()


@pytest.fixture
def chat(
    tmp_path: Path, kafka_broker: KafkaServer, start_redis: StartRedis, studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Chat]:
    monkeypatch.setenv("STUDIO_TOKEN", studio.token)
    folder = tmp_path / "chat"
    folder.mkdir()
    now, scene = time.time(), Scene.new(folder, seed=SEED)
    model, head, train = first_model(scene, Path(__file__).parents[2] / ".cache", now=now, progress=lambda *_: None)
    chat = Chat(folder, (kafka_broker, start_redis().url, studio.url), (model, head.classes), scene)
    chat.prepare(train, now)
    chat.start("worker", "controller", "api")
    yield chat
    chat.close()


def test_from_drift_to_a_model_proven_better_and_quiet_again(chat: Chat, studio: LabelStudioServer) -> None:
    annotators = Annotators(studio, chat.scene.truth)
    chat.stream(640, CALM)
    assert chat.alarms() == []
    cycle = drift_until_cycle(chat)

    cycle = annotate(chat, annotators, cycle)
    assert sorted(set(annotators.ids())) == sorted(annotators.ids()), "each of our ids is there once"
    batches = [chat.batch(name) for name in cycle.batches]
    again = {item.id for batch in batches for item in batch.items if item.again}
    assert len(annotators.planted) == PLANTED
    assert len(again & annotators.planted) >= CAUGHT, f"of {len(again)} that were sent back"

    assert "trained" in chat.command("train", "--cycle", cycle.id, "--version", NEW_MODEL)
    verified = found(until(lambda: moved(chat, CycleState.TRAINING, CycleState.VERIFYING), seconds=180, what="a verdict"))
    assert verified.state is CycleState.VERIFIED, verified.verification
    assert (verified.verification or {})["challenge"]["gain"]["estimate"] > 0
    chat.command("refresh", "promote", cycle.id, "--note", "looks right")
    assert found(moved(chat, CycleState.VERIFIED)).state is CycleState.DEPLOYING

    chat.stream(STEP, SETTLED, model=NEW_MODEL)
    promoted = found(until(lambda: moved(chat, CycleState.DEPLOYING), seconds=120, what="the rebase"))
    assert promoted.state is CycleState.PROMOTED, promoted.history[-1]
    assert chat.get(lambda it: it.version(MONITOR)) > cycle.reference_version

    chat.stream(RUN_LENGTH // 20, SETTLED, model=NEW_MODEL)
    assert chat.alarms() == [], "the same traffic, by the new reference"
    for _ in range(40):
        chat.stream(STEP, AGAIN, model=NEW_MODEL)
        if chat.alarms():
            break
    assert chat.alarms() != []
    annotators.close()


def drift_until_cycle(chat: Chat) -> RefreshCycle:
    """The launch goes on until the alarm has opened a cycle."""
    for _ in range(60):
        chat.stream(STEP, DRIFTED)
        if (cycle := chat.cycle()) is not None:
            assert cycle.opened_by in {alarm.id for alarm in chat.alarms()}
            return cycle
    raise AssertionError(f"no refresh cycle; alarms: {chat.alarms()}")


def annotate(chat: Chat, annotators: Annotators, cycle: RefreshCycle) -> RefreshCycle:
    """Batch for batch, second opinions among them, until training is asked for."""
    while cycle.state is CycleState.ANNOTATING:
        batch = chat.batch(cycle.batch)
        until(partial(all_there, annotators, batch), what="the tasks")
        annotators.answer(batch, chat.choices())
        until(partial(closed, chat, batch), seconds=90, what="the answers")
        cycle = found(until(partial(moved_on, chat, cycle), seconds=120, what="the next batch, or training"))
    assert cycle.state is CycleState.TRAINING, cycle.history[-1]
    return cycle


def all_there(annotators: Annotators, batch: AnnotationBatch) -> bool:
    return sum(name == batch.id for name, _ in annotators.ids()) == len(batch.items)


def closed(chat: Chat, batch: AnnotationBatch) -> bool:
    return chat.batch(batch.id).state is BatchState.CLOSED


def found(cycle: RefreshCycle | None) -> RefreshCycle:
    assert cycle is not None
    return cycle


def moved_on(chat: Chat, before: RefreshCycle) -> RefreshCycle | None:
    """The cycle with another batch, or in another state."""
    now = chat.cycle()
    return now if now is not None and (now.batch, now.state) != (before.batch, before.state) else None


def moved(chat: Chat, *past: CycleState) -> RefreshCycle | None:
    """The cycle once it is in none of these states."""
    now = chat.cycle()
    return None if now is None or now.state in past else now
