"""What the outcome benchmark measures, on figures that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.outcome.outcomes import OURS, WAYS, _bars, _table
from benchmarks.outcome.refreshes import Outcome, Served, _as_head, _over_all
from service.training.heads import TrainedHead

GOOD = Outcome(Served(60, 62, 0.2, 0.6), Served(55, 57, 0.1, 0.3), 0.1, 180, 9, 0.5)


def test_bars_hold_where_they_should() -> None:
    good = [replace(GOOD, plain=replace(GOOD.plain, fall=0.2 + 0.1 * run)) for run in range(5)]
    assert [figure.holds for figure in _bars("x", good) if figure.bar] == [True] * 6
    bad = [replace(each, plain=Served(30 + run, 30, 0.9 + run / 100, 1.2)) for run, each in enumerate(good)]
    assert [figure.holds for figure in _bars("x", bad) if figure.bar] == [False] * 3 + [True] * 3


def test_ways_are_held_against_ours_pairwise() -> None:
    made = [{line: replace(GOOD, plain=replace(GOOD.plain, slice=50.0 + run)) for line in WAYS} for run in range(3)]
    for run, outcomes in enumerate(made):
        outcomes[OURS] = replace(GOOD, plain=replace(GOOD.plain, slice=60.0 + run))
    lines = _table("x", made)
    assert len(lines) == len(WAYS)
    assert "to ours -10.0 ± 0.0" in lines[1].value


def test_a_trained_head_answers_alike_among_all_classes() -> None:
    rng = np.random.default_rng(0)
    head = TrainedHead(("000", "002"), rng.standard_normal((2, 5)).astype(np.float32), np.array([0.1, 0.2], np.float32))
    rows = rng.standard_normal((20, 5)).astype(np.float32)
    wide = _as_head(_over_all(head, 4))
    assert wide.answers(rows).tolist() == [(0, 2)[place] for place in head.logits(rows).argmax(1)]
