"""Labels are read one by one, so that a bad one never harms the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import InputError
from service.observe import Silent
from service.records import Output
from service.redaction import Redaction
from service.settings import MonitorSettings
from service.truth.deliveries import Labels
from service.truth.taking import Fate, Receipt
from tests.service.truth.conftest import Keep

DOCUMENT = {"name": "chat", "embedder": {"input": "none", "dimension": 2}}
SETTINGS = MonitorSettings.model_validate(DOCUMENT)
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
    assert receipt.named[0].message.startswith("label is missing; a label is")
    assert receipt.refused == 3


def test_a_misspelt_field_is_named_and_not_lost(labels: Labels, keep: Keep) -> None:
    keep(["s0"])
    receipt = delivered(labels, {"id": "s0", "label": "refund", "tme": 5}, {"id": "s0", "label": "refund", "predcted": "x"})
    assert receipt.counts == {Fate.MALFORMED: 2}
    assert [each.message.split(":")[1].strip().split(";")[0] for each in receipt.named] == ["is `time` meant?", "is `predicted` meant?"]


def test_a_label_that_is_too_long_is_called_that(labels: Labels) -> None:
    (named,) = delivered(labels, {"id": "x" * 100_000, "label": "refund"}).named
    assert named.message.startswith("longer than 100,000 bytes")


def test_fields_are_read_as_those_of_samples(store: SqliteStore, keep: Keep) -> None:
    keep(["s0", "17"])
    named = Labels(store, lambda _: SETTINGS.model_copy(update={"classes": ("refund", "cancel")}), Silent())
    receipt = delivered(named, {"id": "s0", "label": 0, "time": "1970-01-01T01:10:00+01:00"}, {"id": 17, "label": "cancel", "time": 4_500})
    assert receipt.counts == {Fate.TAKEN: 2}
    assert [(each.sample, each.truth, each.told) for each in store.judgements("chat")] == [
        ("s0", "refund", 600.0),
        ("17", "cancel", 4_500.0),
    ]


def test_a_time_that_is_none_is_named(labels: Labels, keep: Keep) -> None:
    keep(["s0"])
    receipt = delivered(labels, {"id": "s0", "label": "refund", "time": "yesterday"})
    assert "expected RFC 3339" in receipt.named[0].message


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


def test_labels_that_come_by_themselves_pass_the_redaction(store: SqliteStore, keep: Keep) -> None:
    keep(["s0", "s1"], "<email>")
    settings = MonitorSettings.model_validate({**DOCUMENT, "classes": (), "privacy": {"redact": ["email"]}})
    labels = Labels(store, lambda _: settings, Silent())
    mine = "jane@example.com"
    receipt = delivered(
        labels, {"id": "s0", "label": mine}, {"id": "s9", "label": "x", "predicted": mine}, {"id": "s1", "label": "x", "time": mine}
    )
    assert [(each.sample, each.predicted, each.truth) for each in store.judgements("chat")] == [
        ("s0", "<email>", "<email>"),
        ("s9", "<email>", "x"),
    ]
    assert receipt.named[0].fate is Fate.MALFORMED
    assert "jane" not in receipt.named[0].message


def test_a_label_has_the_form_of_the_answers_that_it_judges(store: SqliteStore, keep: Keep, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef")
    fields = {"label": "hash", "output.label": "hash"}
    privacy = {"fields": fields, "key_file": str(tmp_path / "key")}
    settings = MonitorSettings.model_validate({**DOCUMENT, "classes": ("refund", "cancel"), "privacy": privacy})
    keep(["s0"], Redaction.of(settings.privacy).output(Output("refund")).label)
    labels = Labels(store, lambda _: settings, Silent())
    assert delivered(labels, {"id": "s0", "label": "refund"}, {"id": "s1", "label": "jane"}).counts == {Fate.OUTSIDE: 1, Fate.TAKEN: 1}
    assert [each.right for each in store.judgements("chat")] == [True]


def test_a_label_that_may_not_be_kept_is_none(store: SqliteStore, keep: Keep) -> None:
    keep(["s0"])
    settings = MonitorSettings.model_validate({**DOCUMENT, "privacy": {"fields": {"label": "drop"}}})
    (named,) = delivered(Labels(store, lambda _: settings, Silent()), {"id": "s0", "label": "refund"}).named
    assert (named.fate, "label: drop" in named.message) == (Fate.MALFORMED, True)
    assert not store.judgements("chat")
