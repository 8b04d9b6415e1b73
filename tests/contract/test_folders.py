"""Published folders: one suite over a disk that all share and over object storage. What a crash leaves, and what is particular to a bucket,
is in tests/service/adapters/test_object_storage.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from service.adapters.object_storage import ObjectFolders, Objects
from service.artefacts import LOCAL, PublishedError, versions
from service.errors import ArtefactError
from service.ports import Folders
from service.settings import Settings, parse
from tests.operations.receiver import until
from tests.servers.s3_server import S3Server

ROWS = '{"id": "a"}\n'
_PREFIXES = count()

Site: TypeAlias = Callable[[], tuple[Folders, Path]]
"""Each call is another process: its folders, and its installation's directory."""


def settings_for(server: S3Server, folder: Path, prefix: str | None = None) -> Settings:
    storage = server.storage(prefix or f"test-{next(_PREFIXES)}")
    servers = {"kafka": {"brokers": ["127.0.0.1:1"]}, "redis": {"url": "redis://127.0.0.1:1/0"}}
    return parse({"directory": str(folder), "storage": dict(storage), **servers}, base=folder, environment=False)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.server("versitygw"))])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "disk":
        yield lambda: (LOCAL, tmp_path)
        return
    settings = settings_for(request.getfixturevalue("s3_server"), tmp_path)
    numbers = count()

    def another() -> tuple[Folders, Path]:
        root = tmp_path / f"process-{next(numbers)}"
        return ObjectFolders(Objects(settings.storage), root, cache_bytes=10**9), root  # type: ignore[arg-type]  # of type s3, as declared

    yield another


def write(draft: Path, rows: str = ROWS) -> None:
    (draft / "rows.jsonl").write_text(rows, encoding="utf-8")
    (draft / "numbers.bin").write_bytes(bytes(9_000_000))


def publish(folders: Folders, root: Path, version: int = 1, rows: str = ROWS) -> Path:
    target = root / "references" / "chat" / f"v{version}"
    folders.publish(target, {"kind": "test", "provisional": False}, lambda draft: write(draft, rows))
    return target


def erase(draft: Path) -> None:
    (draft / "rows.jsonl").write_text("erased\n", encoding="utf-8")


def rows_of(folders: Folders, folder: Path) -> str:
    folders.verified(folder)
    return (folders.here(folder) / "rows.jsonl").read_text(encoding="utf-8")


def test_nothing_is_there_at_first(site: Site) -> None:
    folders, root = site()
    absent = root / "references" / "chat" / "v1"
    assert (list(folders.names(absent.parent)), folders.changed(absent.parent) or 0, folders.revised(absent) or 0) == ([], 0, 0)
    assert not folders.here(absent).exists()
    with pytest.raises(ArtefactError, match="v1"):
        folders.manifest(absent)


def test_what_one_published_others_have(site: Site) -> None:
    publish(*site())
    folders, root = site()
    target = root / "references" / "chat" / "v1"
    assert versions(target.parent, folders.names) == [1]
    assert folders.manifest(target)["kind"] == "test"
    assert rows_of(folders, target) == ROWS
    assert sorted(path.name for path in folders.here(target).iterdir()) == ["manifest.json", "numbers.bin", "rows.jsonl"]


def test_whoever_knew_it_before_sees_what_came_since(site: Site) -> None:
    (one, there), (other, here) = site(), site()
    assert list(other.names(here / "references" / "chat")) == []
    publish(one, there)
    assert rows_of(other, here / "references" / "chat" / "v1") == ROWS


def test_a_version_is_published_once_whoever_tries(site: Site) -> None:
    sites = [site() for _ in range(4)]

    def attempt(number: int) -> bool:
        try:
            publish(*sites[number], rows=f"{number}\n")
        except PublishedError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(attempt, range(4)))
    assert won.count(True) == 1
    assert {rows_of(folders, root / "references" / "chat" / "v1") for folders, root in sites} == {f"{won.index(True)}\n"}


def test_nothing_appears_when_writing_fails(site: Site) -> None:
    folders, root = site()

    def fail(draft: Path) -> None:
        write(draft)
        raise OSError(28, "No space left on device")

    with pytest.raises(ArtefactError, match="No space left"):
        folders.publish(root / "references" / "chat" / "v1", {}, fail)
    assert list(folders.names(root / "references" / "chat")) == []
    assert not list((root / "references" / "chat").iterdir())


def test_an_erasure_is_another_revision_for_everybody(site: Site) -> None:
    (one, there), (other, here) = site(), site()
    publish(one, there, rows="secret\n")
    known = here / "references" / "chat" / "v1"
    before = (rows_of(other, known), other.revised(known))
    one.replace(there / "references" / "chat" / "v1", erase, {"erased": 1})
    forgotten, root = site()
    manifest = forgotten.manifest(root / "references" / "chat" / "v1")
    assert (manifest["revision"], manifest["erased"], manifest["kind"]) == (2, 1, "test")
    assert rows_of(forgotten, root / "references" / "chat" / "v1") == "erased\n"
    until(lambda: other.revised(known) != before[1], what="a look of its own")
    assert rows_of(other, known) == "erased\n"
    assert len(forgotten.manifest(root / "references" / "chat" / "v1")["files"]) == 2


def test_what_is_removed_is_gone(site: Site) -> None:
    folders, root = site()
    for version in (1, 2):
        publish(folders, root, version)
    folders.remove(root / "references" / "chat" / "v1")
    assert versions(root / "references" / "chat", folders.names) == [2]
    assert not folders.here(root / "references" / "chat" / "v1").exists()
    folders.remove(root / "references" / "chat" / "v1")


def test_a_folder_that_was_made_by_hand_can_be_shared(site: Site) -> None:
    (one, there), (other, here) = site(), site()
    model = there / "models" / "chat" / "cycle" / "abc"
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.onnx").write_bytes(b"model")
    one.share(model)
    (model / "switch").mkdir()
    (model / "switch" / "model.onnx").write_bytes(b"switch")
    one.share(model / "switch")
    found = here / "models" / "chat" / "cycle" / "abc"
    assert (other.here(found) / "model.onnx").read_bytes() == b"model"
    assert (other.here(found / "switch") / "model.onnx").read_bytes() == b"switch"


def test_a_damaged_manifest_or_file_is_told(site: Site) -> None:
    folders, root = site()
    target = publish(folders, root)
    assert folders.verified(target)["files"].keys() == {"rows.jsonl", "numbers.bin"}
    folders.mend(target.parent)
    folders.sweep()
    folders.tidy(now=2e9)
    assert rows_of(folders, target) == ROWS
