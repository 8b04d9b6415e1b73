"""What is particular to a bucket: crashes half-way, damage, a server that is away or refuses, copies under a cap, erasure down to the
last object."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.adapters.object_storage import COPIES, BlobObjects, ObjectFolders, Objects
from service.adapters.pane_segments import PaneSegments
from service.adapters.redis_store import RedisStore, connect
from service.adapters.sqlite import SqliteStore
from service.app import copy_files, examine_storage
from service.app.backfilling import require_shared
from service.app.storage import open_files
from service.artefacts import LOCAL
from service.datasets import DataSets
from service.errors import ArtefactError, ConfigurationError, RefusedError, UnavailableError
from service.links import Links
from service.ports import GRACE_SECONDS, Stretch
from service.privacy.forgetting import Forgetting, Places
from service.records import Commit, Partition, Pooled, Sample
from service.records.erasure import Doomed
from service.settings import RedisSettings, S3Storage, ServerSettings, Settings, parse
from tests.contract.test_folders import ROWS, publish, rows_of, settings_for, write
from tests.operations.receiver import until
from tests.servers.certificates import issue
from tests.servers.redis_server import RedisServer
from tests.servers.s3_server import S3Server
from tests.service.lengths import Lengths

pytestmark = pytest.mark.server("versitygw")

CHECKSUM = hashlib.blake2b(b"", digest_size=20).hexdigest()
MARKER = "zebra-7781 told us what nobody else knows"
DAY = 86_400.0
_PREFIXES = count()


@pytest.fixture
def settings(s3_server: S3Server, tmp_path: Path) -> Settings:
    return settings_for(s3_server, tmp_path / "state", f"own-{next(_PREFIXES)}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """One that the test may kill."""
    own = S3Server(tmp_path / "server").start()
    yield own
    own.kill()


def bucket(settings: Settings) -> Objects:
    assert isinstance(settings.storage, S3Storage)
    return Objects(settings.storage)


def process(settings: Settings, root: Path, cache_bytes: int = 10**9) -> ObjectFolders:
    return ObjectFolders(bucket(settings), root, cache_bytes=cache_bytes)


def keys(settings: Settings, below: str) -> list[str]:
    return [each.key for each in bucket(settings).list(below)]


# --- crashes ------------------------------------------------------------------------------------------------------


def _publish_slowly(settings: Settings, root: Path) -> None:
    """Dies once its first file is there."""
    put = Objects.put

    def put_and_die(self: Objects, key: str, content: bytes | Path) -> None:
        put(self, key, content)
        os.kill(os.getpid(), signal.SIGKILL)

    Objects.put = put_and_die  # type: ignore[method-assign]  # in a process of its own, which dies of it
    publish(process(settings, root), root)


def test_a_publisher_that_is_killed_leaves_nothing_that_counts(settings: Settings, tmp_path: Path) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=_publish_slowly, args=(settings, tmp_path / "one"))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    root = tmp_path / "two"
    folders = process(settings, root)
    assert (folders.names(root / "references" / "chat"), len(keys(settings, "files"))) == ([], 1)
    folders.tidy(now=time.time())
    assert len(keys(settings, "files")) == 1  # it may still be at it
    folders.tidy(now=time.time() + 2 * DAY)
    assert keys(settings, "files") == []
    publish(folders, root)
    folders.tidy(now=time.time() + 2 * DAY)
    assert rows_of(process(settings, tmp_path / "three"), tmp_path / "three" / "references" / "chat" / "v1") == ROWS


def test_a_server_that_is_killed_half_way_loses_nothing_that_was_published(server: S3Server, tmp_path: Path) -> None:
    settings, root = settings_for(server, tmp_path, "killed"), tmp_path / "one"
    folders, done, failed = process(settings, root), list[int](), list[int]()
    blobs = BlobObjects(bucket(settings), cap_bytes=10**9)
    addresses = list[str]()

    def work() -> None:
        for number in range(1, 13):
            try:
                publish(folders, root, number, rows=f"{number}\n")
                addresses.append(blobs.put(b"%d" % number) or "")
                done.append(number)
            except UnavailableError:
                failed.append(number)

    worker = threading.Thread(target=work)
    worker.start()
    while not done:
        time.sleep(0.01)
    server.kill()
    time.sleep(1.0)
    server.start()
    worker.join()
    other = tmp_path / "two"
    reader = process(settings, other)
    there = reader.names(other / "references" / "chat")
    assert {f"v{number}" for number in done} <= {*there}
    for name in there:  # also one whose answer was lost
        assert rows_of(reader, other / "references" / "chat" / name) == f"{name[1:]}\n"
    assert [blobs.get(address) for address in addresses] == [b"%d" % number for number in done][: len(addresses)]


# --- damage and copies --------------------------------------------------------------------------------------------


def test_a_damaged_object_is_found_by_its_checksum(s3_server: S3Server, settings: Settings, tmp_path: Path) -> None:
    publish(process(settings, tmp_path / "one"), tmp_path / "one")
    assert isinstance(settings.storage, S3Storage)
    (rows,) = [path for path in s3_server.files() if settings.storage.prefix in path.parts and path.stat().st_size == len(ROWS)]
    rows.write_text('{"id": "b"}\n', encoding="utf-8")
    target = tmp_path / "two" / "references" / "chat" / "v1"
    with pytest.raises(ArtefactError, match=r"rows\.jsonl.*damaged in s3://.*backup"):
        process(settings, tmp_path / "two").here(target)
    assert not target.exists()
    rows.unlink()
    with pytest.raises(ArtefactError, match="missing in s3://"):
        process(settings, tmp_path / "two").here(target)


@pytest.mark.parametrize(
    "files",
    [{"../../../../escaped": CHECKSUM}, {"/escaped": CHECKSUM}, {"..": CHECKSUM}, {"rows.jsonl": "../x"}, {"rows.jsonl": 1}, [], None],
)
def test_a_manifest_writes_nothing_outside_of_its_folder(settings: Settings, tmp_path: Path, files: Any) -> None:
    objects, target = bucket(settings), tmp_path / "state" / "references" / "chat" / "v1"
    objects.put(f"files/references/chat/v1/{CHECKSUM}", b"")
    objects.put("published/references/chat/v1.json", json.dumps({} if files is None else {"files": files}).encode())
    before = {*tmp_path.rglob("*")}
    attempts: list[Callable[[ObjectFolders], object]] = [
        lambda folders: folders.here(target),
        lambda folders: folders.manifest(target),
        lambda folders: folders.mend(target.parent),
        lambda folders: folders.replace(target, lambda _: None, {"erased": 1}),
    ]
    for attempt in attempts:
        with pytest.raises(ArtefactError, match=r"references/chat/v1: its manifest in s3://.* is damaged .*backup"):
            attempt(process(settings, tmp_path / "state"))
    assert [path for path in {*tmp_path.rglob("*")} - before if path.is_file()] == []


def test_what_was_let_go_of_goes_a_page_at_a_time_and_tells_that_it_turns(settings: Settings) -> None:
    objects, turns = bucket(settings), list[str]()
    with ThreadPoolExecutor(8) as threads:
        addresses = [*threads.map(BlobObjects(objects, cap_bytes=10**6).put, (b"%d" % number for number in range(1_200)))]
    objects.tell(lambda: turns.append(threading.current_thread().name))
    blobs, later = BlobObjects(objects, cap_bytes=10**6), time.time() + 2 * GRACE_SECONDS
    assert blobs.collect([], now=later) == 0
    assert blobs.collect([str(addresses[7])], now=later + GRACE_SECONDS) == sum(len(b"%d" % number) for number in range(1_200)) - 1
    assert 0 < len(turns) < 30  # answers
    assert {*turns} == {"MainThread"}
    assert keys(settings, "blobs") == [f"blobs/{addresses[7][:2]}/{addresses[7][2:]}"]  # type: ignore[index]  # nothing was refused


def test_what_takes_long_to_come_and_go_tells_that_it_turns(settings: Settings, tmp_path: Path) -> None:
    objects, turns, large = bucket(settings), count(), tmp_path / "large"
    files = open_files(settings)
    files.tell(lambda: next(turns))
    files.probe()
    assert next(turns) > 0
    objects.tell(lambda: next(turns))
    large.write_bytes(bytes(50_000_000))
    objects.put("large", large)
    assert next(turns) > 5
    assert objects.download("large", tmp_path / "copy")
    assert next(turns) > 10
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()


def test_a_damaged_blob_goes(s3_server: S3Server, settings: Settings) -> None:
    blobs = BlobObjects(bucket(settings), cap_bytes=1_000)
    address = blobs.put(b"whole")
    assert address is not None
    bucket(settings).put(f"blobs/{address[:2]}/{address[2:]}", b"other")
    assert blobs.get(address) is None
    assert keys(settings, "blobs") == []


def test_a_damaged_copy_is_fetched_anew(settings: Settings, tmp_path: Path) -> None:
    target = publish(process(settings, tmp_path), tmp_path)
    (target / "rows.jsonl").write_text("damaged\n", encoding="utf-8")
    assert rows_of(process(settings, tmp_path), target) == ROWS


def test_copies_go_for_others_and_come_back(settings: Settings, tmp_path: Path) -> None:
    folders = process(settings, tmp_path, cache_bytes=20_000_000)
    first = publish(folders, tmp_path, 1)
    for mark in (tmp_path / COPIES).iterdir():
        os.utime(mark, (1.0, 1.0))
    for version in (2, 3):
        publish(folders, tmp_path, version)
    assert [folder.is_dir() for folder in (first, first.with_name("v2"), first.with_name("v3"))] == [False, True, True]
    assert rows_of(folders, first) == ROWS


def test_a_copy_goes_with_what_was_published(settings: Settings, tmp_path: Path) -> None:
    one, other = process(settings, tmp_path / "one"), process(settings, tmp_path / "two")
    publish(one, tmp_path / "one")
    copy = other.here(tmp_path / "two" / "references" / "chat" / "v1")
    mine = tmp_path / "two" / "models" / "own"
    mine.mkdir(parents=True)
    assert copy.is_dir()
    one.remove(tmp_path / "one" / "references" / "chat" / "v1")
    time.sleep(1.1)  # as old as a look may be
    assert other.sweep() == 1
    assert not copy.exists()
    assert other.here(mine).is_dir()  # none of ours


# --- a server that is away, or refuses ----------------------------------------------------------------------------


def test_while_the_server_is_away_everything_can_be_tried_again(server: S3Server, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path, "away")
    files, root = open_files(settings), tmp_path
    target = publish(files.folders, root)
    address = files.blobs().put(b"payload")
    assert address is not None
    server.kill()
    archive = files.archive("state")
    tried: list[Callable[[], object]] = [
        files.probe,
        lambda: process(settings, root).names(target.parent),
        lambda: process(settings, tmp_path / "other").here(tmp_path / "other" / "references" / "chat" / "v1"),
        lambda: publish(process(settings, root), root, 2),
        lambda: files.blobs().put(b"another"),
        lambda: files.blobs().get(address),
        lambda: archive.append(Stretch("chat", 0, 1, 0.0, 1, [(1, b"pane")]), b"c"),
    ]
    for attempt in tried:
        with pytest.raises(UnavailableError, match="s3://driftgate/away") as found:
            attempt()
        assert found.value.retryable
    assert next(iter(examine_storage(settings)))[0] == "fail"
    server.start()
    files.probe()
    assert files.blobs().get(address) == b"payload"
    assert rows_of(process(settings, root), target) == ROWS


@pytest.mark.server("versitygw", "redis-server")
def test_a_commit_waits_for_the_bucket_with_its_payloads(server: S3Server, redis_server: RedisServer, tmp_path: Path) -> None:
    files = open_files(settings_for(server, tmp_path, "commits"))
    shared = connect(RedisSettings(url=redis_server.url, prefix=f"bucket-{os.getpid()}"))
    with closing(RedisStore(shared, blobs=files.blobs(), archive=files.archive)) as store:
        partition = Partition("chat", "t")
        row = Pooled("chat", "s0", 1.0, partition, 0, MARKER, {}, None, None, np.ones(4, np.float16), 0.5, 1)
        commit = Commit(partition, store.assign(partition).epoch, 0, 1, 1.0, pooled=(row,))
        server.kill()
        with pytest.raises(UnavailableError, match="s3://"):
            store.commit(commit)
        assert not store.pool("chat")
        server.start()
        store.commit(commit)
        assert [each.payload for each in store.pool("chat")] == [MARKER]
        store.erase(Doomed("chat", frozenset({"s0"})))
        store.scrub()
        assert not list(holding(server.files()))


def test_who_is_refused_is_told_so_without_a_secret(server: S3Server, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path, "refused")
    assert isinstance(settings.storage, S3Storage)
    secret = settings.storage.secret_key_file
    assert secret is not None
    right = secret.read_text(encoding="utf-8")
    secret.write_text("quite another secret", encoding="utf-8")
    objects = bucket(settings)
    with pytest.raises(RefusedError, match="SignatureDoesNotMatch") as found:
        objects.put("a", b"a")
    assert "quite another" not in str(found.value)
    secret.write_text(right, encoding="utf-8")  # a changed Secret needs no restart
    until(lambda: accepts(objects), what="the right secret")
    absent = Objects(settings.storage.model_copy(update={"bucket": "absent"}))
    attempts: list[Callable[[], object]] = [lambda: absent.put("a", b"a"), absent.probe, lambda: absent.get("a")]
    for attempt in attempts:
        with pytest.raises(RefusedError, match=r"no such bucket; create it"):
            attempt()


def accepts(objects: Objects) -> bool:
    try:
        objects.put("a", b"a")
    except RefusedError:
        return False
    return True


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    authority, certificate = issue(tmp_path)
    server = S3Server(tmp_path / "server", certificate=certificate).start()
    try:
        storage = S3Storage.model_validate(server.storage())
        with pytest.raises(UnavailableError):
            Objects(storage).probe()
        Objects(storage.model_copy(update={"ca_file": authority.certificate})).probe()
    finally:
        server.stop()


def test_the_doctor_tries_what_a_bucket_has_to_be_able_to_do(settings: Settings) -> None:
    ((level, says, _),) = examine_storage(settings)
    assert level == "ok", says
    assert keys(settings, "doctor") == []


def test_the_usual_variables_are_the_keys_where_no_files_are_named(
    s3_server: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(settings.storage, S3Storage)
    files = settings.storage.access_key_file, settings.storage.secret_key_file
    for name, file in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), files, strict=True):
        assert file is not None
        monkeypatch.setenv(name, file.read_text(encoding="utf-8").strip())
    Objects(settings.storage.model_copy(update={"access_key_file": None, "secret_key_file": None})).probe()


def test_doctors_at_once_do_not_stand_in_each_others_way(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    create, others = Objects.create, list[str]()

    def beside_another(self: Objects, key: str, content: bytes) -> bool:
        if not others:
            others.append("begins")
            others.extend(level for level, _, _ in examine_storage(settings))
        return create(self, key, content)

    monkeypatch.setattr(Objects, "create", beside_another)
    assert ([level for level, _, _ in examine_storage(settings)], others) == (["ok"], ["begins", "ok"])


# --- what would be lost is refused --------------------------------------------------------------------------------


def test_a_start_that_would_put_anything_out_of_sight_is_refused(settings: Settings, tmp_path: Path) -> None:
    LOCAL.publish(settings.directory / "references" / "chat" / "v1", {"kind": "test"}, write)
    with pytest.raises(ConfigurationError, match=r"references from before.*driftgate storage copy"):
        open_files(settings)
    shutil.rmtree(settings.directory)
    publish(open_files(settings).folders, settings.directory)
    open_files(settings)
    with pytest.raises(ConfigurationError, match="holds copies of what lies in a bucket"):
        open_files(parse({"directory": str(settings.directory)}, base=tmp_path, environment=False))
    with pytest.raises(ConfigurationError, match="backfill"):
        require_shared(settings)
    linked = settings.model_copy(update={"server": ServerSettings(public_url="https://gate.example")})
    with pytest.raises(ConfigurationError, match=r"link_secret_file or DRIFTGATE__LINK_SECRET"):
        Links.of(linked)


def test_what_lies_in_a_directory_is_copied_once(settings: Settings, tmp_path: Path) -> None:
    own = settings.model_copy(update={"storage": parse({}, base=tmp_path, environment=False).storage})
    files, root = open_files(own), settings.directory
    publish(files.folders, root)
    (root / "models" / "minilm").mkdir(parents=True)
    (root / "models" / "minilm" / "model.onnx").write_bytes(b"model")
    address = files.blobs().put(b"payload")
    archive = files.archive("s1")
    assert isinstance(archive, PaneSegments)
    panes = [(number, b"%d" % number) for number in range(1, 9)]
    archive.append(Stretch("chat", 0, 8, 1.0, 8, panes), b"checkpoint")
    assert copy_files(settings) == {"references": 1, "models": 1, "payloads": 1, "panes": 8}
    assert {**copy_files(settings)} | {"payloads": 0, "panes": 0} == {"references": 0, "payloads": 0, "panes": 0}
    elsewhere = settings.model_copy(update={"directory": tmp_path / "elsewhere"})
    there = open_files(elsewhere)
    assert rows_of(there.folders, elsewhere.directory / "references" / "chat" / "v1") == ROWS
    assert (there.folders.here(elsewhere.directory / "models" / "minilm") / "model.onnx").read_bytes() == b"model"
    assert there.blobs().get(address or "") == b"payload"
    assert list(there.archive("s1").read("chat", 0, 8, 100)) == panes
    assert there.archive("s1").start("chat", 8) == (0, None)


def test_what_is_accepted_lies_in_no_directory_that_goes_with_its_process(settings: Settings) -> None:
    given = {"storage": {"type": "s3", "bucket": "drift"}, "kafka": {"brokers": ["kafka:9092"]}, "redis": {"url": "redis://redis:6379"}}
    parse(given, base=settings.directory, environment=False)
    for lacking in (["kafka"], ["redis"], ["kafka", "redis"]):
        rest = {name: section for name, section in given.items() if name not in lacking}
        with pytest.raises(ConfigurationError, match=f"s3 needs {' and '.join(lacking)} as well"):
            parse(rest, base=settings.directory, environment=False)


# --- erasure ------------------------------------------------------------------------------------------------------


def test_what_is_forgotten_is_in_no_object_and_no_copy(s3_server: S3Server, settings: Settings, tmp_path: Path) -> None:
    roots = tmp_path / "one", tmp_path / "two"
    one, other = (process(settings, root) for root in roots)
    samples = [Sample("chat", f"s{n}", n * DAY, MARKER if n == 3 else f"ordinary {n}", {}, None, "a") for n in range(5)]
    DataSets(roots[0], one).add("chat", "train", samples, Lengths(), now=0.0)
    one.publish(roots[0] / "reports" / "chat" / "r1", {}, lambda draft: _tell(draft, MARKER))
    one.publish(roots[0] / "reports" / "chat" / "r2", {}, lambda draft: _tell(draft, "nothing"))
    DataSets(roots[1], other).load("chat", "train")
    assert [*holding(s3_server.files()), *holding(roots[1].rglob("*"))]
    with closing(SqliteStore(tmp_path / "driftgate.sqlite")) as store:
        (erasure,) = Forgetting(store, Places(roots[0], one)).forget("s3", ["chat"], actor="", now=9 * DAY)
        assert Forgetting(store, Places(roots[0], one)).forget("s3", ["chat"], actor="", now=9 * DAY)[0].erased == {}
    assert erasure.erased == {"data sets": 1, "reports": 1}
    time.sleep(1.1)  # as old as a look may be
    assert other.sweep() == 1
    assert [*holding(s3_server.files()), *holding(roots[0].rglob("*")), *holding(roots[1].rglob("*"))] == []
    assert [row.sample.id for row in DataSets(roots[1], other).load("chat", "train").rows] == ["s0", "s1", "s2", "s4"]
    assert one.names(roots[0] / "reports" / "chat") == ["r2"]


def test_an_erasure_that_died_over_a_new_folder_leaves_nothing_once_repeated(
    s3_server: S3Server, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = process(settings, tmp_path)
    target = publish(folders, tmp_path, rows=MARKER)
    monkeypatch.setattr(ObjectFolders, "_withdraw", lambda *_: None)  # it died just before
    folders.replace(target, lambda draft: _rows(draft, "erased"), {"erased": 1})
    monkeypatch.undo()
    time.sleep(1.1)  # servers tell seconds
    later = f"files/references/chat/v1/{'0' * 40}"
    bucket(settings).put(later, b"of a revision that is under way")
    bucket(settings).put("files/references/chat/v2/unpublished", b"of a publication that is under way")
    assert [*holding(s3_server.files())]
    folders.mend(target.parent)
    assert not [*holding(s3_server.files())]
    assert {later, "files/references/chat/v2/unpublished"} < {*keys(settings, "files")}
    assert rows_of(process(settings, tmp_path / "other"), tmp_path / "other" / "references" / "chat" / "v1") == "erased"


def _rows(draft: Path, rows: str) -> None:
    (draft / "rows.jsonl").write_text(rows, encoding="utf-8")


def holding(paths: Any) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and MARKER.encode() in path.read_bytes())


def _tell(draft: Path, text: str) -> None:
    (draft / "report.md").write_text(text, encoding="utf-8")


def test_a_sample_is_not_added_twice_by_two_who_add_at_once(settings: Settings, tmp_path: Path) -> None:
    sample = Sample("chat", "s0", 0.0, "text", {}, None, "a")
    sites = [DataSets(root, process(settings, root)) for root in (tmp_path / "one", tmp_path / "two")]
    for number, data_sets in enumerate((*sites, *sites)):
        data_sets.add("chat", "train", [replace(sample, id=f"s{number}")], Lengths(), now=float(number))
    assert [made["version"] for made in sites[1].versions("chat", "train")] == [1, 2, 3, 4]
