"""`dataset draw`: a set to train on from a pool with noisy labels."""

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

DIMENSION, TOPICS = 16, 4
POOL, WRONG = 400, 0.3


def _rows(rng: np.random.Generator, topics: NDArray[np.int64], moved: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Around four centres, drifted ones moved along the last direction."""
    rows = 4 * np.eye(TOPICS, DIMENSION)[topics] + 0.7 * rng.standard_normal((len(topics), DIMENSION))
    rows[moved, -1] += 5
    return np.asarray(rows)


def _write(path: Path, rows: NDArray[np.float64], labels: list[str | None]) -> None:
    lines = [
        {"id": f"{path.stem}-{at}", "vector": row.tolist(), "label": label}
        for at, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


@pytest.fixture(scope="module")
def stocked(files: Path, tmp_path_factory: pytest.TempPathFactory, desk_in: Callable[[Path], Desk]) -> Path:
    """With a golden set, a pool of which half has drifted and three tenths of the labels are wrong, and a file of failures."""
    folder, rng = shutil.copytree(files, tmp_path_factory.mktemp("stocked") / "desk"), np.random.default_rng(3)
    desk = desk_in(folder)
    topics, still = rng.integers(0, TOPICS, 200), np.zeros(200, np.bool_)
    _write(folder / "golden.jsonl", _rows(rng, topics, still), [f"topic {topic}" for topic in topics])
    truth, moved = rng.integers(0, TOPICS, POOL), np.arange(POOL) % 2 == 0
    weak = np.where(rng.random(POOL) < WRONG, (truth + rng.integers(1, TOPICS, POOL)) % TOPICS, truth)
    labels: list[str | None] = [f"topic {topic}" for topic in weak]
    labels[-20:] = [None] * 20
    _write(folder / "pool.jsonl", _rows(rng, truth, moved), labels)
    failing = rng.integers(0, TOPICS, 20)
    _write(folder / "failures.jsonl", _rows(rng, failing, np.ones(20, np.bool_)), [f"topic {topic}" for topic in failing])
    (folder / "drawn_truth.json").write_text(json.dumps([f"topic {topic}" for topic in truth]), encoding="utf-8")
    desk.run("dataset", "add", "--role", "golden", "golden.jsonl")
    desk.run("dataset", "add", "--role", "pool", "pool.jsonl")
    return folder


def test_what_is_drawn_is_of_what_fails_with_the_label_believed(at: Callable[[Path], Desk], stocked: Path) -> None:
    desk = at(stocked)
    found = desk.json("dataset", "draw", "--from", "pool", "--count", 60, "--failures", "failures.jsonl", "--output", "drawn.jsonl")
    assert found["drawn"] == 60
    assert (found["labelled"], found["unlabelled"], found["failures"]) == (POOL - 20, 20, 20)
    assert abs(found["noise"] - WRONG) < 0.1
    lines = [json.loads(line) for line in (desk.folder / "drawn.jsonl").read_text(encoding="utf-8").splitlines()]
    truth = json.loads((desk.folder / "drawn_truth.json").read_text(encoding="utf-8"))
    numbers = [int(line["id"].removeprefix("pool-")) for line in lines]
    assert np.mean([number % 2 == 0 for number in numbers]) > 0.95
    assert np.mean([line["label"] == truth[number] for line, number in zip(lines, numbers, strict=True)]) > 0.95
    assert all(line["right"] >= 0.7 and line["failing"] >= 0.5 for line in lines)
    assert all(("was wrong" in line["why"]) == (line["label"] != line["weak_label"]) for line in lines)
    desk.run("dataset", "add", "--role", "train", "drawn.jsonl")
    screen = " ".join(desk.run("dataset", "draw", "--from", "pool:1", "--failures", "failures.jsonl").stdout.split())
    assert "no more are surely of what fails" in screen
    assert "nothing was written" in screen


def test_what_is_missing_is_said(at: Callable[[Path], Desk], stocked: Path) -> None:
    desk = at(stocked)

    def refused(*arguments: object) -> str:
        return " ".join(desk.run("dataset", "draw", *arguments, code=2).stderr.split())

    assert "name some with --failures FILE" in refused()
    assert "pool or pool:VERSION" in refused("--from", "train")
    assert "--output" in refused("--failures", "failures.jsonl", "--count", 5, "--output", "no/where.jsonl")
