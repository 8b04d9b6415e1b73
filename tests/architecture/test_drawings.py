"""Pictures of the concepts that need neither minutes nor an embedder are those that the detectors draw today."""

from __future__ import annotations

import pytest

from docs.drawings import DRAWINGS, FOLDER, MOST_BYTES
from tests.architecture.test_source import none


@pytest.mark.parametrize("name", ["loop", "verification", "switch"])
def test_a_picture_is_what_is_drawn(name: str) -> None:
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == DRAWINGS[name]().svg(), f"run: .venv/bin/python -m docs.drawings {name}"


def test_every_picture_is_there_and_small() -> None:
    sizes = {name: (FOLDER / f"{name}.svg").stat().st_size for name in DRAWINGS}
    none(f"{name}: {size:,} bytes" for name, size in sizes.items() if size > MOST_BYTES)
