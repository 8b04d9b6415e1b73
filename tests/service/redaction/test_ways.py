"""Whichever way a sample comes, it passes the rules before it is kept, sent on or embedded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.adapters.file_source import FileSource
from service.adapters.log_source import LogSource
from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.decoding.envelope import decode, encode
from service.decoding.kafka_records import KafkaDecoder
from service.decoding.options import SampleOptions
from service.errors import ArtefactError, ConfigurationError
from service.ingest import Ingest
from service.observe import Silent
from service.ports import Embedded
from service.records import KEPT_BYTES, Original, Output, Payload, Rejected, Request, Response, Sample
from service.records.erasure import forgotten_id
from service.redaction import Redaction, passed, passed_original
from service.settings import EmbedderSettings, KserveSettings, MonitorSettings, PrivacySettings, TopicSettings
from service.watched import Known, WatchedMonitor
from service.worker import Worker

SECRET = "jane.doe@example.com"
RULES = {"redact": ["email", "card"], "fields": {"segments.customer": "mask", "$.user.name": "drop", "output.model_version": "drop"}}
DOCUMENT = {
    "id": "s1",
    "text": f"write to {SECRET}",
    "segments": {"customer": "ACME", "locale": "de"},
    "user": {"name": "Jane", "kind": "new"},
    "output": {"label": f"for {SECRET}", "model_version": "v3"},
}


class Lengths:
    fingerprint, dimension = "lengths", 2

    def __init__(self) -> None:
        self.seen: list[Payload] = []

    def check(self, payload: Payload) -> None: ...

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        self.seen += payloads
        return Embedded(np.array([[len(str(payload)), 1] for payload in payloads], np.float32))

    def close(self) -> None: ...


def monitor(**options: Any) -> MonitorSettings:
    privacy = options.pop("privacy", RULES)
    embedder = EmbedderSettings(model=Path("m.onnx"))
    return MonitorSettings(name="chat", embedder=embedder, privacy=PrivacySettings.model_validate(privacy), **options)


class Kept:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> None:
        del now, keys
        self.bodies += bodies


def http(body: bytes, settings: MonitorSettings) -> bytes:
    sink = Kept()
    Ingest(sink, [settings], lambda _: None, observer=Silent()).samples("chat", body, lines=False, now=0.0)
    return b"".join(sink.bodies)


def kserve(body: bytes, settings: MonitorSettings) -> bytes:
    sink, document = Kept(), json.loads(body)
    instance = {"text": document["text"], "segments": document["segments"]}
    event = {"instances": [instance]}
    headers = {"ce-id": "e1", "ce-source": "s", "ce-specversion": "1.0", "ce-type": "org.kubeflow.serving.inference.request"}
    ingest = Ingest(sink, [settings.model_copy(update={"kserve": KserveSettings()})], lambda _: None, observer=Silent())
    ingest.events(headers, json.dumps(event).encode(), now=0.0)
    return b"".join(sink.bodies)


def kafka(body: bytes, settings: MonitorSettings) -> bytes:
    settings = settings.model_copy(update={"topic": TopicSettings(name="t")})
    return b"".join(encode(item) for item in KafkaDecoder([settings]).decode("t", Original(None, body)))


@pytest.mark.parametrize("way", [http, kserve, kafka])
def test_each_way_passes_the_rules(way: Callable[[bytes, MonitorSettings], bytes]) -> None:
    kept = way(json.dumps(DOCUMENT).encode(), monitor())
    assert SECRET.encode() not in kept
    assert b"ACME" not in kept
    assert b"<email>" in kept
    assert b"<masked>" in kept
    assert b"Jane" not in kept
    assert b"v3" not in kept


def test_files_pass_them_too(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps(DOCUMENT))
    source = FileSource([tmp_path / "f.jsonl"], "chat", SampleOptions.of(monitor()))
    ((sample,),) = [record.items for record in source.poll(9, 0.0)]
    assert isinstance(sample, Sample)
    assert (sample.payload, dict(sample.segments)) == ("write to <email>", {"customer": "<masked>", "locale": "de"})
    assert sample.output == Output("for <email>")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**DOCUMENT, "time": SECRET}).encode(),
        json.dumps({**DOCUMENT, "time": SECRET}).replace("@", "\\u0040").encode(),
        b'{"text": "' + SECRET.encode() + b'"',
        b"\xff\xfe " + SECRET.encode(),
        b'{"a": "jane.doe\\u0040example.com"',
        b'{"text": "a"} ' + b"x" * (KEPT_BYTES - 20) + b" " + SECRET.encode(),
    ],
)
def test_what_cannot_be_read_passes_as_far_as_it_can_be(body: bytes) -> None:
    kept = kafka(body, monitor())
    assert b"jane" not in kept
    item = decode(kept)
    assert isinstance(item, Rejected)
    assert "jane" not in item.message


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"text":"jane.doe@example.com","text":"clean"}', b'{"text":"clean"}'),
        (b'{"a":[{"user":{"name":"jane"},"user":{"kind":"new"}}]}', b'{"a":[{"user":{"kind":"new"}}]}'),
        (b'{"n":4111111111111111,"f":[4111111111111111.0]}', b'{"n":"<card>","f":["<card>"]}'),
        (b'{ "at":1732250000.123, "n":1e300, "s":-7, "b":true, "z":null }', None),
    ],
)
def test_fields_that_come_twice_and_numbers_pass_too(body: bytes, kept: bytes | None) -> None:
    """Of a field that comes twice only the last is read."""
    assert Redaction.of(monitor().privacy).raw(body) == (body if kept is None else kept)


def test_an_event_of_nobody_passes_the_rules_of_all() -> None:
    sink = Kept()
    headers = {"ce-id": "e1", "ce-source": "s", "ce-specversion": "1.0", "ce-type": "org.kubeflow.serving.inference.request"}
    ingest = Ingest(sink, [monitor()], lambda _: None, observer=Silent())  # no kserve section: unrouted
    ingest.events(headers, json.dumps({"instances": [DOCUMENT["text"]]}).encode(), now=0.0)
    (item,) = map(decode, sink.bodies)
    assert isinstance(item, Rejected)
    assert (item.reason, SECRET.encode() in item.original) == ("unrouted", False)


def test_what_stands_in_the_log_passes_the_rules_in_force(tmp_path: Path) -> None:
    embedder = Lengths()
    with closing(SqliteStore(":memory:")) as store, closing(log_at(tmp_path)) as log:
        log.append([encode(Sample("chat", "s1", 0.0, f"write to {SECRET}")), b"\x09 of " + SECRET.encode()], now=1.0)
        worker = Worker(LogSource(log, decode), store, {"chat": WatchedMonitor(monitor(), embedder)}, Silent())
        worker.step(timeout=0.0)
        assert embedder.seen == ["write to <email>"]
        assert [row.payload for row in store.pool("chat")] == ["write to <email>"]
        (letter,) = store.dead_letters()
        assert SECRET.encode() not in letter.rejected.original


def test_what_was_forgotten_does_not_come_in_again() -> None:
    sink = Kept()
    settings = monitor(kserve=KserveSettings())
    ingest = Ingest(sink, [settings], lambda _: None, observer=Silent())
    ingest.forgotten = lambda: frozenset({forgotten_id("chat", "s1"), forgotten_id("chat", "e/0")})
    (answer,) = ingest.samples("chat", json.dumps(DOCUMENT).encode(), lines=False, now=0.0)
    assert (answer.status, sink.bodies) == ("accepted", [])
    headers = {"ce-id": "e", "ce-source": "s", "ce-specversion": "1.0", "ce-type": "org.kubeflow.serving.inference.request"}
    ingest.events(headers, b'{"instances": ["gone", "kept"]}', now=0.0)
    (request,) = map(decode, sink.bodies)
    assert isinstance(request, Request)
    assert [sample.id for sample in request.samples] == ["e/1"]


def log_at(folder: Path) -> SqliteLog:
    return SqliteLog(folder / "ingest.sqlite", backlog_bytes=10**6, retention_bytes=10**6)


def test_records_behind_dead_letters_pass_them() -> None:
    rules = {"chat": Redaction.of(monitor().privacy)}
    record = Original(SECRET.encode(), b"{broken " + SECRET.encode(), (("who", SECRET.encode()),))
    for whose in ("chat", None, "gone"):
        found = passed_original(record, whose, rules)
        assert found == Original(b"<email>", b"{broken <email>", (("who", b"<email>"),))
    assert passed_original(None, "chat", rules) is None


def test_answers_pass_them() -> None:
    rules = {"chat": Redaction.of(monitor().privacy)}
    assert passed(Response("chat", "e", (Output(SECRET, model_version="v3"),)), rules) == Response("chat", "e", (Output("<email>"),))
    untouched = Request("other", "e", ())
    assert passed(untouched, rules) is untouched


def test_without_payloads_none_is_stored_anywhere(tmp_path: Path) -> None:
    settings = monitor(privacy={"payloads": "none"}, kserve=KserveSettings(responses="required"))
    log = log_at(tmp_path)
    log.keep(False)
    with closing(SqliteStore(tmp_path / "driftgate.sqlite")) as store, closing(log):
        waiting = Request("chat", "e", (Sample("chat", "e/0", 0.0, "ZEBRA waits"),))
        broken = Rejected("json", "no", b"ZEBRA broken", monitor="chat")
        log.append([encode(item) for item in (Sample("chat", "s1", 0.0, "ZEBRA one"), waiting, broken)], now=1.0)
        worker = Worker(LogSource(log, decode), store, {"chat": WatchedMonitor(settings, Lengths())}, Silent())
        worker.step(timeout=0.0)
        store.scrub()
        assert [row.payload for row in store.pool("chat")] == [None]
        assert [letter.rejected.reason for letter in store.dead_letters()] == ["json"]
        holding = [path.name for path in tmp_path.iterdir() if b"ZEBRA" in path.read_bytes()]
        assert holding == []


def test_other_rules_are_another_embedder() -> None:
    plain, one, other = (
        EmbedderSettings(input="none", dimension=4),
        MonitorSettings(name="a", embedder=EmbedderSettings(input="none", dimension=4), privacy=PrivacySettings(redact=("email",))),
        MonitorSettings(name="a", embedder=EmbedderSettings(input="none", dimension=4), privacy=PrivacySettings(redact=("email", "card"))),
    )
    prints = [load_embedder(settings).fingerprint for settings in (plain, one.embedder, other.embedder)]
    assert len(set(prints)) == 3
    again = load_embedder(MonitorSettings(name="b", embedder=plain, privacy=PrivacySettings(retention_days=3)).embedder)
    assert again.fingerprint == prints[0], "what is kept for how long changes nothing"
    reference = Known(1, prints[1], None, None, {}, 0.9)  # type: ignore[arg-type]  # its numbers are not looked at
    with pytest.raises(ArtefactError, match="another embedder"):
        WatchedMonitor(other, load_embedder(other.embedder), reference)


def test_a_change_of_rules_takes_effect_at_an_offset() -> None:
    assert monitor().shaping != monitor(privacy={"redact": ["email"]}).shaping
    assert monitor().shaping == monitor(privacy={**RULES, "retention_days": 4}).shaping


def test_hashes_are_keyed_stable_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef")
    privacy = PrivacySettings(fields={"segments.customer": "hash", "label": "hash", "output.label": "hash"}, key_file=tmp_path / "key")
    rules = Redaction.of(privacy)
    one = rules.sample(Sample("chat", "s", 0.0, "a", {"customer": "ACME"}, None, "ACME"))
    assert one.segments["customer"] == one.label
    assert str(one.label).startswith("<hash:")
    assert rules.sample(one) is one
    (tmp_path / "short").write_text("short")
    with pytest.raises(ConfigurationError, match="5 bytes; at least 16"):
        Redaction.of(privacy.model_copy(update={"key_file": tmp_path / "short"}))
    with pytest.raises(ConfigurationError, match="openssl rand"):
        Redaction.of(privacy.model_copy(update={"key_file": tmp_path / "none"}))


@pytest.mark.parametrize(
    ("privacy", "says"),
    [
        ({"fields": {"segments.customer": "hash"}}, "needs `key_file`"),
        ({"fields": {"label": "mask"}}, "are compared with each other"),
        ({"fields": {"customer": "drop"}}, "expected segments.TAG"),
        ({"fields": {"$.text": "drop"}}, "is the payload"),
        ({"fields": {"$": "drop"}}, "is the payload"),
        ({"redact": ["email"], "patterns": [{"name": "email", "pattern": "a"}]}, "the name email is taken"),
    ],
)
def test_rules_that_make_no_sense_are_refused(privacy: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PrivacySettings.model_validate(privacy)


def test_where_no_payload_is_kept_no_message_cites_one() -> None:
    told = Rejected("time", f"time: {SECRET} is no time", b"{}", monitor="chat")
    none = passed(told, {"chat": Redaction.of(PrivacySettings(payloads="none"))})
    assert isinstance(none, Rejected)
    assert (none.reason, none.original) == ("time", b"")
    assert "jane" not in none.message
    assert passed(told, {"chat": Redaction.of(PrivacySettings())}) == told
