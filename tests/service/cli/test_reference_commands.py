"""References from files and from the stream, and which one is in force."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.app import opened
from service.cli.pooled import Span, pooled_rows
from service.errors import InputError
from service.records import Output
from service.settings import load

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


def versions(desk: Desk) -> list[tuple[int, str]]:
    return [(found["version"], found["state"]) for found in desk.json("reference", "list")["references"]]


def test_from_files_it_comes_into_force(watching: Desk) -> None:
    assert versions(watching) == [(1, "in force")]
    shown = watching.json("reference", "show", 1)
    assert (shown["state"], shown["rows"], shown["provisional"]) == ("in force", 600, False)
    assert "supported_run_length" in watching.run("reference", "show", 1).stdout
    assert "no reference version 7" in watching.run("reference", "accept", 7, code=2).stderr
    assert "no reference version before 1" in watching.run("reference", "rollback", code=2).stderr


def test_a_bad_row_refuses_the_whole_and_is_named(desk: Desk) -> None:
    with (desk.folder / "good.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "x", "vector": [1.0, 2.0]}\n')
    assert "good.jsonl, line 601" in desk.run("reference", "build", "--input", "good.jsonl", code=2).stderr
    assert versions(desk) == []


@pytest.mark.parametrize("arguments", [[], ["--input", "good.jsonl", "--from-stream"], ["--input", "good.jsonl", "--first", "5"]])
def test_where_the_samples_come_from_must_be_clear(desk: Desk, arguments: list[str]) -> None:
    desk.run("reference", "build", *arguments, code=2)


def test_from_the_stream_it_waits_for_a_person(alarmed: Desk) -> None:
    built = alarmed.json("reference", "build", "--from-stream", "--since", "2026-03-01T00:10:00", "--until", "2026-03-01T00:20:00Z")
    assert (built["rows"], built["provisional"]) == (600, True)
    assert versions(alarmed) == [(1, "in force"), (2, "provisional")]
    assert "1500 recent samples match" in alarmed.run("reference", "build", "--from-stream", "--first", 9_000, code=2).stderr
    assert "raise pool.rows to 300000" in alarmed.run("reference", "build", "--from-stream", "--first", 300_000, code=2).stderr
    alarmed.run("reference", "accept", 2)
    assert versions(alarmed) == [(1, "kept"), (2, "in force")]
    status = alarmed.json("status")["monitors"][0]
    assert (status["reference_version"], status["state"]) == (2, "warming up")
    assert status["missing_samples"] > 0
    alarmed.run("reference", "rollback")
    assert versions(alarmed) == [(1, "in force"), (2, "provisional")]


def test_a_rebase_counts_at_once(alarmed: Desk) -> None:
    said = alarmed.run("reference", "rebase", "--since", "2026-03-01T00:10:00").stdout
    assert "reference 2 of 900 recent samples is in force" in " ".join(said.split())
    assert versions(alarmed) == [(1, "kept"), (2, "in force")]


def test_without_payloads_the_embeddings_are_taken_as_they_are(watching: Desk) -> None:
    watching.configure(lambda document: document["monitors"][0].update(pool={"keep_payloads": False}))
    watching.play(watching.folder / "traffic.jsonl")
    with opened(load(watching.folder / "driftgate.yaml")) as installation:
        rows = pooled_rows(installation, "chat", Span(first=700), lambda *_: None)
        kept = installation.store.pool("chat")
    assert rows.ids == tuple(f"traffic-{i}" for i in range(700))
    np.testing.assert_array_equal(rows.embeddings, [row.embedding for row in kept[:700]])
    watching.configure(lambda document: document["monitors"][0]["embedder"].update(normalize=True))
    with opened(load(watching.folder / "driftgate.yaml")) as installation, pytest.raises(InputError, match="another model"):
        pooled_rows(installation, "chat", Span(), lambda *_: None)


def test_a_few_samples_without_payload_are_left_out_and_the_rest_embedded(watching: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One old row must not cost the reference its texts; where most are bare, classes are still known."""
    watching.play(watching.folder / "traffic.jsonl")
    with opened(load(watching.folder / "driftgate.yaml")) as installation:
        pool = installation.store.pool("chat")
        kept = [replace(row, output=Output("yes"), payload=row.embedding.astype(np.float32)) for row in pool]
        for bare, rows in ((10, len(kept) - 10), (100, len(kept))):
            samples = [replace(row, payload=None) if at < bare else row for at, row in enumerate(kept)]
            monkeypatch.setattr(installation.store, "pool", lambda *_, rows=samples, **__: rows)
            found = pooled_rows(installation, "chat", Span(), lambda *_: None)
            assert (len(found), set(found.predicted)) == (rows, {"yes"})


def test_a_span_that_the_kept_samples_do_not_hold_is_refused(watching: Desk) -> None:
    watching.configure(lambda document: document["monitors"][0].update(pool={"rows": 500}))
    watching.play(watching.folder / "traffic.jsonl")
    said = " ".join(watching.run("reference", "build", "--from-stream", "--since", "2026-03-01T00:10:00", code=2).stderr.split())
    assert "begin at 2026-03-01T00:16:40, after --since 2026-03-01T00:10:00" in said
    assert "pool.rows 901 would hold" in said
    assert "--input FILE" in said


def test_a_reference_of_another_embedder_is_not_accepted(watching: Desk) -> None:
    watching.configure(lambda document: document["monitors"][0]["embedder"].update(dimension=17))
    assert "another embedder" in watching.run("reference", "accept", 1, code=1).stderr


def test_a_reference_that_cannot_resolve_the_tolerance_is_not_accepted(watching: Desk) -> None:
    watching.configure(lambda document: document["monitors"][0]["detection"].update(tolerance=1e-6))
    assert "detection.tolerance" in watching.run("reference", "accept", 1, code=2).stderr


def test_data_sets_have_versions(desk: Desk) -> None:
    rows = [json.loads(line) for line in (desk.folder / "good.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, kept, label in (("one", rows[:50], "a"), ("two", rows[10:60], "b")):
        (desk.folder / f"{name}.jsonl").write_text("\n".join(json.dumps({**row, "label": label}) for row in kept))
        assert desk.json("dataset", "add", "--role", "train", f"{name}.jsonl")["rows"] == 50
    assert "golden" in desk.run("dataset", "add", "--role", "golden", "--input", "one.jsonl").stdout
    listed = desk.json("dataset", "list")["data_sets"]
    assert [(found["role"], found["version"]) for found in listed] == [("train", 1), ("train", 2), ("golden", 1)]
    changed = desk.json("dataset", "diff", "--role", "train")
    assert [len(changed[what]) for what in ("added", "removed", "changed", "relabelled")] == [10, 10, 0, 40]
    assert changed["labels"] == {"a": [50, 0], "b": [0, 50]}
    assert "relabelled" in desk.run("dataset", "diff", "--role", "train", "--before", 1, "--after", 2).stdout
    assert "the first" in desk.run("dataset", "diff", "--role", "golden", code=2).stderr
    assert "no label" in desk.run("dataset", "add", "--role", "golden", "good.jsonl", code=2).stderr
