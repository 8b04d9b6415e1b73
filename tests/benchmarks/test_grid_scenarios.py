"""What a trial promises about its rows, on the sets that need no files."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.grid import perturbations
from benchmarks.grid.scenarios import DRIFTED, WARM_UP, sessions, trial


def keys(rows: NDArray[np.float32]) -> set[bytes]:
    return {row.tobytes() for row in rows}


@pytest.mark.parametrize("name", ["synthetic", "synthetic sessions"])
def test_no_row_is_in_the_reference_and_a_stream_or_twice_in_a_stream(name: str) -> None:
    found = trial(name, 3)
    reference = keys(found.reference)
    for cell, rows in found.streams():
        assert len(keys(rows)) == len(rows), cell
        assert not keys(rows) & reference, cell
        assert cell == "null" or len(rows) <= WARM_UP + DRIFTED


def test_the_warm_up_is_traffic_without_drift_and_the_share_is_the_named_one() -> None:
    found = trial("synthetic", 4)
    ordinary = keys(found.null)
    for share in (0.05, 0.1, 0.2, 0.5):
        rows = found.cells[f"topic {share:.0%}"]
        new = np.array([row.tobytes() not in ordinary for row in rows])
        unseen = new[:WARM_UP].mean()  # the rest holds more ordinary rows than the null stream takes
        assert new[WARM_UP:].mean() == pytest.approx(share + (1 - share) * unseen, abs=0.06)


def test_a_trial_is_the_same_for_the_same_seed() -> None:
    one, two, other = (trial("synthetic", seed) for seed in (5, 5, 6))
    assert np.array_equal(one.cells["mix"], two.cells["mix"])
    assert not np.array_equal(one.null, other.null)


def test_sessions_keep_every_row_and_stay_within_a_topic() -> None:
    topic = np.repeat(np.array(["a", "b", "c"], object), 2000)
    order = sessions(topic, np.random.default_rng(0))
    assert np.array_equal(np.sort(order), np.arange(6000))
    changes = int((topic[order][1:] != topic[order][:-1]).sum())
    assert 50 < changes < 150  # 150 sessions of 40 rows, a third followed by one of the same topic


def test_slips_hit_the_stated_share_of_words_and_a_word_is_always_translated_alike() -> None:
    text = " ".join(["word"] * 2000)
    slipped = perturbations.mistyped([text], 0)[0].split()
    assert np.mean([word != "word" for word in slipped]) == pytest.approx(perturbations.TYPO_RATE, abs=0.03)
    assert len(set(perturbations.translated([text])[0].split())) == 1
    assert perturbations.mistyped(["a b c"], 0) == ["a b c"]
