"""Labels from files: they find the answers, and those that became wrong are an alarm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

SAMPLES, CHANGE = 1_200, 800


@pytest.fixture(scope="session")
def answering(
    referenced: Path, centres: NDArray[np.float64], desk_in: Callable[[Path], Desk], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Samples with answers have been taken; labels.jsonl says which were right: fewer of the last 400."""
    folder = shutil.copytree(referenced, tmp_path_factory.mktemp("answering") / "desk")
    rng = np.random.default_rng(3)
    topics = rng.integers(0, 8, SAMPLES)
    rows = centres[topics] + 0.5 * rng.standard_normal((SAMPLES, centres.shape[1]))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wrong = rng.random(SAMPLES) < np.where(np.arange(SAMPLES) < CHANGE, 0.1, 0.5)
    with (
        (folder / "answered.jsonl").open("w", encoding="utf-8") as samples,
        (folder / "labels.jsonl").open("w", encoding="utf-8") as labels,
    ):
        for i, (row, topic) in enumerate(zip(rows, topics, strict=True)):
            time = f"2026-03-01T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z"
            samples.write(json.dumps({"id": f"a-{i}", "time": time, "vector": row.tolist(), "output": {"label": f"topic {topic}"}}) + "\n")
            labels.write(json.dumps({"id": f"a-{i}", "label": "other" if wrong[i] else f"topic {topic}"}) + "\n")
    desk = desk_in(folder)
    desk.configure(lambda document: document["monitors"][0].update(truth={"first_labels": 400}))
    desk.play(folder / "answered.jsonl")
    return folder


def test_labels_that_say_answers_became_wrong_are_an_alarm(answering: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(answering)
    assert "no label has come yet" in desk.run("truth", "show").stdout
    added = desk.json("truth", "add", "--input", "labels.jsonl")
    assert (added["counts"], added["named"]) == ({"taken": SAMPLES}, [])
    (alarm,) = desk.json("alarm", "list")["alarms"]
    assert (alarm["family"], alarm["kind"]) == ("concept", "answers changed")
    shown = desk.json("truth", "show")["truth"]
    assert (shown["labels"], shown["alarm"]) == (SAMPLES, alarm["id"])
    assert shown["error_rate"]["low"] < shown["errors"] / SAMPLES < shown["error_rate"]["high"]
    assert alarm["id"] in desk.run("truth", "show").stdout
    assert "1,200 labels, half of them within" in desk.run("status").stdout


def test_importing_a_file_again_changes_nothing(answering: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(answering)
    desk.run("truth", "add", "--input", "labels.jsonl")
    before = desk.json("truth", "show")
    assert "1,200 known already" in desk.run("truth", "add", "--input", "labels.jsonl").stdout
    assert desk.json("truth", "show") == before


def test_what_needs_a_look_is_named(answering: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(answering)
    (desk.folder / "odd.jsonl").write_text(
        '\n{"id": "a-1", "label": "other"}\n{"id": "nobody", "label": "x"}\nno label\n', encoding="utf-8"
    )
    output = desk.run("truth", "add", "--input", "odd.jsonl").stdout
    assert "1 taken" in output
    assert "nobody" in output
    assert "odd.jsonl, line 4" in output


def test_where_no_label_finds_an_answer_the_exit_code_says_so(answering: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(answering)
    (desk.folder / "odd.jsonl").write_text('{"id": "nobody", "label": "x"}\n', encoding="utf-8")
    desk.run("truth", "add", "--input", "odd.jsonl", code=1)
    desk.run("truth", "add", "--input", "missing.jsonl", code=2)
    (desk.folder / "empty.jsonl").write_text("\n", encoding="utf-8")
    assert "empty.jsonl: no labels in it; one JSON object per line" in desk.run("truth", "add", "--input", "empty.jsonl", code=2).stderr


def test_a_line_that_is_too_long_is_one_label(answering: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(answering)
    long = json.dumps({"id": "x" * 250_000, "label": "other"})
    (desk.folder / "odd.jsonl").write_text(f'{long}\n{{"id": "a-1", "label": "other"}}\n', encoding="utf-8")
    found = desk.json("truth", "add", "--input", "odd.jsonl")
    assert found["counts"] == {"taken": 1, "malformed": 1}
    assert found["named"][0]["message"].startswith("longer than 100,000 bytes")
