"""Pages whose blocks are run, each from its beginning in a folder of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.architecture.blocks import ROOT
from tests.e2e.pages import run, run_pages

QUICKSTART = ROOT / "docs/quickstart.md"


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in run_pages() if page != QUICKSTART], ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    run(page, folder, home=tmp_path / "home", path=[Path(sys.executable).parent], seconds=900)
