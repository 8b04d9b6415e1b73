"""A missing server is named locally and demanded in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.long

pytest_plugins = ["pytester"]

MARKED = """
import pytest

@pytest.mark.server("a-server-nobody-has")
def test_it(): ...
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "skipped"), ("true", "errors")])
def test_missing_server(ci: str, outcome: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = server(name)")
    pytester.makepyfile(MARKED)
    result = pytester.runpytest_subprocess("-rs")
    assert result.parseoutcomes() == {outcome: 1}
    result.stdout.fnmatch_lines(["*needs a-server-nobody-has: `make servers` installs it*"])
