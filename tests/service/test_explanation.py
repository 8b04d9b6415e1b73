"""What was lost is measured over the whole monitor, and as far back as is known."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.alarms import Reason
from service.explanation import Recent
from service.records import (
    Alarm,
    AlarmState,
    DeadLetter,
    Family,
    Measured,
    Partition,
    Pooled,
    Rejected,
    Severity,
    Step,
)

HERE = Partition("t", "1", 0)
SHARE = Measured(0.2, 0.1, 0.3)


def taken(time: float, locale: str = "en") -> Pooled:
    return Pooled("chat", f"s{time}", time, HERE, int(time), "hello", {"locale": locale}, None, None, np.zeros(6, np.float16), 0.5, 1)


def refused(time: float) -> DeadLetter:
    return DeadLetter(HERE, int(10 * time), time, Rejected("type", "not a text", b"", monitor="chat"))


@pytest.fixture
def alarm() -> Alarm:
    """Of a quiet segment, over the seconds 1,000 to 1,100."""
    return Alarm(
        id="a1", monitor="chat", segment="locale=fr", family=Family.INPUT, reference_version=1, kind="changed mix",
        severity=Severity.WARNING, state=AlarmState.OPEN, at_sample=500, at_sequence=20, opened=1_100.0, window_samples=16,
        window_start=1_000.0, effect=SHARE, novel_share=SHARE, channel="mmd",
        history=(Step("open", Reason.DRIFT, 1_100.0),), version=1,
    )  # fmt: skip


def test_a_quiet_segment_does_not_lose_what_the_monitor_loses(alarm: Alarm) -> None:
    """A twentieth of everything, and more than the segment's own samples."""
    pool = [taken(1_000 + i / 10, "fr" if i % 100 == 0 else "en") for i in range(1_000)]
    loss = Recent(pool, [refused(1_000 + 2 * i) for i in range(50)]).loss(alarm)
    assert loss.share == pytest.approx(50 / 1_050)
    assert loss.news == 0


def test_what_is_always_lost_is_no_news(alarm: Alarm) -> None:
    pool = [taken(900 + i / 2) for i in range(400)]
    always = Recent(pool, [refused(900.0 + i) for i in range(200)], begins=900.0).loss(alarm)
    since = Recent(pool, [refused(1_000.0 + i) for i in range(100)], begins=900.0).loss(alarm)
    assert always.before == pytest.approx(1 / 3, abs=0.01)
    assert always.news == since.before == 0
    assert since.news == pytest.approx(1 / 3, abs=0.01)


def test_letters_from_before_the_kept_samples_count_for_nothing(alarm: Alarm) -> None:
    """The pool holds the window's last half."""
    pool = [taken(1_050 + i / 2) for i in range(100)]
    loss = Recent(pool, [refused(1_000.0 + i) for i in range(100)], begins=1_050.0).loss(alarm)
    assert (loss.taken, loss.refused.get("type"), loss.before) == (100, 50, 0)


def test_what_the_store_has_is_whole_from_the_later_of_both(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.explanation._LETTERS", 10)
    with closing(SqliteStore(":memory:")) as store:
        store.add_dead_letters([refused(1_000.0 + i) for i in range(20)])
        assert Recent.of(store, alarm).begins == 1_010.0
    monkeypatch.undo()
    with closing(SqliteStore(":memory:")) as store:
        assert Recent.of(store, alarm).begins == -np.inf
