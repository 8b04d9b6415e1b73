"""What is kept of the stream, and pools from files beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def test_what_the_stream_left_is_shown(drifted: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(drifted)
    found = desk.json("pool", "show")
    parts = {part["part"]: part for part in found["parts"]}
    assert 0 < parts["uniform"]["rows"] <= found["rows"] <= found["reserve_room"] == 4_000
    assert parts["drift"]["novelty"] >= parts["uniform"]["novelty"]
    shown = desk.run("pool", "show").stdout
    assert f"recent: {found['recent']:,} samples, every sample" in shown
    assert 0 < found["recent"] <= found["recent_room"]
    assert "pool sets: none" in shown
    assert "uniform" in shown


def test_a_pool_from_a_file_tells_how_new_it_is(drifted: Path, at: Callable[[Path], Desk]) -> None:
    desk = at(drifted)
    made = desk.json("pool", "import", "--input", "good.jsonl")
    assert (made["role"], made["novelty"]["reference"]) == ("pool", 1)
    assert made["novelty"]["new"] < 0.1
    assert "newer than 95.0 % of the reference's own rows" in desk.run("pool", "import", "--input", "good.jsonl").stdout
    assert [each["version"] for each in desk.json("pool", "show")["sets"]] == [1, 2]
    assert f"pool sets: 1 of {made['rows']} rows, 2 of {made['rows']} rows" in desk.run("pool", "show").stdout
    assert "name the samples: --input FILE" in desk.run("pool", "import", code=2).stderr
