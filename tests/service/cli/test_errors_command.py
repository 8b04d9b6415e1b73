"""`dataset errors`: labels that are worth a second look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

ROWS, WRONG = 300, 20


def test_labels_most_probably_wrong_are_listed(desk: Desk) -> None:
    rng = np.random.default_rng(1)
    topics = np.arange(ROWS) % 4
    rows = 3 * rng.standard_normal((4, 16))[topics] + rng.standard_normal((ROWS, 16))
    given = np.where(np.arange(ROWS) < WRONG, (topics + 1) % 4, topics)
    lines = [
        {"id": f"r-{at}", "vector": row.tolist(), "label": f"[bold]class {label}"}
        for at, (row, label) in enumerate(zip(rows, given, strict=True))
    ]
    (desk.folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    desk.run("dataset", "add", "--role", "train", "train.jsonl")
    found = desk.json("dataset", "errors", "--role", "train", "--budget", WRONG)
    assert {one["id"] for one in found["suspects"]} == {f"r-{at}" for at in range(WRONG)}
    assert found["rate"]["low"] < WRONG / ROWS < found["rate"]["high"]
    assert found["expected"] > WRONG / 2
    screen = desk.run("dataset", "errors", "--role", "train", "--budget", 5).stdout
    assert "[bold]class" in screen
    assert "These 5 hold about" in " ".join(screen.split())
    assert "there is none; driftgate dataset add" in " ".join(desk.run("dataset", "errors", "--role", "golden", code=2).stderr.split())
    assert desk.run("dataset", "errors", "--role", "pool", code=2).stderr
