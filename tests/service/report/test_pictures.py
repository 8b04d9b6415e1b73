"""Small pictures of samples."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from service.report.pictures import small_png


def encoded(size: tuple[int, int], form: str, mode: str = "RGB") -> bytes:
    target = io.BytesIO()
    Image.new(mode, size).save(target, form)
    return target.getvalue()


def test_a_picture_is_made_small() -> None:
    made = small_png(encoded((400, 200), "PNG"))
    assert made is not None
    assert Image.open(io.BytesIO(made)).size == (96, 48)


def test_a_large_photograph_is_read_small() -> None:
    assert small_png(encoded((5_000, 3_300), "JPEG", "L")) is not None


def test_a_small_file_of_a_picture_that_fills_the_memory_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded((5_000, 3_300), "PNG", "1")
    assert len(content) < 10_000
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was decoded"))
    assert small_png(content) is None


def test_what_is_no_picture_is_none() -> None:
    assert small_png(b"no picture") is None
