"""Label schemes and batches by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from service import annotation
from service.app import opened
from service.records import AnnotationBatch, Candidate, Purpose
from service.refresh import Opening
from service.refresh import opened as cycle_of
from service.settings import load

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


@pytest.fixture
def desk(at: Callable[[Path], Desk], files: Path) -> Desk:
    found = at(files)
    found.configure(configured)
    return found


def configured(document: dict[str, Any]) -> None:
    document["monitors"][0].update(classes=["refund", "other"], annotation={"price": 0.25, "approval": "operator"})


def propose(desk: Desk, *items: Candidate) -> AnnotationBatch:
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        name = installation.settings.monitors[0].name
        cycle = cycle_of(Opening(name, 1, "by hand"), now=time.time())
        proposed = annotation.propose(cycle, items, now=time.time())
        leaving = annotation.leaving(installation.store, proposed, installation.settings.monitors[0], now=time.time())
        installation.store.save(leaving.batch, *leaving.schemes, outbox=leaving.outbox)
        return leaving.batch


def test_a_scheme_is_written_changed_and_compared(desk: Desk) -> None:
    assert "from the monitor's classes" in desk.run("scheme", "show").stdout
    desk.run("scheme", "add", "card lost", "--alias", "lost card", "--guideline", "the card itself", "--note", "asked for")
    desk.run("scheme", "rename", "refund", "money back", "--after", 2)
    assert "made to version 2" in " ".join(desk.run("scheme", "rename", "other", "rest", "--after", 2, code=1).stderr.split())
    merged = desk.json("scheme", "merge", "card lost", "--into", "other")
    assert [(each["name"], each["aliases"]) for each in merged["classes"]] == [("money back", []), ("other", ["lost card"])]
    assert [each["number"] for each in desk.json("scheme", "list")["versions"]] == [4, 3, 2, 1]
    assert "refund → money back" in desk.run("scheme", "diff", 1, 4).stdout
    assert desk.json("scheme", "diff", 1, 2)["added"] == ["card lost"]
    assert "no version 9" in desk.run("scheme", "show", "--version", 9, code=2).stderr
    assert "no class 'nothing'" in " ".join(desk.run("scheme", "rename", "nothing", "x", code=2).stderr.split())


def test_a_scheme_goes_out_as_a_file_and_comes_back(desk: Desk) -> None:
    path = desk.folder / "scheme.yaml"
    document = yaml.safe_load(desk.run("scheme", "show", "--yaml").stdout)
    path.write_text(
        yaml.safe_dump({**document, "guideline": "read it twice", "classes": [*document["classes"], "new one"]}), encoding="utf-8"
    )
    assert "read it twice" in desk.run("scheme", "apply", path).stdout
    assert desk.json("scheme", "apply", path)["number"] == 2
    for content in ("classes: [a, A]", "classes: 3", "[", "classes: [{name: a, alias: b}]"):
        path.write_text(content, encoding="utf-8")
        desk.run("scheme", "apply", path, code=2)
    desk.run("scheme", "apply", desk.folder / "nowhere.yaml", code=2)
    assert desk.json("scheme", "show")["number"] == 2


def test_a_batch_is_looked_at_reordered_and_cancelled(desk: Desk) -> None:
    items = [
        Candidate("s0", "new", 0.1, "all", "hello \x1b[31mred"),
        Candidate("s1", "new", 0.1, "all", purpose=Purpose.EXPAND, digest="d"),
    ]
    batch = propose(desk, *items)
    assert batch.id in desk.run("annotation", "list", "--state", "proposed").stdout
    shown = desk.run("annotation", "show", batch.id).stdout
    assert "0.50 in all" in shown
    assert "waits" in shown
    assert "\x1b[31m" not in shown
    assert desk.json("annotation", "priority", batch.id, 8)["priority"] == 8
    desk.run("annotation", "priority", batch.id, "0.5", "--item", "s1")
    assert "is answered blind" in " ".join(desk.run("annotation", "priority", batch.id, "0.5", "--item", "s0", code=1).stderr.split())
    manifest = json.loads(desk.run("annotation", "show", batch.id, "--manifest").stdout)
    assert [item["payload"] for item in manifest["items"]] == ["", "d"]
    found = desk.json("annotation", "cancel", batch.id, "--note", "a false alarm")
    assert (found["state"], found["history"][-1]["note"]) == ("cancelled", "a false alarm")
    assert "no annotation batch" in desk.run("annotation", "show", "nope", code=2).stderr


def test_a_manifest_that_was_tampered_with_is_told(desk: Desk) -> None:
    batch = propose(desk, Candidate("s0", "new", 0.1, "all", digest="d"))
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        changed = annotation.cancel(batch, reason=annotation.Reason.CANCELLED, actor="ana", now=1.0)
        installation.store.save(_with_digest(changed, "another"))
    assert "it is another by now" in desk.run("annotation", "show", batch.id, "--manifest", code=1).stderr
    assert "not the one that was sealed" in " ".join(desk.run("annotation", "show", batch.id).stdout.split())


def _with_digest(batch: AnnotationBatch, digest: str) -> AnnotationBatch:
    return replace(batch, items=tuple(replace(item, digest=digest) for item in batch.items))
