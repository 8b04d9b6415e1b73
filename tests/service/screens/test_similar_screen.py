"""What is near to something, where there is nothing to search."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from service.screens.similar import similar_screen

NONE: dict[str, Any] = {"near_to": "sample m-17", "reference_version": 3, "kept": 0, "searched": 0, "matches": []}


def drawn(screen: RenderableType) -> str:
    shown = StringIO()
    Console(file=shown, width=160).print(screen)
    return shown.getvalue()


def test_where_nothing_is_kept_it_says_how_samples_come() -> None:
    told = drawn(similar_screen(NONE))
    assert "nothing is kept under reference version 3 yet" in told
    assert "`driftgate pool import`" in told
    assert "widen" not in told


def test_where_the_narrowing_leaves_none_it_says_what_narrows() -> None:
    assert "widen --segment" in drawn(similar_screen({**NONE, "kept": 40}))
