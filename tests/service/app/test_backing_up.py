"""What a backup holds of an installation that goes on meanwhile, and what it leaves out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from service.app import back_up, restore
from service.artefacts import LOCAL, publish, read_manifest
from service.errors import ConfigurationError
from service.settings import Settings, parse

NOW = 1_800_000_000.0
HOUR = 3_600.0
DUMP = b"REDIS0012" + b"all there is" + b"\xff" + bytes(8)


def settings(folder: Path, **more: Any) -> Settings:
    """Whose directory is there, with a reference in two files."""
    found = parse({"directory": "state", **more}, base=folder)
    publish(found.directory / "references" / "chat" / "v1", {"rows": 2}, lambda draft: write(draft, "of before"))
    return found


def write(draft: Path, text: str) -> None:
    for name in ("a.npy", "z.npy"):
        (draft / name).write_text(text, encoding="utf-8")


def dumped(folder: Path, content: bytes = DUMP, *, age: float = 0.0) -> Path:
    path = folder / "dump.rdb"
    path.write_bytes(content)
    os.utime(path, (NOW - age, NOW - age))
    return path


def held(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_an_erasure_replaces_while_it_is_copied_is_whole_in_the_copy(tmp_path: Path) -> None:
    given = settings(tmp_path)
    reference, erased = given.directory / "references" / "chat" / "v1", list[int]()

    def copied(total: int) -> None:
        if not erased:
            LOCAL.replace(reference, lambda draft: write(draft, "of afterwards"), {"erased": 1})
        erased.append(total)

    made = back_up(given, tmp_path / "copy", now=NOW, copied=copied)
    found = made.folder / "files" / "references" / "chat" / "v1"
    assert read_manifest(found)["erased"] == 1
    assert (found / "a.npy").read_text(encoding="utf-8") == "of afterwards"


def test_what_an_erasure_has_moved_away_at_its_turn_is_copied_afterwards(tmp_path: Path) -> None:
    given = settings(tmp_path)
    reference = given.directory / "references" / "chat" / "v1"
    away = reference.rename(reference.with_name(".old-v1"))
    (given.directory / "reports").mkdir()
    (given.directory / "reports" / "later").write_text("", encoding="utf-8")

    def copied(_: int) -> None:
        if away.exists():
            away.rename(reference)

    made = back_up(given, tmp_path / "copy", now=NOW, copied=copied)
    assert read_manifest(made.folder / "files" / "references" / "chat" / "v1")["rows"] == 2


def test_what_is_damaged_where_it_lies_is_copied_as_it_is(tmp_path: Path) -> None:
    given = settings(tmp_path)
    (given.directory / "references" / "chat" / "v1" / "a.npy").write_text("damaged", encoding="utf-8")
    made = back_up(given, tmp_path / "copy", now=NOW)
    assert (made.folder / "files" / "references" / "chat" / "v1" / "a.npy").read_text(encoding="utf-8") == "damaged"


@pytest.mark.parametrize("place", ["state", "state/backups/one", "other/../state/one"])
def test_a_backup_does_not_lie_in_what_it_copies(tmp_path: Path, place: str) -> None:
    given = settings(tmp_path)
    with pytest.raises(ConfigurationError, match=r"--output .*exists already|--output .*lies in what is copied"):
        back_up(given, tmp_path / place, now=NOW)
    assert held(given.directory) == {f"references/chat/v1/{name}" for name in ("a.npy", "z.npy", "manifest.json")}


def test_what_is_mounted_there_is_neither_copied_nor_in_the_way(tmp_path: Path) -> None:
    given = settings(tmp_path)
    models = given.directory / "embedders" / "minilm"
    models.mkdir(parents=True)
    (models / "model.onnx").write_bytes(b"model")
    made = back_up(given, tmp_path / "copy", now=NOW)
    assert not any("model.onnx" in name for name in made.manifest["files"])

    given.directory.rename(tmp_path / "lost")
    models.mkdir(parents=True)
    (models / "model.onnx").write_bytes(b"mounted")
    restore(given, made.folder)
    assert (models / "model.onnx").read_bytes() == b"mounted"
    assert read_manifest(given.directory / "references" / "chat" / "v1")["rows"] == 2


def test_only_what_the_manifest_names_is_put_back(tmp_path: Path) -> None:
    given = settings(tmp_path)
    made = back_up(given, tmp_path / "copy", now=NOW)
    before = held(given.directory)
    (made.folder / "files" / "models").mkdir()
    (made.folder / "files" / "models" / "evil.onnx").write_bytes(b"added later")
    given.directory.rename(tmp_path / "lost")
    restore(given, made.folder)
    assert held(given.directory) - {"serve.lock"} == before


@pytest.mark.parametrize(
    ("content", "age", "says"),
    [
        (DUMP, HOUR - 1, ""),
        (DUMP, HOUR + 1, "more than an hour old"),
        (DUMP[:-1], 0, "it was broken off"),
        (b"REDIS", 0, "it was broken off"),
        (b"driftgate", 0, "no dump of Redis"),
    ],
)
def test_a_dump_is_whole_and_new(tmp_path: Path, content: bytes, age: float, says: str) -> None:
    given = settings(tmp_path, redis={"url": "redis://127.0.0.1:1/0"})
    dump = dumped(tmp_path, content, age=age)
    if not says:
        assert "redis.rdb" in back_up(given, tmp_path / "copy", now=NOW, dump=dump).manifest["files"]
        return
    with pytest.raises(ConfigurationError, match=says):
        back_up(given, tmp_path / "copy", now=NOW, dump=dump)
    assert not (tmp_path / "copy").exists()
