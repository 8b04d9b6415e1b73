"""Labels are read one by one, so that a bad one never harms the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import InputError
from service.observe import Silent
from service.settings import MonitorSettings
from service.truth.deliveries import Labels
from service.truth.taking import Fate, Receipt
from tests.service.truth.conftest import Keep

SETTINGS = MonitorSettings.model_validate({"name": "chat", "embedder": {"input": "none", "dimension": 2}})
NOW = 5_000.0


@pytest.fixture
def labels(store: SqliteStore) -> Labels:
    return Labels(store, lambda _: SETTINGS, Silent(), max_items=5)


def delivered(labels: Labels, *given: Any) -> Receipt:
    return labels.deliver("chat", json.dumps({"labels": given}).encode(), now=NOW)


def test_good_labels_are_taken_whatever_comes_beside_them(labels: Labels, keep: Keep) -> None:
    keep(["s0", "s1"])
    receipt = delivered(labels, {"id": "s0", "label": "refund", "text": "ignored"}, {"id": "s1"}, 7, {"id": "", "label": "x"})
    assert receipt.counts == {Fate.TAKEN: 1, Fate.MALFORMED: 3}
    assert [(each.id, each.fate) for each in receipt.named] == [(f"labels[{n}]", Fate.MALFORMED) for n in (1, 2, 3)]
    assert "missing required field `label`" in receipt.named[0].message
    assert receipt.refused == 3


def test_a_time_is_one_with_its_zone(labels: Labels, keep: Keep, store: SqliteStore) -> None:
    keep(["s0", "s1"])
    receipt = delivered(
        labels,
        {"id": "s0", "label": "refund", "time": "1970-01-01T01:10:00+00:00"},
        {"id": "s1", "label": "refund", "time": "1970-01-01T01:10:00"},
    )
    assert receipt.counts == {Fate.TAKEN: 1, Fate.MALFORMED: 1}
    assert store.judgements("chat")[0].told == 4_200.0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"labels": []}', "0 labels in one request; send 1 to 5"),
        (b'{"labels": [1, 1, 1, 1, 1, 1]}', "6 labels in one request; send 1 to 5"),
    ],
)
def test_a_body_that_holds_no_labels_is_refused(labels: Labels, body: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        labels.deliver("chat", body, now=NOW)
