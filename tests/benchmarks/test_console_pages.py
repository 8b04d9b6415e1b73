"""What pages cost with much in the store, in small."""

from __future__ import annotations

import pytest

import benchmarks.console as bench


def test_every_page_is_asked_for_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RUNS": 1, "SMALL": (1, 10), "LARGE": (2, 20), "MOST": 100.0}.items():
        monkeypatch.setattr(bench, name, value)
    figures = {figure.name: figure for figure in bench.run(lambda _: None)}
    assert {
        "/console/fleet",
        "/console/alarms",
        "/console/alarms/a000000",
        "/console/monitors/m0000",
        "/console/silences",
    } <= figures.keys()
    assert [name for name, figure in figures.items() if figure.holds is False] == []
