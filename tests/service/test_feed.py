"""Is it us? Copies, losses, gaps, lost fields and single sources are told, and ordinary delivery is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.feed import Delivery, Schema, findings, lost, news, repeated
from service.losses import LATE, RETENTION, UNMATCHED, Loss, unanswered
from service.records import Output, Partition, Pooled

ROWS = np.random.default_rng(1).standard_normal((400, 6)).astype(np.float32)


def pooled(i: int) -> Pooled:
    here = Partition("t", "1", i % 2)
    return Pooled("chat", f"s{i}", float(i), here, i, "hello", {"locale": "en"}, Output("a"), None, ROWS[i].astype(np.float16), 0.5, 1)


def told(delivery: Delivery) -> list[str]:
    return [finding.what for finding in findings(delivery, Schema({"locale": 1.0}, 1.0, {"a", "b"}))]


@pytest.fixture
def ordinary() -> Delivery:
    return Delivery([pooled(i) for i in range(200)], np.random.default_rng(2).standard_normal(200), 0.0)


def test_ordinary_delivery_is_not_told(ordinary: Delivery) -> None:
    assert told(ordinary) == []
    assert told(Delivery([], np.empty(0), 0.0)) == []


def test_what_may_be_ours_is_told(ordinary: Delivery) -> None:
    rows = ordinary.rows
    assert told(replace(ordinary, repeated=0.3)) == ["repeated samples"]
    assert told(replace(ordinary, loss=Loss({"type": 50}, 200))) == ["lost samples"]
    assert told(replace(ordinary, rows=[replace(row, segments={}) for row in rows])) == ["no tag locale"]
    assert told(replace(ordinary, rows=[replace(row, output=None) for row in rows])) == ["no output"]
    assert told(replace(ordinary, rows=[replace(row, segments={"lang": "en"}) for row in rows])) == ["no tag locale", "new tag lang"]
    assert told(replace(ordinary, rows=[replace(row, output=Output("z")) for row in rows])) == ["unknown classes"]
    assert told(replace(ordinary, rows=[*rows[:100], *(replace(row, time=row.time + 1e4) for row in rows[100:])])) == ["gap in time"]
    together = [*(replace(row, time=1.0) for row in rows[:100]), *(replace(row, time=2.0) for row in rows[100:])]
    assert told(replace(ordinary, rows=together)) == []  # two requests, a second apart
    assert told(replace(ordinary, drift=np.array([row.partition.number for row in rows], float))) == ["one source alone"]


def test_how_inputs_are_written_is_told_worst_first(ordinary: Delivery) -> None:
    beyond = {"length low": 0.4, "spelling high": 0.9, "brightness low": 0.3, "symbols high": 0.12}
    assert told(replace(ordinary, beyond=beyond)) == ["another language or spelling", "shorter texts", "brightness low"]


def test_another_version_of_the_model_is_told_where_it_answers_more_than_before(ordinary: Delivery) -> None:
    old, new = ([replace(row, output=Output("a", model_version=version)) for row in ordinary.rows] for version in ("2024-01", "2024-02"))
    assert told(replace(ordinary, rows=new, earlier=old)) == ["another model answers"]
    assert told(replace(ordinary, rows=[*old[:150], *new[150:]], earlier=old)) == ["another model answers"]
    assert told(replace(ordinary, rows=new, earlier=new)) == told(replace(ordinary, rows=new)) == []
    assert told(replace(ordinary, earlier=old)) == []


def test_copies_are_counted_beyond_the_references_own() -> None:
    storm = np.concatenate([ROWS[:50], np.repeat(ROWS[:2], 25, axis=0)])
    assert repeated(storm, ROWS) == pytest.approx(0.5)
    assert repeated(storm.astype(np.float16), ROWS) == pytest.approx(0.5)
    assert repeated(ROWS[:100], ROWS) == 0
    assert repeated(storm, np.repeat(ROWS[:100], 4, axis=0)) == pytest.approx(0.5, abs=0.01)
    assert repeated(storm, ROWS, spoilt=np.arange(100) >= 50) == 0
    assert repeated(storm, ROWS[:1].repeat(400, axis=0)) == 0


def test_what_was_refused_is_told_with_its_reason(ordinary: Delivery) -> None:
    (finding,) = findings(replace(ordinary, loss=Loss({"time": 3, "type": 47}, 200, before=0.01)), Schema({"locale": 1.0}, 1.0))
    assert (finding.share, finding.expected) == (0.2, 0.01)
    assert "`type`" in finding.advice


@pytest.mark.parametrize(
    ("loss", "share"),
    [
        (Loss({"type": 50}, 200), 0.2),
        (Loss({"type": 50}, 200, before=0.2), 0.0),
        (Loss({"type": 50}, 200, before=0.1), 0.2),
        (Loss({"type": 50}, 10_000), 0.0),
        (Loss({LATE: 50, unanswered("timeout"): 50}, 200), 0.0),
        (Loss({"type": 1}, 1), 0.0),
        (Loss(), 0.0),
    ],
)
def test_a_loss_is_news_where_there_was_less_before(loss: Loss, share: float) -> None:
    assert news(loss) == pytest.approx(share)


def test_a_topic_that_is_not_keyed_by_the_event_is_told(ordinary: Delivery) -> None:
    assert told(replace(ordinary, loss=Loss({UNMATCHED: 3}, 200))) == ["unmatched responses"]
    assert told(replace(ordinary, loss=Loss({UNMATCHED: 2}, 200))) == []


def test_each_loss_says_what_to_do() -> None:
    found = list(lost(Loss({"type": 9, RETENTION: 8, UNMATCHED: 7, LATE: 6, unanswered("timeout"): 5, "time": 1}, 82)))
    assert [finding.what for finding in found] == ["type", RETENTION, UNMATCHED, LATE, "unanswered: timeout"]
    assert len({finding.advice for finding in found}) == 5
    assert found[0].share == pytest.approx(9 / 100)
