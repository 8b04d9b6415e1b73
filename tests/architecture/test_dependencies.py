"""What can be said of dependencies without asking anybody: they are bounded, locked with hashes, and come from one place."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
REGISTRY = "https://pypi.org/simple"


def direct() -> Iterator[str]:
    """Every requirement that the project names."""
    yield from PROJECT["project"]["dependencies"]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        yield from extra
    for group in PROJECT["dependency-groups"].values():
        yield from group
    yield from PROJECT["build-system"]["requires"]


def packages() -> list[dict[str, Any]]:
    """What the lock holds, without the project."""
    return [package for package in LOCK["package"] if package["source"] != {"editable": "."}]


@pytest.mark.parametrize("requirement", sorted(set(direct())))
def test_a_direct_dependency_has_a_floor_and_a_ceiling(requirement: str) -> None:
    """A new major version is a decision, not an accident."""
    assert re.search(r">=\d.*,<\d|==\d", requirement), requirement


def test_whatever_is_named_is_locked() -> None:
    locked = {package["name"] for package in LOCK["package"]}
    named = {re.split(r"[\[<>=; ]", requirement)[0].lower().replace("_", "-") for requirement in direct()}
    assert named - locked - {"hatchling"} == set()


def test_whatever_is_locked_comes_from_one_place_with_hashes() -> None:
    for package in packages():
        assert package["source"] == {"registry": REGISTRY}, package["name"]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        assert files, package["name"]
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]


def test_a_package_is_locked_twice_only_for_different_interpreters() -> None:
    twice = {name for name, count in Counter(package["name"] for package in packages()).items() if count > 1}
    for name in twice:
        markers = [tuple(package.get("resolution-markers", ())) for package in packages() if package["name"] == name]
        assert all(markers), name
        assert len(set(markers)) == len(markers), name
