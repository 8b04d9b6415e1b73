"""Signed links opened over HTTP: by an annotator's browser, by a program, by whoever tampers with them."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from service import annotation
from service.access import Access
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.artefacts import checksum, read_manifest
from service.datasets import DataSets
from service.links import PATH, Kind
from service.records import AnnotationBatch, BatchState, Candidate, CycleState, Label, Payload, Purpose, RefreshCycle, Sample
from tests.service.api.conftest import LINKS, NOW

pytestmark = pytest.mark.long

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
NASTY = '<script>alert(1)</script>\n"quoted" & ünïcode'
EXPIRES = int(NOW + 60)


class Free(VectorEmbedder):
    """Takes any payload."""

    def check(self, payload: Payload) -> None:
        """Nothing is wrong with any."""

    def embed(self, payloads: Any) -> Any:
        return super().embed([np.full(3, i + 1, np.float32) for i, _ in enumerate(payloads)])


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    return DataSets(tmp_path)


@pytest.fixture
def keep(sets: DataSets) -> Any:
    """Keeps samples as a data set of one role."""

    def add(role: Any, label: str | None = None, **payloads: Payload) -> None:
        samples = [Sample("support", name, NOW, payload, label=label) for name, payload in payloads.items()]
        sets.add("support", role, samples, Free(3, normalize=False), now=NOW, classes=("refund", "other"))

    return add


def path(kind: Kind, *subject: str, expires: int = EXPIRES) -> str:
    url = LINKS.url(kind, *subject, expires=expires)
    assert url
    return PATH + url.rpartition("/")[2]


def store_batch(site: Any, *items: Candidate, **changes: Any) -> AnnotationBatch:
    batch = AnnotationBatch("b1", "support", "c1", 1, BatchState.SENT, items, NOW, version=1)
    site.store.save(replace(batch, **changes))
    return batch


@pytest.fixture
def shown(make_site: Any, keep: Any) -> Any:
    """A site off loopback with a batch of every kind of payload."""
    keep("pool", text=NASTY, image=PNG, vector=np.array([1, 2, 3], np.float32), other=b"<svg onload='alert(1)'/>")
    site = make_site(access=Access(loopback=False, token="a-token-of-some-length"))
    store_batch(
        site, *(Candidate(name, "novel", 0.1, "all", NASTY if name == "text" else "") for name in ("text", "image", "vector", "other"))
    )
    return site


def test_a_text_opens_as_a_page_without_a_token(shown: Any) -> None:
    answer = shown.client.get(path(Kind.SAMPLE, "b1", "text"), headers=BROWSER)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\n&quot;quoted&quot; &amp; ünïcode" in answer.text
    assert "<script" not in answer.text


def test_nothing_runs_is_kept_or_found_by_others(shown: Any) -> None:
    for name in ("text", "image", "vector", "other"):
        headers = shown.client.get(path(Kind.SAMPLE, "b1", name), headers=BROWSER).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "noindex" in headers["x-robots-tag"]
        assert headers["referrer-policy"] == "no-referrer"


def test_the_policy_allows_the_page_s_own_style(shown: Any) -> None:
    import base64
    import hashlib

    answer = shown.client.get(path(Kind.SAMPLE, "b1", "text"), headers=BROWSER)
    style = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in answer.headers["content-security-policy"]


def test_an_image_opens_as_the_image_that_it_is(shown: Any) -> None:
    answer = shown.client.get(path(Kind.SAMPLE, "b1", "image"), headers=BROWSER)

    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_what_is_no_image_is_downloaded_whatever_it_claims(shown: Any) -> None:
    answer = shown.client.get(path(Kind.SAMPLE, "b1", "other"), headers=BROWSER)

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"


def test_programs_get_the_thing_itself_or_json(shown: Any) -> None:
    def get(name: str, form: str) -> Any:
        return shown.client.get(f"{path(Kind.SAMPLE, 'b1', name)}?format={form}")

    assert get("text", "raw").text == NASTY
    assert get("text", "raw").headers["content-type"] == "text/plain; charset=utf-8"
    assert get("text", "json").json() == {"batch": "b1", "driftgate_id": "text", "text": NASTY}
    assert get("image", "raw").content == PNG
    assert get("vector", "raw").json() == [1.0, 2.0, 3.0]
    assert get("vector", "json").json() == {"batch": "b1", "driftgate_id": "vector", "vector": [1.0, 2.0, 3.0]}
    assert get("text", "xml").status_code == 422


def test_a_vector_says_that_it_is_one(shown: Any) -> None:
    assert "A vector of 3 numbers" in shown.client.get(path(Kind.SAMPLE, "b1", "vector"), headers=BROWSER).text


def test_a_link_that_opens_nothing_says_so_to_people_and_programs(shown: Any) -> None:
    cases = (
        (path(Kind.SAMPLE, "b1", "text", expires=int(NOW) - 1), 410, "link_ended"),
        (path(Kind.SAMPLE, "b1", "text")[:-1], 404, "link"),
        (PATH + "nothing", 404, "link"),
        (path(Kind.SAMPLE, "b1", "gone"), 404, "not_found"),
        (path(Kind.SAMPLE, "b2", "text"), 404, "not_found"),
        (path(Kind.BATCH, "b2"), 404, "not_found"),
        (path(Kind.TRAINING, "c2", "train=1"), 404, "not_found"),
    )
    for given, status, error in cases:
        page, document = shown.client.get(given, headers=BROWSER), shown.client.get(given)
        assert (page.status_code, document.status_code) == (status, status)
        assert "<h1>This link opens nothing</h1>" in page.text
        assert document.json()["error"] == error


def test_links_are_read_only(shown: Any) -> None:
    assert shown.client.post(path(Kind.SAMPLE, "b1", "text"), json={}).status_code in (401, 405)


def test_no_token_is_in_the_log(shown: Any) -> None:
    address = path(Kind.SAMPLE, "b1", "text")
    with capture_logs() as logs:
        statuses = [shown.client.get(each, follow_redirects=False).status_code for each in (address, f"{address}/", f"{address}/x")]
    assert statuses == [200, 307, 404]
    assert [line["path"] for line in logs] == ["/v1/links/{token}", "/v1/links/…", "/v1/links/…"]


def test_a_batch_opens_as_a_list_whose_links_open(shown: Any) -> None:
    page = shown.client.get(path(Kind.BATCH, "b1"), headers=BROWSER)
    assert "4 samples to label" in page.text
    assert "<script" not in page.text

    listed = shown.client.get(f"{path(Kind.BATCH, 'b1')}?format=json").json()
    assert {row["driftgate_id"]: row["text"] for row in listed["candidates"]} == {"text": NASTY, "image": "", "vector": "", "other": ""}
    opened = {row["driftgate_id"]: shown.client.get(PATH + row["link"].rpartition("/")[2]).status_code for row in listed["candidates"]}
    assert set(opened.values()) == {200}


def test_gold_opens_under_an_id_that_does_not_give_it_away(make_site: Any, keep: Any) -> None:
    keep("pool", asked="a question")
    keep("golden", "refund", known="its answer is known")
    site, gold = make_site(), Candidate("known", "", 0.0, "all", "its answer is known", purpose=Purpose.GOLD)
    batch = store_batch(site, Candidate("asked", "novel", 0.1, "all", "a question"), gold=(gold,))
    stored = site.store.get(AnnotationBatch, batch.id)

    texts = {site.client.get(f"{path(Kind.SAMPLE, 'b1', key)}?format=raw").text for key in annotation.items_by_shown(stored)}
    assert texts == {"a question", "its answer is known"}
    assert site.client.get(path(Kind.SAMPLE, "b1", "known")).status_code == 404


# --- data sets --------------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(make_site: Any, keep: Any) -> Any:
    keep("train", "refund", t1="one", t2=NASTY)
    keep("challenge", "other", k1="three")
    site = make_site(access=Access(loopback=False, token="a-token-of-some-length"))
    site.store.save(RefreshCycle("c1", "support", 1, "alarm", 1, CycleState.TRAINING, NOW, requested={"cycle": "c1"}, version=1))
    store_batch(site, Candidate("t1", "novel", 0.1, "all", "one"), state=BatchState.CLOSED)
    site.store.add_labels([Label("support", "b1", "t1", "refund", NOW, "ana"), Label("support", "b1", "t1", "other", NOW, "ben")])
    return site


def link(*named: str) -> str:
    return path(Kind.TRAINING, "c1", *named)


def test_data_sets_arrive_whole_with_where_labels_come_from(trained: Any, sets: DataSets, tmp_path: Path) -> None:
    answer = trained.client.get(link("train=1", "challenge=1"))

    assert answer.headers["content-type"] == "application/x-tar"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        careful: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
        tar.extractall(tmp_path / "there", **careful)  # noqa: S202 - our own archive
    there = tmp_path / "there" / "driftgate-c1"
    assert read_manifest(there / "train") == read_manifest(sets.folder("support", "train", 1))
    assert checksum(there / "challenge" / "rows.jsonl") == checksum(sets.folder("support", "challenge", 1) / "rows.jsonl")
    provenance = [json.loads(line) for line in (there / "provenance.jsonl").read_text("utf-8").splitlines()]
    assert [(row["set"], row["id"], row["label"], len(row["answers"])) for row in provenance] == [
        ("train", "t1", "refund", 2),
        ("train", "t2", "refund", 0),
        ("challenge", "k1", "other", 0),
    ]
    assert 0 < provenance[0]["probability"] < 1
    assert provenance[1]["probability"] is None
    assert {(given["annotator"], given["label"], given["batch"]) for given in provenance[0]["answers"]} == {
        ("ana", "refund", "b1"),
        ("ben", "other", "b1"),
    }
    manifest = json.loads((there / "manifest.json").read_text("utf-8"))
    assert (manifest["cycle"], manifest["classes"], manifest["request"]) == ("c1", ["refund", "other"], {"cycle": "c1"})
    assert {role: held["rows"] for role, held in manifest["sets"].items()} == {"train": 2, "challenge": 1}


def test_the_same_link_gives_the_same_bytes(trained: Any) -> None:
    assert trained.client.get(link("train=1")).content == trained.client.get(link("train=1")).content


def test_the_manifest_alone(trained: Any) -> None:
    found = trained.client.get(f"{link('train=1')}?format=json").json()
    assert found["sets"].keys() == {"train"}


def test_golden_rows_stay_here_whoever_signs_for_them(trained: Any, keep: Any) -> None:
    keep("golden", "refund", g1="never trained on")
    found = trained.client.get(f"{link('golden=1', 'train=1')}?format=json").json()
    assert found["sets"].keys() == {"train"}


def test_a_version_that_is_gone_says_so(trained: Any) -> None:
    answer = trained.client.get(link("train=7"))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_what_is_too_large_is_refused(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.parcel.MOST_BYTES", 5_000)
    assert trained.client.get(link("train=1")).status_code == 413
