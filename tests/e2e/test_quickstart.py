"""The quickstart, as it stands on its page: from a checkout to an alarm, in a clean copy with an empty home."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.blocks import ROOT
from tests.e2e.pages import run

PAGE = ROOT / "docs/quickstart.md"


@pytest.mark.long
def test_the_quickstart_leads_from_a_checkout_to_an_alarm(tmp_path: Path) -> None:
    checkout = tmp_path / "driftgate"
    copied(checkout)
    printed = run(PAGE, checkout, home=tmp_path / "home", path=[Path(sys.base_prefix) / "bin"], seconds=1500)
    *_, posted, explained, _ = printed.split("--- docs/quickstart.md:")
    assert "\n202\n" in posted
    assert "new content on support-chat" in explained, explained
    assert list((tmp_path / "home/drift/inbox").iterdir())


def copied(target: Path) -> None:
    """The files that git knows, as they are now: what a clone would hold once they are committed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
