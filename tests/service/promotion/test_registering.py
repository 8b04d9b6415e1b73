"""Models on the shelf."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from service.promotion import Shelf
from service.records import Artefact


def test_a_model_that_several_fetch_at_once_is_whole_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models/chat/c1/x"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "model.onnx.data").write_bytes(b"weights")
    model, shelf, add = Artefact("models/chat/c1/x/model.onnx", "ab" * 32, ("a",), "m2", 0.0), Shelf(tmp_path), tarfile.TarFile.add
    asked: list[Path] = []

    def meanwhile(archive: tarfile.TarFile, *given: Any) -> None:
        if not asked:
            asked.append(tmp_path)
            asked.append(shelf.given_out(model))  # another request, while this one writes
        add(archive, *given)

    monkeypatch.setattr(tarfile.TarFile, "add", meanwhile)
    found = shelf.given_out(model)
    assert found == asked[1]
    with tarfile.open(found) as archive:
        assert archive.getnames() == ["model.onnx", "model.onnx.data"]
    assert [path.name for path in shelf.incoming.iterdir()] == [found.name]
