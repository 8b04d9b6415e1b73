"""Backfills over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.backfill import Backfills
from service.records import Backfill, BackfillState, Partition, Stretch

START = 1_772_323_200.0  # 2026-03-01T00:00:00Z


def test_a_monitors_backfills_newest_first(make_site: Any, tmp_path: Path) -> None:
    kept = Backfills(tmp_path)
    stretches = (Stretch(Partition("chats", "t1", 0), 10, 60, left_out=40), Stretch(Partition("chats", "t1", 1), 5, 25))
    first = Backfill("b1", "support", "topic chats", START, START + 3_600, 2, stretches, START, START + 9)
    second = Backfill(
        "b2", "support", "a.jsonl", None, None, 2, (), START + 1, START + 2, BackfillState.DONE, samples=7, alarms=({"id": "x"},)
    )
    site = make_site(backfills=lambda monitor: kept.of(monitor, now=START + 10))
    assert site.client.get("/v1/monitors/support/backfills").json() == {"backfills": [], "next": None}
    for backfill in (first, second):
        with kept.taken_up(backfill):
            kept.save(backfill)
    newer, older = site.client.get("/v1/monitors/support/backfills").json()["backfills"]
    assert (newer["id"], newer["state"], newer["planned"], newer["samples"], newer["alarms"]) == ("b2", "done", None, 7, [{"id": "x"}])
    assert (older["id"], older["state"], older["planned"], older["left_out"]) == ("b1", "running", 70, 40)
    assert (older["since"], older["until"]) == ("2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z")
    assert older["stretches"][0] == {"partition": "chats/t1/0", "first": 10, "end": 60, "left_out": 40}
    assert site.client.get("/v1/monitors/vectors/backfills").json() == {"backfills": [], "next": None}
    assert site.client.get("/v1/monitors/none/backfills").status_code == 404
