"""`driftgate offsets` and `driftgate dlq`, as typed, on the embedded log."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.api import listen
from service.app import alone, opened
from service.decoding.envelope import encode
from service.records import Commit, DeadLetter, Partition, Rejected, Sample
from service.settings import load
from tests.service.cli.conftest import MONITOR, Desk

pytestmark = pytest.mark.long

LOG = Partition("http", "1")


def begun(desk: Desk) -> None:
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        installation.store.assign(LOG)


def letter(kept: bytes, index: int = 0) -> DeadLetter:
    return DeadLetter(LOG, 5, time.time(), Rejected("vector", "expected 16 numbers", kept, index, MONITOR, "EMBED"))


def test_offsets_are_shown_and_set(desk: Desk) -> None:
    assert "no partition was read yet" in desk.run("offsets", "show").output
    begun(desk)
    assert desk.run("offsets", "reset", "--partition", 0, "--to", 12).output.strip() == "partition 0 of http is read on at offset 12"
    (shown,) = desk.json("offsets", "show")["partitions"]
    assert (shown["topic"], shown["partition"], shown["offset"], shown["lag"]) == ("http", 0, 12, None)
    assert "http" in desk.run("offsets", "show").output
    assert desk.json("offsets", "reset", "-t", "http", "-p", 0, "--to", 3) == {"partition": "http/1/0", "offset": 3}
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        events = installation.store.events(MONITOR)
    assert [(event.kind, event.actor, event.body["from"], event.body["to"]) for event in events] == [
        ("offsets", "ana", 0, 12),
        ("offsets", "ana", 12, 3),
    ]


def test_a_word_that_names_no_place_is_wrong_use(desk: Desk) -> None:
    assert "which topic?" in desk.run("offsets", "reset", "-p", 0, "--to", 3, code=2).output
    begun(desk)
    assert "takes an offset" in desk.run("offsets", "reset", "-p", 0, "--to", "latest", code=2).output
    assert "was never read" in desk.run("offsets", "reset", "-p", 7, "--to", 3, code=2).output


def test_positions_are_shown_without_brokers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.kafka.connection.ANSWER_MS", 300)
    begun(desk)
    with listen("127.0.0.1", 0) as nobody:
        port = nobody.getsockname()[1]
    desk.configure(lambda document: document.update(kafka={"brokers": [f"127.0.0.1:{port}"]}))
    shown = desk.run("offsets", "show")
    assert "http" in shown.stdout
    assert "ends are not known: Kafka at 127.0.0.1" in shown.stderr


def test_status_names_what_a_monitors_partitions_have_lost(desk: Desk) -> None:
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        held = installation.store.assign(LOG)
        installation.store.commit(Commit(LOG, held.epoch, 0, 1_200, 5.0, lost=1_200))
        installation.store.halt(LOG, held.epoch, "the log was cut")
    shown = " ".join(desk.run("status").stdout.split())
    assert "http/0: 1,200 records left the topic before they were read" in shown
    assert "http/0 stands still: the log was cut" in shown
    (monitor,) = desk.json("status")["monitors"]
    (read,) = monitor["partitions"]
    assert (read["topic"], read["partition"], read["lost"], read["stopped"]) == ("http", 0, 1_200, "the log was cut")


def test_dead_letters_are_shown_and_sent_again(desk: Desk, tmp_path: Path) -> None:
    whole, broken = letter(encode(Sample(MONITOR, "a", 1.0, "hello"))), letter(b"{broken", 1)
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        installation.store.add_dead_letters([whole, broken])
    assert "expected 16 numbers" in desk.run("dlq", "show", broken.id).output
    assert 'it began with: {"id":"a","text":"hello"}' in desk.run("dlq", "list").output
    assert desk.json("dlq", "show", whole.id)["original"] == '{"id":"a","text":"hello"}'
    assert desk.json("dlq", "show", broken.id)["original"] == "{broken"
    assert desk.json("dlq", "replay", whole.id) == {"replayed": [{"id": whole.id, "to": "ingest"}]}
    assert "only the beginning is kept" in desk.run("dlq", "replay", broken.id, code=1).output
    assert "no dead letter" in desk.run("dlq", "show", "unknown", code=2).output
    with alone(load(desk.folder / "driftgate.yaml").directory):
        assert "another `driftgate serve`" in desk.run("dlq", "replay", whole.id, code=2).output
