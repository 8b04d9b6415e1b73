"""New models over HTTP: taken in whole or refused in words, and what people say of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service import refresh
from service.records import Artefact, CycleState, RefreshCycle
from tests.service.api.conftest import NOW, Site

pytestmark = pytest.mark.long

CONTENT = b"pretends to be a model"
MODEL = Artefact("models/support/c/x/model.onnx", "ab" * 32, ("a", "b"), "m2", NOW)


@pytest.fixture
def cycle(site: Site) -> Callable[..., RefreshCycle]:
    def make(state: CycleState = CycleState.TRAINING, **changes: Any) -> RefreshCycle:
        made = refresh.opened(refresh.Opening("support", 1, "request"), now=NOW)
        cycle = replace(made, state=state, **changes)
        site.store.save(cycle)
        return cycle

    return make


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_a_model_is_uploaded_once_however_often_it_comes(site: Site, cycle: Callable[..., RefreshCycle], tmp_path: Path) -> None:
    path = f"/v1/refresh/{cycle().id}/model?version=m2&classes=a&classes=b&uri=s3://bucket/m2"
    checksum = hashlib.sha256(CONTENT).hexdigest()
    first = site.client.put(path, content=CONTENT, headers={"x-checksum-sha256": checksum.upper()})
    assert first.status_code == 202
    body = first.json()
    assert (body["state"], body["history"][-1]["actor"]) == ("verifying", "trainer")
    assert {name: body["model"][name] for name in ("checksum", "classes", "version", "uri")} == {
        "checksum": checksum, "classes": ["a", "b"], "version": "m2", "uri": "s3://bucket/m2",
    }  # fmt: skip
    kept = tmp_path / body["model"]["path"]
    assert kept.read_bytes() == CONTENT
    assert kept.parent.name == checksum[:12]
    assert site.client.put(path, content=CONTENT).json() == body
    assert not list((tmp_path / "models" / ".incoming").iterdir())


def test_the_model_of_a_cycle_is_given_out_as_one_file(site: Site, cycle: Callable[..., RefreshCycle]) -> None:
    path = f"/v1/refresh/{cycle().id}/model"
    answer = site.client.get(path)
    assert (answer.status_code, "has no model" in answer.json()["message"]) == (404, True)
    site.client.put(f"{path}?version=m2", content=CONTENT)
    given = site.client.get(path)
    assert (given.content, given.headers["x-model-sha256"]) == (CONTENT, hashlib.sha256(CONTENT).hexdigest())
    archive = packed({"net.onnx": CONTENT, "net.onnx.data": b"weights", "run.json": b"{}"})
    site.client.put(f"{path}?version=m3", content=archive)
    with tarfile.open(fileobj=io.BytesIO(site.client.get(path).content)) as found:
        assert found.getnames() == ["net.onnx", "net.onnx.data"]


def test_an_archive_brings_all_that_belongs_to_a_model(site: Site, cycle: Callable[..., RefreshCycle], tmp_path: Path) -> None:
    files = {
        "net.onnx": CONTENT, "net.onnx.data": b"weights", "tokenizer.json": b"{}", "classes.txt": b"a\nb\n", "run.json": b'{"seed": 1}',
    }  # fmt: skip
    body = site.client.put(f"/v1/refresh/{cycle().id}/model?version=m2", content=packed(files)).json()
    model = body["model"]
    assert (model["classes"], model["run"]) == (["a", "b"], {"seed": 1})
    assert model["checksum"] == hashlib.sha256(CONTENT + b"weights").hexdigest()
    kept = tmp_path / model["path"]
    assert sorted(path.name for path in kept.parent.iterdir()) == sorted(files)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"../net.onnx": CONTENT}, "no plain file at its top"),
        ({"/etc/net.onnx": CONTENT}, "no plain file at its top"),
        ({"inner/net.onnx": CONTENT}, "no plain file at its top"),
        ({".net.onnx": CONTENT}, "no plain file at its top"),
        ({"weights": b"no model"}, "one .onnx file at its top, found 0"),
        ({"a.onnx": CONTENT, "b.onnx": CONTENT}, "one .onnx file at its top, found 2"),
        ({"a.onnx": CONTENT, "run.json": b"[1]"}, "a JSON object is needed"),
        ({"a.onnx": CONTENT, "run.json": b'{"loss": NaN}'}, "NaN is no number"),
        ({"a.onnx": CONTENT, "classes.txt": b"a\na\n"}, "1 of them different"),
        ({"a.onnx": CONTENT, "classes.txt": b"\xff"}, "not UTF-8"),
        ({f"{number}.bin": b"" for number in range(101)}, "at most 100 files"),
        ({"a.onnx": bytes(60_000), "b": bytes(60_000)}, "more than 100,000 bytes"),
    ],
)
def test_an_archive_that_can_not_be_trusted_is_refused_whole(
    site: Site, cycle: Callable[..., RefreshCycle], tmp_path: Path, files: Mapping[str, bytes], says: str
) -> None:
    before = cycle()
    answer = site.client.put(f"/v1/refresh/{before.id}/model?version=m2", content=packed(files))
    assert answer.status_code in (400, 413)
    assert answer.json()["message"].startswith("the model can't be used: ")
    assert says in answer.json()["message"]
    assert site.store.get(RefreshCycle, before.id) == before
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".incoming"]
    assert not list((tmp_path / "models" / ".incoming").iterdir())


def test_links_and_devices_in_an_archive_are_refused(site: Site, cycle: Callable[..., RefreshCycle]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("net.onnx")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    answer = site.client.put(f"/v1/refresh/{cycle().id}/model?version=m2", content=buffer.getvalue())
    assert "no plain file at its top" in answer.json()["message"]


def test_an_archive_that_was_cut_off_is_refused(site: Site, cycle: Callable[..., RefreshCycle]) -> None:
    whole = packed({"net.onnx": bytes(20_000)})
    answer = site.client.put(f"/v1/refresh/{cycle().id}/model?version=m2", content=whole[:9_000])
    assert answer.status_code == 400
    assert "send it again" in answer.json()["message"]


@pytest.mark.parametrize(
    ("query", "headers", "status", "says"),
    [
        ("version=m2", {"x-checksum-sha256": "00" * 32}, 400, "send it again, whole"),
        ("version=m2", {"x-checksum-sha256": "short"}, 422, "x-checksum-sha256"),
        ("", {}, 422, "version"),
        ("version=a%20b", {}, 400, "without spaces"),
        ("version=m2&classes=a&classes=a", {}, 400, "1 of them different"),
    ],
)
def test_what_is_said_of_a_model_is_checked(
    site: Site, cycle: Callable[..., RefreshCycle], query: str, headers: dict[str, str], status: int, says: str
) -> None:
    before = cycle()
    answer = site.client.put(f"/v1/refresh/{before.id}/model?{query}", content=CONTENT, headers=headers)
    assert (answer.status_code, says in answer.json()["message"]) == (status, True)
    assert site.store.get(RefreshCycle, before.id) == before


def test_a_model_may_be_larger_than_other_bodies_and_not_larger_than_its_own_limit(make_site: Callable[..., Site]) -> None:
    site = make_site(max_body_bytes=1_000, max_model_bytes=50_000)
    made = replace(refresh.opened(refresh.Opening("support", 1, "request"), now=NOW), state=CycleState.TRAINING)
    site.store.save(made)
    path = f"/v1/refresh/{made.id}/model?version=m2"
    assert site.client.put(path, content=bytes(50_001)).status_code == 413
    assert site.client.put(path, content=bytes(40_000)).status_code == 202
    assert site.client.post("/v1/monitors/vectors/samples", content=bytes(1_001)).status_code == 413


def test_a_model_on_the_installations_disk_is_named_by_its_path(site: Site, cycle: Callable[..., RefreshCycle], tmp_path: Path) -> None:
    (tmp_path / "trained.onnx").write_bytes(CONTENT)
    (tmp_path.parent / "outside.onnx").write_bytes(CONTENT)
    path = f"/v1/refresh/{cycle().id}/model"
    for outside in ("../outside.onnx", "/etc/passwd", "nothing.onnx", "models"):
        answer = site.client.post(path, json={"path": outside, "version": "m2"})
        assert (answer.status_code, "no file below" in answer.json()["message"]) == (400, True)
    body = site.client.post(path, json={"path": "trained.onnx", "version": "m2", "run": {"seed": 3}, "actor": "ci"}).json()
    assert (body["state"], body["model"]["run"], body["history"][-1]["actor"]) == ("verifying", {"seed": 3}, "ci")
    assert body["model"]["path"].endswith("/trained.onnx")


def test_a_model_is_taken_only_while_one_is_waited_for(site: Site, cycle: Callable[..., RefreshCycle]) -> None:
    made = cycle(CycleState.ANNOTATING)
    answer = site.client.put(f"/v1/refresh/{made.id}/model?version=m2", content=CONTENT)
    assert (answer.status_code, "after training was asked for" in answer.json()["message"]) == (409, True)
    assert site.client.put("/v1/refresh/none/model?version=m2", content=CONTENT).status_code == 404


def test_people_promote_decline_and_revert(site: Site, cycle: Callable[..., RefreshCycle]) -> None:
    made = cycle(CycleState.VERIFIED, model=MODEL, served=MODEL, verification={"verdict": "promote", "passed": True})
    act = {"actor": "ana", "note": "seen the report"}
    wrong = site.client.post(f"/v1/refresh/{made.id}/deployed", json=act)
    assert (wrong.status_code, "after its promotion" in wrong.json()["message"]) == (409, True)
    promoted = site.client.post(f"/v1/refresh/{made.id}/promote", json=act).json()
    assert (promoted["state"], promoted["history"][-1]["note"]) == ("deploying", "seen the report")
    assert site.client.post(f"/v1/refresh/{made.id}/promote", json=act).json() == promoted
    assert site.client.post(f"/v1/refresh/{made.id}/decline", json=act).status_code == 409
    deployed = site.client.post(f"/v1/refresh/{made.id}/deployed", json=act).json()
    assert deployed["history"][-1]["reason"] == "a person said that it is deployed"
    reverted = site.client.post(f"/v1/refresh/{made.id}/revert", json=act).json()
    assert reverted["state"] == "reverted"
    assert site.client.post(f"/v1/refresh/{made.id}/revert", json=act).json() == reverted


def test_a_verified_model_can_be_declined(site: Site, cycle: Callable[..., RefreshCycle]) -> None:
    made = cycle(CycleState.VERIFIED, model=MODEL, served=MODEL)
    declined = site.client.post(f"/v1/refresh/{made.id}/decline", json={"actor": "ana"}).json()
    assert (declined["state"], declined["history"][-1]["actor"]) == ("rejected", "ana")


def test_the_api_says_what_a_body_is(site: Site) -> None:
    described = site.client.get("/openapi.json").json()["paths"]["/v1/refresh/{id}/model"]["put"]
    assert "application/octet-stream" in described["requestBody"]["content"]
    assert json.dumps(described).count("x-checksum-sha256") == 1
