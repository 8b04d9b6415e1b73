"""The gate keeps its promise: a model that is worse by just the margin is promoted no oftener than it says, one as good as the old one
mostly is at the rows that the gate states, and below them nothing is decided."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from detectors.comparison import Comparison
from detectors.noninferiority import NonInferiority, noninferior_rows
from service.verifying.answers import Answers
from service.verifying.checks import challenge_check, golden_checks
from service.verifying.gate import Gate
from service.verifying.verdict import judged, verify

RUNS = 500
MOST = int(binom.ppf(0.99, RUNS, 0.05))
BETTER = challenge_check(Comparison(50, 10, 30, negative_flips=0, positive_flips=20), {})
GATE = Gate("rows")
UNCOUNTED = Gate("rows", counted=False)


def pairs(rng: np.random.Generator, rows: int, *, accuracy: float, flips: float, difference: float) -> Comparison:
    """An old model of this accuracy and a new one, of which on a share `flips` of the rows only one is right."""
    broken, mended = (flips - difference) / 2, (flips + difference) / 2
    b, c, both, _ = rng.multinomial(rows, [broken, mended, accuracy - broken, 1 - accuracy - mended])
    return Comparison(rows, old_right=int(both + b), new_right=int(both + c), negative_flips=int(b), positive_flips=int(c))


def together(segments: Mapping[str, Comparison]) -> Comparison:
    names = ("rows", "old_right", "new_right", "negative_flips", "positive_flips")
    return Comparison(**{name: sum(getattr(each, name) for each in segments.values()) for name in names})


def verdict(segments: Mapping[str, Comparison], gate: Gate = GATE) -> str:
    listed = segments if len(segments) > 1 else {}
    return judged([*golden_checks(together(segments), listed, gate), BETTER])[0]


def share(rng: np.random.Generator, rows: int, *, gate: Gate = GATE, wanted: str = "promote", **law: float) -> int:
    """Of so many runs on the whole."""
    return sum(verdict({"all": pairs(rng, rows, **law)}, gate) == wanted for _ in range(RUNS))


def test_so_many_of_500_are_allowed() -> None:
    assert MOST == 37


@pytest.mark.parametrize("accuracy", [0.6, 0.95])
@pytest.mark.parametrize("flips", [0.012, 0.02, 0.08])
@pytest.mark.parametrize("rows", [GATE.rows_needed, 5_000])
def test_a_model_worse_by_the_margin_is_seldom_promoted(rows: int, flips: float, accuracy: float) -> None:
    rng = np.random.default_rng([rows, round(1_000 * flips), round(100 * accuracy)])
    assert share(rng, rows, accuracy=accuracy, flips=flips, difference=-0.01) <= MOST


@pytest.mark.parametrize(
    ("rows", "margin", "error"), [(99, 0.05, 0.05), (150, 0.03, 0.05), (225, 0.03, 0.05), (1_300, 0.01, 0.05), (3_000, 0.01, 0.001)]
)
def test_the_level_holds_between_the_shares_that_it_was_computed_at(rows: int, margin: float, error: float) -> None:
    test = NonInferiority.of(rows, margin=margin, error=error)
    shares = np.linspace(margin, 1.0, 301)
    assert max(test.power(float(flips), difference=-margin) for flips in shares) <= 1.004 * error


@pytest.mark.parametrize("look", [2, 3])
def test_further_looks_at_the_same_rows_are_stricter(look: int) -> None:
    gate = Gate("rows", look=look)
    promoted = share(np.random.default_rng(look), gate.rows_needed, gate=gate, accuracy=0.9, flips=0.02, difference=-0.01)
    assert promoted <= binom.ppf(0.99, RUNS, gate.spent)


@pytest.mark.parametrize("worse", ["all", "small"])
def test_a_segment_worse_by_its_margin_is_seldom_promoted(worse: str) -> None:
    """Though the others make up for it."""
    rng = np.random.default_rng(len(worse))
    rows = {"tag=large": 1_500, "tag=small": 400, "tag=rest": 1_000}
    fallen = {name: -0.03 if worse in {"all", name.removeprefix("tag=")} else 0.01 for name in rows}
    drawn = (
        {name: pairs(rng, count, accuracy=0.9, flips=0.04, difference=fallen[name]) for name, count in rows.items()} for _ in range(RUNS)
    )
    assert sum(verdict(segments) == "promote" for segments in drawn) <= MOST


@pytest.mark.parametrize("flips", [0.005, 0.01, 0.02])
def test_a_model_as_good_as_the_old_one_passes_at_the_rows_that_are_planned(flips: float) -> None:
    rng = np.random.default_rng(round(1_000 * flips))
    assert share(rng, GATE.rows_needed, accuracy=0.9, flips=flips, difference=0.0) >= 0.75 * RUNS
    assert share(rng, GATE.rows_needed - 1, wanted="insufficient", accuracy=0.9, flips=flips, difference=0.0) == RUNS


@pytest.mark.parametrize("flips", [0.05, 0.1])
@pytest.mark.parametrize("first", [150, 1_000, 1_500])
def test_so_it_does_at_the_rows_that_are_stated_where_more_change_sides(first: int, flips: float) -> None:
    """Each pair states its own on rows that did not decide, and is judged on so many fresh ones; at a third of them nothing is decided."""
    rng = np.random.default_rng([first, round(1_000 * flips)])
    ends = []
    for _ in range(RUNS):
        (check, *_) = golden_checks(pairs(rng, first, accuracy=0.85, flips=flips, difference=0.0), {}, UNCOUNTED)
        stated = check.needed
        sizes = (stated, stated // 3)
        ends.append([verdict({"all": pairs(rng, rows, accuracy=0.85, flips=flips, difference=0.0)}) for rows in sizes])
    passed, below = (sum(end[at] == "promote" for end in ends) for at in (0, 1))
    assert passed >= 0.75 * RUNS
    assert below <= 0.1 * RUNS


def test_the_best_of_many_by_what_is_told_of_too_few_rows_passes_no_oftener() -> None:
    """Twenty models, each worse by the margin, on one row too few; whoever picks by all that is told of them picks blindly."""
    rng, rows, promoted = np.random.default_rng(3), GATE.rows_needed, 0
    for _ in range(40):
        drawn = rng.random((20, rows))
        told = [str(_on(each[:-1])) for each in drawn]
        assert len(set(told)) == 1
        promoted += _on(drawn[0])["passed"]
    assert promoted <= binom.ppf(0.99, 40, 0.05)


def _on(drawn: NDArray[np.float64]) -> dict[str, Any]:
    """2 % broken, 1 % mended."""
    old, new = (np.where(wrong, "b", "a").tolist() for wrong in ((drawn >= 0.02) & (drawn < 0.03), drawn < 0.02))
    return verify(Answers(["a"] * len(drawn), old, new), Answers(["a", "a"], ["a", "b"], ["a", "a"]), GATE)


def test_joint_power_is_what_several_gates_reach_together() -> None:
    rng = np.random.default_rng(8)
    rows = {"tag=a": 320, "tag=b": 320, "tag=c": 1_000}
    drawn = [{name: pairs(rng, count, accuracy=0.9, flips=0.02, difference=0.0) for name, count in rows.items()} for _ in range(RUNS)]
    checks = list(golden_checks(together(drawn[0]), drawn[0], GATE))
    stated = np.prod([check.power for check in checks if check.power is not None])
    reached = sum(verdict(segments) == "promote" for segments in drawn) / RUNS
    assert stated - 0.06 <= reached <= stated + 0.2


def test_rows_are_enough_for_the_power_they_are_computed_for() -> None:
    for margin, flips, error in ((0.01, 0.01, 0.05), (0.03, 0.05, 0.05), (0.02, 0.02, 0.0056)):
        rows = noninferior_rows(margin, flips=flips, error=error)
        assert 0.8 <= NonInferiority.of(rows, margin=margin, error=error).power(flips) < 0.87
