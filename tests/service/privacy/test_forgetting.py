"""A sample that is forgotten is nowhere below the directory any more, whatever was cut short on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from service.adapters.log_source import LogSource
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.adapters.sqlite.blotting import blot
from service.app.privacy import places
from service.artefacts import publish, read_manifest
from service.backfill import Backfills
from service.datasets import DataSets
from service.decoding.envelope import decode, encode
from service.observe import Silent
from service.ports import Embedded
from service.privacy.entries import expired, without
from service.privacy.forgetting import FORGET, Forgetting, Places
from service.privacy.leaving import left_behind
from service.privacy.retaining import Retaining
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    Backfill,
    BackfillState,
    BatchState,
    Candidate,
    Commit,
    DeadLetter,
    Declaration,
    DeclarationState,
    Exemplar,
    FailureMark,
    Family,
    KeyedAnswer,
    MarkState,
    Measured,
    OutboxItem,
    Partition,
    Payload,
    Pooled,
    Rejected,
    Request,
    Reservation,
    Reserved,
    Sample,
    Severity,
    Term,
)
from service.records.erasure import ErasureState, Forgotten, forgotten_id
from service.replay import report
from service.settings import EmbedderSettings, MonitorSettings, PrivacySettings
from service.watched import WatchedMonitor
from service.worker import Worker
from tests.service.lengths import Lengths

MARKER = "zebra-7781 told us what nobody else knows"
OTHER = "an ordinary question"
PARTITION = Partition("http", "t")
DAY = 86_400.0
NOTHING = Measured(0.1, 0.0, 0.2)


def sample(n: int) -> Sample:
    return Sample("chat", f"s{n}-abc", n * DAY, MARKER if n == 3 else f"{OTHER} {n}", {}, None, "a")


def pooled(n: int) -> Pooled:
    own = sample(n)
    return Pooled("chat", own.id, own.time, PARTITION, n, own.payload, {}, None, None, np.ones(4, np.float16), 0.5, 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "driftgate.sqlite")) as opened:
        fill(opened)
        yield opened


@pytest.fixture
def forgetting(store: SqliteStore, tmp_path: Path) -> Forgetting:
    data_sets(tmp_path)
    logged(tmp_path)
    blotting = Places(tmp_path, blot=lambda monitor, name: blot(tmp_path / "ingest.sqlite", without(PARTITION, monitor, name)))
    return Forgetting(store, blotting)


def fill(store: SqliteStore) -> None:
    rows = tuple(pooled(n) for n in range(6))
    reserved = tuple(Reserved(row, {"uniform": 1.0}, row.time) for row in rows)
    letters = (
        DeadLetter(PARTITION, 1, 3 * DAY, Rejected("json", "no", f'{{"id":"s3-abc","text":"{MARKER}"}}'.encode(), monitor="chat")),
        DeadLetter(PARTITION, 2, 9 * DAY, Rejected("json", "no", b"another", monitor="chat")),
    )
    epoch = store.assign(PARTITION).epoch
    reservation = Reservation("chat", reserved, {"uniform": 9}, 1e9)
    store.commit(Commit(PARTITION, epoch, 0, 6, 5.0, pooled=rows, reserved=(reservation,), dead_letters=letters))
    items = tuple(
        Candidate(f"s{n}-abc", "new", 0.1, "all", str(sample(n).payload), nearest=("s3-abc", "s1-abc"), time=n * DAY) for n in (2, 3)
    )
    batch = AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, items, 5 * DAY, version=1, destination="studio", dropped=items)
    exemplars = tuple(Exemplar(f"s{n}-abc", str(sample(n).payload), 0.9) for n in (2, 3))
    alarm = Alarm(
        "a1", "chat", "all", Family.INPUT, 1, "new content", Severity.WARNING, AlarmState.OPEN, 9, 9, 5 * DAY, 9, 2 * DAY, NOTHING, NOTHING,
        "mmd", exemplars=exemplars, terms=(Term("zebra-7781", 0.5, 0.0),), version=1,
    )  # fmt: skip
    mark = FailureMark("m1", "chat", "s3-abc", MarkState.MARKED, None, 5.0, version=1)
    payload = {"monitor": "chat", "candidates": [{"driftgate_id": f"s{n}-abc", "text": sample(n).payload, "time": n * DAY} for n in (2, 3)]}
    store.save(batch, alarm, mark, outbox=[OutboxItem("o1", "annotation.batch", "studio", payload, 5 * DAY, state="delivered")])


def data_sets(folder: Path) -> None:
    DataSets(folder).add("chat", "train", [sample(n) for n in range(5)], Lengths(), now=0.0)
    reference = folder / "references" / "chat" / "v1"

    def write(draft: Path) -> None:
        lines = [f'{{"id": "s{n}-abc", "text": "{sample(n).payload!s}"}}\n' for n in range(5)]
        (draft / "rows.jsonl").write_text("".join(lines))
        np.savez(draft / "numeric.npz", embeddings=np.arange(10.0).reshape(5, 2), confidence=np.ones(5))
        (draft / "model.npz").write_bytes(b"thresholds")

    publish(reference, {"kind": "reference"}, write)
    for name, text in (("20260101T000000.000000Z", MARKER), ("20260102T000000.000000Z", OTHER)):
        publish(folder / "reports" / "chat" / name, {}, partial(reported, text))


def reported(text: str, draft: Path) -> None:
    (draft / "report.html").write_text(text)


def logged(folder: Path) -> None:
    with closing(SqliteLog(folder / "ingest.sqlite", backlog_bytes=10**6, retention_bytes=10**6)) as log:
        both = Request("chat", "event", tuple(replace(sample(n), id=f"event/{n}") for n in (1, 2)))
        log.append([encode(sample(n)) for n in range(5)] + [encode(both)], now=4 * DAY)


def holding(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and b"zebra-7781 told" in path.read_bytes())
    return sorted(str(path.relative_to(folder)) for path in found)


def test_it_is_nowhere_any_more(forgetting: Forgetting, store: SqliteStore, tmp_path: Path) -> None:
    assert len(holding(tmp_path)) >= 4, "store, log, data set, reference and report hold it before"
    (erasure,) = forgetting.forget("s3-abc", ["chat"], actor="anna", now=1.0)
    assert holding(tmp_path) == []
    assert erasure.asked == ("studio",)
    assert erasure.erased == {
        "data sets": 1, "dead letters": 1, "documents": 2, "failure marks": 1, "log": 1, "outbox": 1, "pool": 1, "references": 1,
        "reports": 1, "reserve": 1,
    }  # fmt: skip
    batch = store.get(AnnotationBatch, "b1")
    assert [[item.id for item in each] for each in (batch.items, batch.dropped)] == [["s2-abc"]] * 2
    assert batch.items[0].nearest == ("s1-abc",)
    assert [each.id for each in store.get(Alarm, "a1").exemplars] == ["s2-abc"]
    (asked,) = [item for item in store.outbox() if item.kind == FORGET]
    assert asked.payload == {"monitor": "chat", "batch": "b1", "ids": ["s3-abc"]}
    assert forgotten_id("chat", "s3-abc") in store.forgotten()


def test_an_alarm_that_was_explained_meanwhile_does_not_show_it_either(store: SqliteStore, tmp_path: Path) -> None:
    """The controller has looked at it before it went, and writes what it saw."""
    before = store.get(Alarm, "a1")

    def decided() -> None:
        store.save(replace(before, version=store.get(Alarm, "a1").version + 1))

    Forgetting(store, Places(tmp_path, settle=decided)).forget("s3-abc", ["chat"], actor="", now=1.0)
    assert [each.id for each in store.get(Alarm, "a1").exemplars] == ["s2-abc"]


def answered(store: SqliteStore, id: str, created: float, body: str) -> None:
    store.save(KeyedAnswer(id, "asked", f"{created // 3600:.0f}", created, status=200, body=body))


def test_answers_to_repeated_requests_show_it_no_more(store: SqliteStore, tmp_path: Path) -> None:
    """That they were given stays known for a day, so that a change is not made twice."""
    shown = f'{{"samples": [{{"id": "x", "text": "{MARKER}"}}]}}', '{"samples": [{"id": "s3-abc"}]}', '{"ids": ["s4-abc"]}'
    for number, body in enumerate(shown):
        answered(store, f"k{number}", 5 * DAY, body)
    (erasure,) = Forgetting(store, Places(tmp_path)).forget("s3-abc", ["chat"], actor="", now=5 * DAY)
    assert erasure.erased["requests"] == 2
    assert [(each.status, each.body) for each in (store.get(KeyedAnswer, f"k{n}") for n in range(3))] == [(0, ""), (0, ""), (200, shown[2])]


def test_answers_to_requests_are_let_go_of_after_a_day(store: SqliteStore, tmp_path: Path) -> None:
    """Also where nobody asks for any retention, and no other key comes."""
    answered(store, "old", 4 * DAY, "{}")
    answered(store, "young", 5 * DAY, "{}")
    assert Retaining(store, Places(tmp_path), {}).step(now=5 * DAY + 7200)["requests"] == 1
    assert [each.id for each in store.find(KeyedAnswer)] == ["young"]


def test_versions_stay_readable_and_say_that_they_were_revised(forgetting: Forgetting, tmp_path: Path) -> None:
    forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    rest = DataSets(tmp_path).load("chat", "train")
    assert [row.id for row in rest.samples] == ["s0-abc", "s1-abc", "s2-abc", "s4-abc"]
    assert (rest.manifest["revision"], rest.manifest["erased"], rest.manifest["labels"]) == (2, 1, {"a": 4})
    folder = tmp_path / "references" / "chat" / "v1"
    assert read_manifest(folder)["revision"] == 2
    with np.load(folder / "numeric.npz") as numeric:
        assert numeric["embeddings"][3].tolist() == pytest.approx([3.5, 4.5]), "the mean of the others"
        assert numeric["embeddings"][2].tolist() == [4.0, 5.0]
    assert (folder / "model.npz").read_bytes() == b"thresholds"


@pytest.mark.long
def test_once_is_as_good_as_twice(forgetting: Forgetting, store: SqliteStore) -> None:
    forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    (again,) = forgetting.forget("s3-abc", ["chat"], actor="", now=2.0)
    assert again.erased == {}
    record = store.get(Forgotten, forgotten_id("chat", "s3-abc"))
    assert (record.state, record.sample) == (ErasureState.DONE, "")
    assert record.erased["pool"] == 1


@pytest.mark.long
@pytest.mark.parametrize("step", ["_out_of_files", "_done"])
def test_what_was_cut_short_goes_on(
    forgetting: Forgetting, store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Forgetting, step, killed)
        with pytest.raises(KeyboardInterrupt):
            forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    assert store.get(Forgotten, forgotten_id("chat", "s3-abc")).sample == "s3-abc"
    assert forgetting.step(["chat"], now=2.0) == 1
    assert holding(tmp_path) == []
    assert forgetting.step(["chat"], now=3.0) == 0


def test_one_at_a_time_is_carried_out(store: SqliteStore, tmp_path: Path) -> None:
    """The leader's turn comes while a request is at it, and leaves it alone."""
    turns = list[int]()
    leader = Forgetting(store, Places(tmp_path))
    forgetting = Forgetting(store, Places(tmp_path, settle=lambda: turns.append(leader.step(["chat"], now=1.0))))
    (erasure,) = forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    assert turns == [0]
    assert erasure.erased["pool"] == 1
    assert leader.step(["chat"], now=2.0) == 0
    assert store.lease("forgetting", "next", 1.0) is not None


def test_what_a_withdrawn_monitor_left_behind_is_let_go_of(store: SqliteStore, tmp_path: Path) -> None:
    settings = MonitorSettings.model_validate({"name": "chat", "embedder": {"model": "m.onnx"}, "privacy": {"retention_days": 2.0}})
    store.save(Declaration("chat", "chat", settings.model_dump(mode="json"), "api", 1, None, DeclarationState.WITHDRAWN, 0.0, version=1))
    forgetting = Forgetting(store, Places(tmp_path))
    assert forgetting.all_of(["other"]) == ["other", "chat"]
    forgetting.forget("s3-abc", forgetting.all_of([]), actor="", now=1.0)
    assert "s3-abc" not in {row.id for row in store.pool("chat")}
    Retaining(store, Places(tmp_path), left_behind(store)).step(now=6 * DAY)
    assert [row.id for row in store.pool("chat")] == ["s4-abc", "s5-abc"]


def test_backfills_show_what_their_stores_show(store: SqliteStore, tmp_path: Path) -> None:
    """The document beside a store of a backfill holds its alarms' samples, too."""
    backfills, made = Backfills(tmp_path), Backfill("b1", "chat", "files", None, None, 1, (), 1.0, 1.0, BackfillState.DONE)
    (tmp_path / "backfills").mkdir()
    with closing(SqliteStore(backfills.store_path(made))) as own:
        fill(own)
        backfills.save(replace(made, alarms=tuple(report(own, "chat", ())["alarms"])))
    assert "backfills/b1.json" in holding(tmp_path)
    Forgetting(store, places(tmp_path)).forget("s3-abc", ["chat"], actor="", now=1.0)
    assert holding(tmp_path) == []
    (kept,) = backfills.of("chat", now=1.0)
    assert [each["id"] for each in kept.alarms[0]["exemplars"]] == ["s2-abc"]
    Retaining(store, places(tmp_path), {"chat": PrivacySettings(retention_days=2.0)}).step(now=20 * DAY)
    (kept,) = backfills.of("chat", now=1.0)
    assert ([each["text"] for each in kept.alarms[0]["exemplars"]], kept.alarms[0]["terms"]) == ([""], [])


@pytest.mark.long
def test_a_request_keeps_its_other_instances(forgetting: Forgetting, tmp_path: Path) -> None:
    forgetting.forget("event/1", ["chat"], actor="", now=1.0)
    forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    with closing(SqliteLog(tmp_path / "ingest.sqlite", backlog_bytes=10**6, retention_bytes=10**6)) as log:
        items = [decode(entry.body) for entry in log.read(0, 10)]
    assert isinstance(items[3], Rejected)
    assert isinstance(items[5], Request)
    assert [each.id for each in items[5].samples] == ["event/2"]


@pytest.mark.long
def test_a_delivered_request_to_delete_names_nobody(forgetting: Forgetting, store: SqliteStore) -> None:
    forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    (asked,) = [item for item in store.outbox() if item.kind == FORGET]
    store.settle(replace(asked, state="delivered"))
    assert forgetting.step(["chat"], now=2.0) == 1
    assert [item.payload["ids"] for item in store.outbox() if item.kind == FORGET] == [[]]


def test_what_is_old_goes_from_everywhere(store: SqliteStore, forgetting: Forgetting, tmp_path: Path) -> None:
    del forgetting
    privacy = PrivacySettings(retention_days=10.0, letter_days=6.0)
    log = tmp_path / "ingest.sqlite"
    retaining = Retaining(
        store, Places(tmp_path), {"chat": privacy}, lambda befores: blot(log, expired(befores), until=max(befores.values()))
    )
    gone = retaining.step(now=14 * DAY)
    assert gone == {"dead letters": 1, "documents": 2, "outbox": 1, "pool": 4, "reserve": 4}
    assert gone["pool"] == gone["reserve"] == 4, "those of days 0 to 3"
    assert [row.id for row in store.pool("chat")] == ["s4-abc", "s5-abc"]
    alarm = store.get(Alarm, "a1")
    assert ([each.text for each in alarm.exemplars], alarm.terms) == (["", ""], ())
    batch = store.get(AnnotationBatch, "b1")
    assert [item.text for item in (*batch.items, *batch.dropped)] == [""] * 4
    assert [letter.offset for letter in store.dead_letters()] == [2]
    retaining.step(now=15 * DAY)
    left = [path for path in holding(tmp_path) if path.split("/")[0] not in ("datasets", "references", "reports")]
    assert left == [], "references and data sets keep theirs, and a report made later"
    assert retaining.step(now=15 * DAY) == {}


def test_a_report_goes_when_it_is_that_old_itself(store: SqliteStore, forgetting: Forgetting, tmp_path: Path) -> None:
    del forgetting
    privacy, made = PrivacySettings(retention_days=10.0), datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    gone = Retaining(store, Places(tmp_path), {"chat": privacy}).step(now=made + 10.5 * DAY)
    assert gone["reports"] == 1
    assert [path.name for path in (tmp_path / "reports" / "chat").iterdir()] == ["20260102T000000.000000Z"]


def test_without_a_retention_only_what_could_not_be_used_goes(store: SqliteStore, tmp_path: Path) -> None:
    assert Retaining(store, Places(tmp_path), {"chat": PrivacySettings()}).step(now=12 * DAY) == {"dead letters": 1}
    assert len(store.pool("chat")) == 6


def test_it_is_not_taken_again(store: SqliteStore, forgetting: Forgetting, tmp_path: Path) -> None:
    forgetting.forget("s3-abc", ["chat"], actor="", now=1.0)
    settings = MonitorSettings(name="chat", embedder=EmbedderSettings(model=Path("m.onnx")))
    with closing(SqliteLog(tmp_path / "again.sqlite", backlog_bytes=10**6, retention_bytes=10**6)) as log:
        log.append([encode(sample(3)), encode(replace(sample(3), id="s9-abc", payload=OTHER))], now=1.0)
        worker = Worker(LogSource(log, decode), store, {"chat": WatchedMonitor(settings, Lengths())}, Silent())
        worker.step(timeout=0.0)
    assert [row.id for row in store.pool("chat")][-1] == "s9-abc"
    assert "s3-abc" not in {row.id for row in store.pool("chat")}
    assert store.samples_taken("chat") == 1


def test_what_was_taken_before_and_not_yet_committed_is_not_kept(store: SqliteStore, tmp_path: Path) -> None:
    class Slow(Lengths):
        def embed(self, payloads: Sequence[Payload]) -> Embedded:
            Forgetting(store, Places(tmp_path)).forget("s3-abc", ["chat"], actor="", now=1.0)
            return super().embed(payloads)

    settings = MonitorSettings(name="chat", embedder=EmbedderSettings(model=Path("m.onnx")))
    with closing(SqliteLog(tmp_path / "slow.sqlite", backlog_bytes=10**6, retention_bytes=10**6)) as log:
        log.append([encode(sample(3))], now=1.0)
        Worker(LogSource(log, decode), store, {"chat": WatchedMonitor(settings, Slow())}, Silent()).step(timeout=0.0)
    assert "s3-abc" not in {row.id for row in store.pool("chat")}
