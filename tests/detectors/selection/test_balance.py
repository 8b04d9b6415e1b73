"""What holding rows back spares and costs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.selection.balance import balance
from detectors.selection.harm import Harm


def world() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    rows = (2 * np.eye(3, 6)[labels] + rng.standard_normal((400, 6))).astype(np.float32)
    scores = np.exp(2 * rows[:, :3])
    return rows, labels, (scores / scores.sum(1, keepdims=True)).astype(np.float32)


def test_pairs_add_up_to_what_flips_foretell() -> None:
    rows, labels, said = world()
    harm = Harm.fit(rows[:200], labels[:200], said[:200])
    new, given = slice(200, 210), (labels[200:210] + 1) % 3
    right = said[:200].argmax(1) == labels[:200]
    pairs = harm.reach(rows[new], said[new], given, rows=rows[:200][right], said=said[:200][right])
    pairs = np.where(given[:, None] == labels[:200][right], 0, pairs)
    assert pairs.sum(1) == pytest.approx(harm.flips(rows[new], said[new], given), rel=0.01, abs=0.02)


def test_nothing_held_back_spares_nothing_and_more_of_it_never_less() -> None:
    rows, labels, said = world()
    harm = Harm.fit(rows[:200], labels[:200], said[:200])
    wrong, here = (labels + 1) % 3, slice(0, 200)
    found = [
        balance(harm, (rows[200:end], said[200:end], wrong[200:end]), rows=rows[here], said=said[here], truth=labels[here]).broken
        for end in (200, 204, 220)
    ]
    assert found[0] == (0.0, 0.0, 0.0)
    assert found[0].estimate < found[1].estimate < found[2].estimate
    assert all(share.low <= share.estimate <= share.high for share in found)


def test_right_labels_mend_what_the_layer_gets_wrong() -> None:
    rows, labels, said = world()
    harm = Harm.fit(rows[:200], labels[:200], said[:200])
    missed = np.flatnonzero((said.argmax(1) != labels) & (np.arange(400) >= 200))[:20]
    found = balance(harm, (rows[missed], said[missed], labels[missed]), rows=rows[:200], said=said[:200], truth=labels[:200])
    assert found.mended.estimate > 0
    assert found.rows == 200
