"""A cycle of several rounds over a real process that is killed between them: each batch goes out once, answers are files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.adapters.sqlite import SqliteStore
from service.app import STORE
from service.records import AnnotationBatch, BatchState, CycleState, RefreshCycle

if TYPE_CHECKING:
    from tests.e2e.conftest import Site


def in_rounds(document: dict[str, Any]) -> None:
    document["destinations"] = [{"type": "folder", "name": "inbox", "path": "inbox"}]
    document["monitors"][0] |= {
        "annotation": {"destination": "inbox", "budget": 24, "price": 0.5, "second_opinions": 0.0},
        "selection": {"rounds": 3, "challenge": 5, "period_cost": 12.0},
        "refresh": {"destination": "inbox", "after_samples": 200},
    }


def files(site: Site) -> list[Path]:
    return sorted((site.folder / "inbox").glob("annotation.batch-*.jsonl"), key=lambda path: path.stat().st_mtime)


def answered(path: Path) -> Path:
    """With a label on each line."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    target = path.parent.parent / path.name
    target.write_text("".join(json.dumps({**line, "label": "late", "annotator": "ana"}) + "\n" for line in lines), encoding="utf-8")
    return target


def command(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from service.cli import main; main()", *arguments]
    return subprocess.run(line, cwd=site.folder, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=False)


def stored(site: Site) -> tuple[RefreshCycle, list[AnnotationBatch]]:
    with closing(SqliteStore(site.folder / "state" / STORE)) as store:
        (cycle,) = store.find(RefreshCycle)
        return cycle, [store.get(AnnotationBatch, name) for name in cycle.batches]


def test_rounds_survive_kill_9_and_end_when_the_money_of_the_period_is_spent(idle: Site) -> None:
    idle.configure(in_rounds)
    idle.start()
    idle.send(idle.bodies(idle.draw(640, 1), "calm"))
    idle.send(idle.bodies(idle.draw(650, 2, new=0.5), "drift"))
    idle.until(lambda: len(files(idle)) == 1)
    lines = [json.loads(line) for line in files(idle)[0].read_text(encoding="utf-8").splitlines()]
    labels = [{"id": line["driftgate_id"], "label": "late"} for line in lines]
    body = {"type": "annotation.returned", "timestamp": "2026-11-21T21:00:00Z", "data": {"batch": lines[0]["batch"], "labels": labels}}
    assert idle.client.post("/v1/annotations", json=body).status_code == 202
    idle.kill()

    idle.start()
    idle.until(lambda: len(files(idle)) == 2)
    idle.stop()
    for number in (2, 3):
        newest = stored(idle)[1][-1]
        assert (newest.round, newest.state) == (number, BatchState.SENT)
        if number == 3:
            idle.start()
            idle.until(lambda: len(files(idle)) == 3)
            idle.stop()
        assert "is closed" in command(idle, "annotation", "import", str(answered(files(idle)[-1]))).stdout

    cycle, batches = stored(idle)
    assert (cycle.state, [batch.round for batch in batches]) == (CycleState.TRAINING, [1, 2, 3])
    assert len({item.id for batch in batches for item in batch.items}) == sum(len(batch.items) for batch in batches) == 24
    assert all(batch.id in path.read_text(encoding="utf-8") for path, batch in zip(files(idle), batches, strict=True))
    reached = "limit of money per 30 days is reached (12 of 12 spent); raise selection.period_cost"
    assert reached in command(idle, "candidates", "--monitor", "chat").stdout
    assert command(idle, "refresh", "cancel", cycle.id).returncode == 0  # one is open at a time
    refused = command(idle, "refresh", "start", "--monitor", "chat")
    assert (refused.returncode, reached in refused.stderr) == (2, True)
