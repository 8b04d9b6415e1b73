"""A whole cycle over a real process that is killed after each step that can be seen from outside: a vendor, a training job and a pager
that know what they have seen see each effect once, and the new model serves in the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from service.adapters.sqlite import SqliteStore
from service.app import STORE, opened
from service.records import AnnotationBatch, CycleState, RefreshCycle, Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import load
from tests.chaos.receiver import Inbox, receiving
from tests.e2e.classified import CLASSES, truth, write_model
from tests.e2e.conftest import Site, draw

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


def document(job: Inbox, pager: Inbox) -> dict[str, Any]:
    hook = {"type": "webhook", "secret_env": "HOOK_SECRET"}
    return {
        "directory": "state",
        "server": {"port": 0},
        "outbound": {"allow": ["127.0.0.0/8"]},
        "destinations": [
            {"type": "folder", "name": "vendor", "path": "vendor"},
            {**hook, "name": "job", "url": job.url},
            {**hook, "name": "pager", "url": pager.url},
        ],
        "monitors": [
            {
                "name": "chat",
                "embedder": {"model": "old.onnx", "input": "tensor", "threads": 1},
                "detection": {"run_length": 2_000, "pane_samples": 16},
                "classes": list(CLASSES),
                "notify": ["pager"],
                "annotation": {"destination": "vendor", "budget": 24, "second_opinions": 0.0},
                "selection": {"rounds": 2, "challenge": 24, "audit_share": 0.0},
                "refresh": {"destination": "job", "after_samples": 200, "margin": 0.03},
            }
        ],
    }


@pytest.fixture
def outside() -> Iterator[tuple[Inbox, Inbox]]:
    """A training job and a pager."""
    with receiving() as job, receiving() as pager:
        yield job, pager


@pytest.fixture
def running(tmp_path: Path, outside: tuple[Inbox, Inbox]) -> Iterator[Site]:
    """With a reference and a golden set, started."""
    write_model(tmp_path / "old.onnx", 12)
    write_model(tmp_path / "new.onnx", 16)
    (tmp_path / "driftgate.yaml").write_text(yaml.safe_dump(document(*outside)), encoding="utf-8")
    with opened(load(tmp_path / "driftgate.yaml")) as installation:
        embedder, settings = installation.embedder("chat"), installation.settings.monitor("chat")
        rows = embed_rows([Sample("chat", f"r{i}", float(i), row) for i, row in enumerate(draw(1_200, 1))], embedder, classes=CLASSES)
        installation.references.build(settings, rows, Origin(embedder.fingerprint, 1.0))
        vectors = draw(1_100, 77)
        golden = [
            Sample("chat", f"g{i}", 1.0, row, label=label) for i, (row, label) in enumerate(zip(vectors, truth(vectors), strict=True))
        ]
        installation.data_sets.add("chat", "golden", golden, embedder, now=1.0, classes=CLASSES)
    site = Site(tmp_path)
    site.environment = {"HOOK_SECRET": SECRET}
    site.start()
    yield site
    site.kill()
    site.client.close()


def again(site: Site) -> None:
    """Killed without a warning, and started anew."""
    site.kill()
    site.start()


def cycles(site: Site) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = site.get("/v1/refresh")["cycles"]
    return found


def comes_to(site: Site, state: CycleState) -> Mapping[str, Any]:
    return site.until(lambda: next((cycle for cycle in cycles(site) if cycle["state"] == state), None))


def batch_of_round(site: Site, number: int) -> Sequence[Mapping[str, Any]]:
    """As the vendor got it."""
    folder = site.folder / "vendor"
    paths = site.until(lambda: found if len(found := sorted(folder.glob("annotation.batch-*.jsonl"), key=_age)) == number else [])
    return [json.loads(line) for line in paths[-1].read_text(encoding="utf-8").splitlines()]


def _age(path: Path) -> float:
    return path.stat().st_mtime


def answer(site: Site, lines: Sequence[Mapping[str, Any]], sent: Mapping[str, NDArray[np.float32]]) -> None:
    rows = np.stack([sent[line["driftgate_id"]] for line in lines])
    labels = [{"id": line["driftgate_id"], "label": label} for line, label in zip(lines, truth(rows), strict=True)]
    body = {"type": "annotation.returned", "timestamp": "2026-11-21T21:00:00Z", "data": {"batch": lines[0]["batch"], "labels": labels}}
    assert site.client.post("/v1/annotations", json=body).status_code == 202


def received(inbox: Inbox) -> Counter[str]:
    """Kinds of what came, each id once; a repetition has the same body."""
    bodies: dict[str, bytes] = {}
    for name, body in inbox.deliveries:
        assert bodies.setdefault(name, body) == body
    return Counter(json.loads(body)["type"] for body in bodies.values())


def test_a_cycle_survives_kill_9_after_each_of_its_steps(running: Site, outside: tuple[Inbox, Inbox]) -> None:
    site, (job, pager) = running, outside
    calm, drifted = draw(640, 1), draw(650, 2, new=0.5)
    sent = {f"{name}-{i}": row for name, rows in (("calm", calm), ("drift", drifted)) for i, row in enumerate(rows)}
    site.send(site.bodies(calm, "calm"))
    site.send(site.bodies(drifted, "drift"))

    first = batch_of_round(site, 1)
    again(site)
    answer(site, first, sent)
    again(site)  # the labels were acknowledged, perhaps not worked on
    second = batch_of_round(site, 2)
    again(site)
    answer(site, second, sent)
    again(site)
    cycle = comes_to(site, CycleState.TRAINING)
    again(site)
    site.until(lambda: received(job)["refresh.requested"])
    again(site)

    put = f"/v1/refresh/{cycle['id']}/model?version=m2&classes=early&classes=late"
    model = (site.folder / "new.onnx").read_bytes()
    assert site.client.put(put, content=model).status_code == 202
    again(site)
    comes_to(site, CycleState.VERIFIED)
    again(site)
    site.until(lambda: received(pager)["refresh.approval"])  # nobody is told of a wait that is over
    assert site.client.post(f"/v1/refresh/{cycle['id']}/promote", json={"actor": "ana"}).status_code == 200
    again(site)
    comes_to(site, CycleState.DEPLOYING)
    served = [{**body, "output": {"label": "late", "model_version": "m2"}} for body in site.bodies(draw(64, 5, new=0.5), "served")]
    site.send(served)
    again(site)
    comes_to(site, CycleState.PROMOTED)
    again(site)
    site.until(lambda: received(pager)["refresh.ended"])
    site.stop()

    with closing(SqliteStore(site.folder / "state" / STORE)) as store:
        (stored,) = store.find(RefreshCycle)
        batches = [store.get(AnnotationBatch, name) for name in stored.batches]
    assert [batch.round for batch in batches] == [1, 2]
    assert len({item.id for batch in batches for item in batch.items}) == len(first) + len(second) == 48
    assert [step.state for step in stored.history if step.state != "annotating"][-1] == CycleState.PROMOTED
    assert sorted(received(job)) == ["refresh.promoted", "refresh.requested", "refresh.verified"]
    assert set(received(job).values()) == {1}
    told = received(pager)
    assert {kind: told[kind] for kind in told if kind.startswith("refresh.")} == {
        "refresh.opened": 1, "refresh.verdict": 1, "refresh.approval": 1, "refresh.ended": 1,
    }  # fmt: skip
    with opened(load(site.folder / "driftgate.yaml")) as installation:
        assert installation.version("chat") == 2
        roles = Counter(str(each["role"]) for each in installation.data_sets.versions("chat"))
        assert (roles["train"], roles["challenge"]) == (1, 1)
