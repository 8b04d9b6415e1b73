"""Pages that are written from the program are what it would write now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["cli", pytest.param("http_api", marks=pytest.mark.long), "library"])
def test_a_reference_is_rendered_from_what_it_tells_of(name: str) -> None:
    rendered = runpy.run_path(str(DOCS / f"{name}.py"))["render"]()
    pages = rendered if isinstance(rendered, dict) else {DOCS / f"{name}.md": rendered}
    stale = [page.name for page, text in pages.items() if page.read_text(encoding="utf-8") != text]
    assert stale == [], f"run: .venv/bin/python docs/{name}.py"
