"""What benchmarks measured last, in one document."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.figures import Figure
from benchmarks.results import figure_table, keep

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_a_benchmarks_results_take_the_place_of_those_before(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    keep("speed", "fast", NOW, file=file)
    keep("size", "### Parts\n\nsmall", NOW, file=file)
    keep("speed", "faster", NOW, file=file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# Results\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## speed", "## size"]
    assert "faster" in text
    assert "fast\n" not in text
    assert "### Parts\n\nsmall" in text


def test_results_say_how_they_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRID_STREAMS", "7")
    keep("grid in detail", "much", NOW, file=tmp_path / "RESULTS.md")
    made = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert '`GRID_STREAMS="7" python -m benchmarks grid`, 2026-03-01 12:30 UTC; ' in made


def test_a_bar_that_does_not_hold_is_seen() -> None:
    table = figure_table([Figure("delay", "9", "≤ 5", holds=False), Figure("width", "3")])
    assert table.splitlines()[2:] == ["| delay | 9 | ≤ 5 | **fails** |", "| width | 3 |  |  |"]
