"""Folders that are published as a whole or not at all, and tell damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.artefacts import publish, read_manifest, replace_text, versions
from service.errors import ArtefactError


def write(draft: Path) -> None:
    (draft / "rows.jsonl").write_text('{"id": "a"}\n')
    (draft / "numbers.bin").write_bytes(bytes(3_000_000))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    target = tmp_path / "chat" / "v1"
    publish(target, {"kind": "test"}, write)
    return target


def test_a_manifest_names_every_file_with_its_checksum(published: Path) -> None:
    manifest = read_manifest(published)
    assert manifest["kind"] == "test"
    assert set(manifest["files"]) == {"rows.jsonl", "numbers.bin"}
    assert all(len(checksum) == 40 for checksum in manifest["files"].values())


def test_nothing_appears_when_writing_fails(tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        write(draft)
        raise OSError("disk full")

    with pytest.raises(ArtefactError, match="disk full"):
        publish(tmp_path / "v1", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_json_cannot_hold_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        publish(tmp_path / "v1", {"threshold": float("nan")}, write)
    assert list(tmp_path.iterdir()) == []


def test_published_versions_never_change(published: Path) -> None:
    before = read_manifest(published)
    with pytest.raises(ArtefactError, match="v1: exists already"):
        publish(published, {"kind": "other"}, write)
    assert read_manifest(published) == before
    assert [path.name for path in published.parent.iterdir()] == ["v1"]


@pytest.mark.parametrize("name", ["rows.jsonl", "numbers.bin"])
def test_a_changed_file_is_named(published: Path, name: str) -> None:
    content = bytearray((published / name).read_bytes())
    content[-1] ^= 1
    (published / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"{name}: damaged.*restore"):
        read_manifest(published)
    assert read_manifest(published, verify=False)["kind"] == "test"


def test_a_missing_file_is_named(published: Path) -> None:
    (published / "rows.jsonl").unlink()
    with pytest.raises(ArtefactError, match=r"rows\.jsonl: missing"):
        read_manifest(published)


def test_a_damaged_manifest_is_named(published: Path) -> None:
    (published / "manifest.json").write_text('{"kind": ')
    with pytest.raises(ArtefactError, match=r"manifest\.json: damaged"):
        read_manifest(published)
    (published / "manifest.json").unlink()
    with pytest.raises(ArtefactError, match=r"no manifest\.json"):
        read_manifest(published)


def test_versions_are_numbers_in_order_and_drafts_are_none(tmp_path: Path) -> None:
    for name in ("v10", "v2", "v1", ".draft-v3", "vx", "notes"):
        (tmp_path / name).mkdir()
    assert versions(tmp_path) == [1, 2, 10]
    assert versions(tmp_path / "missing") == []


def test_a_small_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "current"
    replace_text(path, "1\n")
    replace_text(path, json.dumps([2]))
    assert path.read_text() == "[2]"
    assert list(tmp_path.iterdir()) == [path]
