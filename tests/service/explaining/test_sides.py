"""What an alarm is told from: rows of both sides, and what any channel says of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.summarizer import Summarizer
from service.explaining.sides import Kept, Sides, known
from service.quality import learn, surface
from service.records import WHOLE, Output, Pooled
from service.reference import Reference
from tests.service.explaining.test_alarms import OPEN, pooled

if TYPE_CHECKING:
    from tests.service.conftest import World


@pytest.fixture(scope="module")
def answered(world: World) -> Reference:
    """The world's reference with texts of two lengths, and answers by the sign of the first coordinate that are mostly sure."""
    rows, rng = world.rows.embeddings, np.random.default_rng(1)
    texts = tuple("what do I owe this month" if at % 2 else "what do I owe" for at in range(len(rows)))
    gauge, quality = learn(texts, surface(texts))
    assert gauge is not None
    assert quality is not None
    predicted = np.where(rows[:, 0] > 0, "yes", "no")
    confidence = rng.uniform(0.8, 1.0, len(rows)).astype(np.float32)
    half = len(rows) // 2
    summarizer = Summarizer.fit(
        rows[:half], rows[half:], rng=rng, confidence=confidence[half:], predicted=(predicted[:half], predicted[half:]),
        quality={name: quality[half:, column] for column, name in enumerate(gauge.names)},
    )  # fmt: skip
    known = replace(world.rows, texts=texts, predicted=tuple(predicted.tolist()), confidence=confidence, quality=quality, gauge=gauge)
    return replace(world.reference, rows=known, model=replace(world.reference.model, summarizer=summarizer))


def turned(world: World) -> list[Pooled]:
    """200 samples as the reference's, then 200 with the other answer, unsure, and short."""
    kept = pooled(world, world.ordinary(400, 4), texts=("what do I owe this month", "what do I owe"))
    of = [("yes" if row.embedding[0] > 0 else "no", "no" if row.embedding[0] > 0 else "yes") for row in kept]
    ordinary = [replace(row, output=Output(right, (0.9, 0.1))) for row, (right, _) in zip(kept[:200], of, strict=False)]
    odd = [replace(row, output=Output(wrong, (0.55, 0.45)), payload="owe") for row, (_, wrong) in zip(kept[200:], of[200:], strict=True)]
    return [*ordinary, *odd]


@pytest.mark.parametrize("channel", ["prediction", "confidence", "length low"])
def test_a_channel_of_answers_or_quality_is_read_from_what_is_kept(world: World, answered: Reference, channel: str) -> None:
    sides = Sides.of(Kept.of(turned(world), replace(OPEN, window_start=1_200.0), answered), WHOLE, answered)
    values = sides.scalars(channel)
    assert values is not None
    earlier, later = values[~sides.is_reference & ~sides.is_window], values[sides.is_window]
    assert np.median(later) > 3.0 > np.median(earlier)
    assert np.median(values[sides.is_reference]) < 2.0


def test_a_norm_has_no_value_for_each_sample(world: World, answered: Reference) -> None:
    sides = Sides.of(Kept.of(turned(world), OPEN, answered), WHOLE, answered)
    assert sides.scalars("mmd") is None


def test_a_window_is_never_shorter_than_what_shows_something_nor_longer_than_is_looked_at(world: World) -> None:
    rows = pooled(world, world.ordinary(1_800, 4))
    for start, expected in ((2_790.0, 64), (2_500.0, 300), (1_000.0, 1_000)):
        kept = Kept.of(rows, replace(OPEN, window_start=start), world.reference)
        assert kept.window.sum() == expected
        assert len(kept.rows) <= 1_600
        assert kept.ago[0] == 1_799
        assert (np.diff(kept.ago) < 0).all()
        assert kept.ago[-1] == 0
    assert len(Kept.of(rows[:10], OPEN, world.reference).rows) == 10


def test_samples_of_other_partitions_are_known_by_their_time(world: World) -> None:
    rows = pooled(world, world.ordinary(64, 4))
    (pane,) = world.panes(world.ordinary(16, 4))
    elsewhere = [replace(row, partition=replace(row.partition, number=1), offset=0) for row in rows]
    assert len(known(rows, OPEN, pane)) == 16
    assert len(known(elsewhere, OPEN, pane)) == 16
