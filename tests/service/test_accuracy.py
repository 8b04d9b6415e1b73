"""Accuracy without labels, from the reference's rows to the alarm and the status."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Summary
from service.figures import describe_status
from service.records import WHOLE, Alarm, Pane, PaneKey
from service.reference import Origin, Reference, References
from service.reference_rows import ReferenceRows
from service.reference_warnings import warnings_about
from service.streams import MonitorStreams

if TYPE_CHECKING:
    from tests.service.conftest import World


def sureness(n: int, seed: int, *, low: float) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(low, 1.0, n).astype(np.float32)


def answered(world: World) -> ReferenceRows:
    """The world's rows with the model's class and how sure it was; right as often as it said."""
    n = len(world.rows)
    sure = sureness(n, 4, low=0.8)
    right = np.random.default_rng(5).random(n) < sure
    predicted = tuple("billing" if ok else "refund" for ok in right)
    return replace(world.rows, confidence=sure, labels=("billing",) * n, predicted=predicted)


@pytest.fixture(scope="module")
def reference(world: World, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Built and read back."""
    references = References(tmp_path_factory.mktemp("accuracy"))
    references.build(world.settings, answered(world), Origin(world.embedder.fingerprint, 1_000.0))
    return References(references._directory).load("chat")


def decided(world: World, reference: Reference, *, low: float) -> tuple[MonitorStreams, list[Alarm]]:
    """640 samples on which the model is that unsure at worst; panes go through bytes, as in the store."""
    described = reference.summarizer.describe(world.ordinary(640, 1), confidence=sureness(640, 6, low=low))
    streams, alarms = MonitorStreams(world.settings, reference), list[Alarm]()
    partition = world.panes(world.ordinary(16, 1))[0].key.partition
    for n, start in enumerate(range(0, 640, 16), 1):
        summary = Summary.from_bytes(reference.summarizer.summarize(described, slice(start, start + 16)).to_bytes())
        pane = Pane(PaneKey("chat", WHOLE, 1, partition, start), start + 15, 16.0 * n, 16.0 * n + 15, summary, n)
        alarms += streams.apply(pane).alarms
    return streams, alarms


def test_an_unsure_model_is_told_to_be_less_accurate(world: World, reference: Reference) -> None:
    streams, alarms = decided(world, reference, low=0.4)
    at_alarm, found = alarms[0].accuracy, streams.streams[WHOLE].accuracy()
    assert at_alarm is not None
    assert found is not None
    assert at_alarm.window.low < 0.7 < at_alarm.window.high
    assert at_alarm.reference == found.reference
    assert found.reference.low < 0.9 < found.reference.high
    assert found.window.high < found.reference.low
    assert found.window.low < 0.7 < found.window.high
    assert found.slope.low < 1 < found.slope.high
    assert found.intercept.low < 0 < found.intercept.high
    restored = MonitorStreams(world.settings, reference)
    assert restored.restore(streams.checkpoint())
    whole = describe_status(restored)["streams"][0]
    assert whole["accuracy"] == describe_status(streams)["streams"][0]["accuracy"]
    assert whole["accuracy"]["window"]["estimate"] == pytest.approx(0.7, abs=0.1)


def test_usual_confidence_leaves_the_accuracy_where_it_was(world: World, reference: Reference) -> None:
    streams, alarms = decided(world, reference, low=0.8)
    assert not alarms
    accuracy = streams.streams[WHOLE].accuracy()
    assert accuracy is not None
    assert accuracy.window.low < accuracy.reference.estimate < accuracy.window.high


def test_accuracy_is_no_channel_of_drift(reference: Reference) -> None:
    assert reference.summarizer.accuracy is not None
    assert not any("accuracy" in channel for channel in reference.model.channels)


def test_without_labels_nothing_is_told(world: World) -> None:
    streams = MonitorStreams(world.settings, world.reference)
    for pane in world.panes(world.ordinary(160, 1)):
        streams.apply(pane)
    assert streams.streams[WHOLE].accuracy() is None
    assert describe_status(streams)["streams"][0]["accuracy"] is None


def test_too_few_labels_are_told_of(world: World) -> None:
    rows = answered(world)
    few = replace(rows, labels=(*rows.labels[:50], *([None] * (len(rows) - 50))))
    assert any(
        warning.startswith("50 rows with confidence, class and label are too few") for warning in warnings_about(few, world.reference.model)
    )
