"""How much of any recent span was lost: the same whoever asks, and never older than a quarter too far."""

from __future__ import annotations

from itertools import accumulate

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Summary
from service.losses import LATE, RESPONSE, RETENTION, UNMATCHED, Loss, Losses, is_input, of_letter, unanswered
from service.records import WHOLE, Pane, PaneKey, Partition, Rejected

HERE = Partition("t", "1")


def pane(first: float, last: float, taken: int, **losses: int) -> Pane:
    summary = Summary(taken, np.zeros(1), np.zeros(1), np.zeros(2, np.int64), np.zeros(100, np.int64))
    return Pane(PaneKey("chat", WHOLE, 1, HERE, 0), 0, first, last, summary, losses=losses)


def test_what_counts_as_lost_input() -> None:
    assert is_input("type")
    assert is_input(RETENTION)
    assert not any(map(is_input, (LATE, UNMATCHED, unanswered("timeout"), "response: json")))


@pytest.mark.parametrize(
    ("rejected", "name"),
    [
        (Rejected("type", "", b""), "type"),
        (Rejected("json", "", b"", stage=RESPONSE), "response: json"),
        (Rejected(UNMATCHED, "", b"", stage="JOIN"), UNMATCHED),
    ],
)
def test_a_dead_letter_is_a_loss_by_its_reason(rejected: Rejected, name: str) -> None:
    assert of_letter(rejected) == name


def test_shares_are_of_what_came() -> None:
    loss = Loss({"type": 20, unanswered("timeout"): 30, LATE: 5, UNMATCHED: 4}, 80)
    assert (loss.lost, loss.items, loss.share) == (20, 100, 0.2)
    assert (loss.blank, loss.unmatched) == (0.5, 0.05)
    assert (loss.worst(), loss.worst(answers=True)) == ("type", "timeout")
    assert (Loss().share, Loss().blank, Loss().worst()) == (0.0, 0.0, "")


def test_a_span_is_asked_by_time() -> None:
    losses = Losses()
    for n in range(8):
        losses.add(pane(10.0 * n, 10.0 * n + 9, 90, **({"type": 10} if n >= 6 else {})))
    assert losses.over(59.0) == Loss({"type": 20}, 180, 60.0, 0.0)
    assert losses.over(69.0) == Loss({"type": 10}, 90, 70.0, 10 / 640)
    assert losses.over(1e9).taken == 90
    assert losses.total == {"type": 20}


def test_where_time_stands_still_samples_say_how_far_back() -> None:
    """Samples of a file without times are all at 0."""
    losses = Losses()
    for n in range(8):
        losses.add(pane(0.0, 0.0, 90, **({"type": 10} if n < 4 else {})))
    assert losses.over(0.0).lost == 40
    assert losses.over(0.0, samples=200) == Loss({}, 270, 0.0, 40 / 490)


def test_the_latest_window_is_long_enough_in_samples_and_in_time() -> None:
    losses = Losses()
    for n in range(20):
        losses.add(pane(10.0 * n, 10.0 * n + 9, 9, type=1))
        assert (losses.latest(100, 30.0) is None) == (n < 9)
    by_samples, by_time = losses.latest(100, 30.0), losses.latest(10, 30.0)
    assert by_samples is not None
    assert by_time is not None
    assert by_samples.items >= 100
    assert 30 <= by_time.items <= 50


STEPS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.0, 0.5, 30.0, 5_000.0])), min_size=1, max_size=200)


@given(steps=STEPS, back=st.floats(0.0, 20_000.0), cut=st.integers(0, 200))
def test_any_span_holds_what_came_since_and_not_much_more(steps: list[tuple[int, int, float]], back: float, cut: int) -> None:
    """Whatever was merged, and wherever it was stored and read again."""
    losses, times = Losses(), list(accumulate(step for _, _, step in steps))
    for n, ((taken, lost, _), time) in enumerate(zip(steps, times, strict=True)):
        losses.add(pane(time, time, taken, type=lost))
        if n == cut:
            losses = msgspec.json.decode(msgspec.json.encode(losses), type=Losses)
    since = times[-1] - back
    found = losses.over(since)
    exact = [(taken, lost) for (taken, lost, _), time in zip(steps, times, strict=True) if time > since or time == times[-1]]
    size = sum(taken + lost for taken, lost in exact)
    assert found.taken >= sum(taken for taken, _ in exact)
    assert found.lost >= sum(lost for _, lost in exact)
    assert size <= found.items <= max(1.25 * size + 80, size)
    everything = losses.over(-1.0)
    assert (everything.taken, everything.lost) == (sum(t for t, _, _ in steps), sum(m for _, m, _ in steps))


def test_a_million_samples_take_a_hundred_spans() -> None:
    losses = Losses()
    for n in range(31_250):
        losses.add(pane(float(n), float(n), 32))
    assert len(losses.spans) <= 100
    assert len(msgspec.json.encode(losses)) < 8_000
