"""Sets looked over from a terminal: files without a configuration, files through a monitor's model, and a monitor's own sets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.service.cli.conftest import MONITOR, draw, write_jsonl

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def write(path: Path, texts: list[str], **columns: list[Any]) -> None:
    lines = (
        {"id": f"{path.stem}-{i}", "text": text} | {name: values[i] for name, values in columns.items()} for i, text in enumerate(texts)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def sentences(n: int) -> list[str]:
    words = np.array([a + b for a in ("re", "con", "ex", "in", "per", "sub") for b in ("fund", "tract", "port", "form", "ceive")])
    return [" ".join(words[row]) for row in np.random.default_rng(0).integers(0, len(words), (n, 6))]


def by_check(document: Any) -> dict[tuple[str, str], Any]:
    return {(each["check"], each["about"]): each for each in document["checks"]}


def test_files_need_no_configuration(desk: Desk) -> None:
    (desk.folder / "driftgate.yaml").unlink()
    texts = sentences(60)
    write(desk.folder / "train.jsonl", texts, label=["a", "b"] * 30)
    write(desk.folder / "test.jsonl", [*texts[:3], texts[4].upper()], label=["a", "b", "a", "c"])
    with (desk.folder / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write("not json\n")
    document = desk.json("dataset", "check", "--train", "train.jsonl", "--golden", "test.jsonl", code=1)
    assert set(document) == {"outcome", "sets", "checks"}
    assert (document["outcome"], document["sets"]) == ("fail", {"train": 60, "golden": 4})
    checks = by_check(document)
    shared = checks["shared", "golden in train"]
    assert set(shared) == {"check", "about", "value", "warn", "fail", "says", "examples", "pairs", "title", "unit", "outcome", "todo"}
    assert shared["examples"] == ["test-0, train-0", "test-1, train-1", "test-2, train-2", "test-3, train-4"]
    assert shared["pairs"][-1] == ["test-3", "train-4"]
    assert checks["unreadable", "golden"]["examples"][0].startswith("test.jsonl, line 5: not JSON")
    assert checks["absent_classes", "golden in train"]["fail"] is None


def test_the_screen_says_what_to_do(desk: Desk) -> None:
    texts = sentences(60)
    write(desk.folder / "train.jsonl", texts, label=["a", "b"] * 30)
    write(desk.folder / "test.jsonl", texts[:3], label=["a", "b", "\x1b[31mb"])
    said = " ".join(desk.run("dataset", "check", "--train", "train.jsonl", "--golden", "test.jsonl", code=1).stdout.split())
    assert "golden in train, contents in both sets: remove the rows from training" in said
    assert "test-0, train-0" in said
    assert "pass: empty set" not in said  # those that pass are a number, so that they don't drown the others
    assert re.search(r"[1-9]\d* pass", said)
    assert "\x1b" not in said
    assert "fail: " in said


def test_warnings_end_with_one_when_asked_to(desk: Desk) -> None:
    write(desk.folder / "train.jsonl", sentences(60), label=["a"] * 55 + ["b"] * 5)
    desk.run("dataset", "check", "--train", "train.jsonl")
    desk.run("dataset", "check", "--train", "train.jsonl", "--strict", code=1)
    desk.run("dataset", "check", "--train", "train.jsonl", "--strict", "--limit", "rare_classes=1:1")
    desk.run("dataset", "check", "--train", "train.jsonl", "--classes", "a,c", code=1)


def test_a_monitors_own_sets(desk: Desk) -> None:
    assert "no data sets" in desk.run("dataset", "check", code=2).stderr
    rng = np.random.default_rng(2)
    topics = rng.integers(0, 8, 200)
    rows = draw(rng, topics)
    write_jsonl(desk.folder / "train.jsonl", rows, label=[f"topic {topic}" for topic in topics], segments=[{"locale": "de"}] * 200)
    write_jsonl(desk.folder / "test.jsonl", np.concatenate([rows[:4], draw(rng, topics[:60])]), label=[f"topic {t}" for t in topics[:64]])
    desk.run("dataset", "add", "--role", "train", "train.jsonl")
    desk.run("dataset", "add", "--role", "golden", "test.jsonl")
    document = desk.json("dataset", "check", "--monitor", MONITOR, code=1)
    assert document["sets"] == {"train": 200, "golden": 64}
    checks = by_check(document)
    assert checks["shared", "golden in train"]["value"] == 4 / 64
    assert ("empty_cells", "train") in checks
    from_files = by_check(desk.json("dataset", "check", "--monitor", MONITOR, "--train", "train.jsonl", "--golden", "test.jsonl", code=1))
    assert from_files == checks


def test_wrong_use_says_what_to_do(desk: Desk) -> None:
    assert "no check 'nonsense'" in desk.run("dataset", "check", "--train", "good.jsonl", "--limit", "nonsense=1", code=2).stderr
    assert "nowhere.jsonl: No such file" in desk.run("dataset", "check", "--train", "nowhere.jsonl", code=2).stderr
