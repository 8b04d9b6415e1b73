"""A job that sees no disk of the installation: rows come as a tar, the model goes back over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

pytest.importorskip("torch")

from service import refresh
from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteStore
from service.cli.application import app
from service.datasets import DataSets
from service.errors import DeliveryError, InputError
from service.parcel import Parcels
from service.records import CycleState, Label, RefreshCycle
from service.training.choosing import Search
from service.training.job import Made, Options, train
from service.training.orders import of_download
from service.training.returning import fetch, give_back
from service.training.written import sha256
from tests.training.conftest import KNOWN, NEW, Bench


@pytest.fixture
def parcel(bench: Bench, tmp_path: Path) -> Path:
    """What the data link of a cycle's request opens: two rows were answered for it, one for an earlier one."""
    sets, embedder = DataSets(tmp_path / "site"), load_embedder(bench.settings)
    train_set = sets.add("chat", "train", bench.train, embedder, now=1e9, classes=KNOWN)
    sets.add("chat", "challenge", bench.challenge, embedder, now=1e9, classes=KNOWN)
    opening = refresh.Opening("chat", 1, "request")
    asked = {"data_sets": [train_set.cited()], "provenance": [{"batch": "b2"}]}
    cycle = RefreshCycle(opening.cycle, "chat", 1, "request", 1, CycleState.TRAINING, 1e9, batch="b2", requested=asked, version=1)
    with closing(SqliteStore(":memory:")) as store:
        store.save(cycle)
        store.add_labels([Label("chat", batch, key, NEW, 1e9) for key, batch in (("new0", "b2"), ("new1", "b2"), ("s0", "b1"))])
        packed = Parcels(store, sets).pack(cycle.id, {"train": 1, "challenge": 1})
        (tmp_path / "parcel.tar").write_bytes(b"".join(packed.pieces()))
    return tmp_path / "parcel.tar"


def test_only_the_training_set_is_unpacked(parcel: Path, bench: Bench, tmp_path: Path) -> None:
    order = of_download(parcel, tmp_path / "job", bench.settings, KNOWN)
    assert order.fresh == frozenset({"new0", "new1"})
    assert {sample.id for sample in order.samples} == {sample.id for sample in bench.train}
    assert order.fingerprint == load_embedder(bench.settings).fingerprint
    assert sorted(path.name for path in (tmp_path / "job" / "datasets" / "chat").iterdir()) == ["train"]


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 1024])
def test_what_is_no_parcel_is_said(bench: Bench, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(InputError, match="download it again"):
        of_download(tmp_path / "x.tar", tmp_path / "job", bench.settings, KNOWN)


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "a/b", ""])
def test_a_parcel_can_not_leave_its_folder(bench: Bench, tmp_path: Path, name: str) -> None:
    told = json.dumps({"monitor": name, "sets": {"train": {"version": 1}}, "request": None}).encode()
    with tarfile.open(tmp_path / "x.tar", "w:") as tar:
        for path, content in (("d/manifest.json", told), ("d/train/rows.jsonl", b"{}")):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match="download it again"):
        of_download(tmp_path / "x.tar", tmp_path / "job", bench.settings, KNOWN)
    assert not (tmp_path / "job").exists()


def test_the_link_is_fetched(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/v1/links/abc").respond_with_data(b"x" * 3_000_000)
    assert fetch(httpserver.url_for("/v1/links/abc"), tmp_path / "a" / "d.tar").stat().st_size == 3_000_000
    httpserver.expect_request("/v1/links/old").respond_with_data("gone", status=410)
    with pytest.raises(InputError, match="answers 410"):
        fetch(httpserver.url_for("/v1/links/old"), tmp_path / "d.tar")
    with pytest.raises(DeliveryError, match="can't be fetched"):
        fetch("http://127.0.0.1:9/x", tmp_path / "d.tar")


@pytest.fixture(scope="module")
def made(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Made:
    from service.training.orders import Order

    order = Order(bench.train, bench.settings, KNOWN, {"files": []}, bench.fresh)
    return train(order, Options(Search()), tmp_path_factory.mktemp("made"), load=load_embedder, now=0.0)


def test_the_model_goes_back_with_all_that_belongs_to_it(made: Made, httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/v1/refresh/c1/model", method="PUT", query_string="version=v7").respond_with_json({}, status=202)
    give_back(made, httpserver.url_for("/v1/refresh/c1/model"), "v7", token="secret")
    request, _ = httpserver.log[0]
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["X-Checksum-SHA256"] == hashlib.sha256(request.data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(request.data), mode="r:") as tar:
        assert tar.getnames() == ["model.onnx", "classes.txt", "run.json"]
        stream = tar.extractfile("model.onnx")
        assert stream is not None
        assert hashlib.sha256(stream.read()).hexdigest() == sha256(made.model)


def test_a_refusal_is_told_in_the_services_words(made: Made, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/refresh/c1/model").respond_with_json({"detail": "the cycle is cancelled"}, status=409)
    with pytest.raises(DeliveryError, match="409: the cycle is cancelled") as refused:
        give_back(made, httpserver.url_for("/v1/refresh/c1/model"), "v7", token="")
    assert not refused.value.retryable
    with pytest.raises(DeliveryError, match="can't be given back"):
        give_back(made, "http://127.0.0.1:9/v1/refresh/c1/model", "v7", token="")


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_request_says_all_that_a_job_needs(parcel: Path, bench: Bench, httpserver: HTTPServer, tmp_path: Path, wrapped: bool) -> None:
    httpserver.expect_request("/v1/links/abc").respond_with_data(parcel.read_bytes())
    httpserver.expect_request("/v1/refresh/c1/model", method="PUT").respond_with_json({}, status=202)
    content = {
        "cycle": "c1",
        "model": {"classes": list(KNOWN)},
        "data": {"url": httpserver.url_for("/v1/links/abc")},
        "return": {"url": httpserver.url_for("/v1/refresh/c1/model")},
    }
    event = {"specversion": "1.0", "data": content}
    (tmp_path / "request.json").write_text(json.dumps({"type": "refresh.requested", "data": event} if wrapped else event))
    told = str(tmp_path / "request.json") if wrapped else json.dumps(event)
    arguments = ["train", "--event", told, "--embedder", str(bench.settings.model), "--input", "tensor", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    request = next(request for request, _ in httpserver.log if request.method == "PUT")
    assert request.args["version"] == sha256(tmp_path / "out" / "model.onnx")[:12]


def test_a_request_of_another_kind_is_said(bench: Bench) -> None:
    result = CliRunner().invoke(app, ["train", "--event", '{"specversion": "1.0", "data": {}}', "--embedder", str(bench.settings.model)])
    assert result.exit_code == 2
    assert "no request for training" in result.output
