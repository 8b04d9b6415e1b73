"""What `pip install driftgate` brings, read from the installed metadata and the lock file: nothing is installed here."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1_000_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def needed(requirement: Requirement) -> list[Requirement]:
    """What the distribution needs here, with the extras that are asked for and no others."""
    parsed = [Requirement(text) for text in requires(requirement.name) or ()]
    return [r for r in parsed for extra in ("", *requirement.extras) if r.marker is None or r.marker.evaluate({"extra": extra})]


def closure(name: str) -> set[str]:
    found: set[str] = set()
    waiting = needed(Requirement(name))
    seen: set[str] = set()
    while waiting:
        one = waiting.pop()
        if str(one) not in seen:
            seen.add(str(one))
            found.add(re.sub(r"[-_.]+", "-", one.name).lower())
            waiting += needed(one)
    return found


def size(dist: Distribution) -> int:
    """Bytes that the distribution occupies, without the bytecode that the interpreter adds."""
    paths = (Path(str(dist.locate_file(file))) for file in dist.files or () if file.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file())


def test_bare_distribution_is_small_and_without_torch() -> None:
    names = closure("driftgate")
    assert names >= {"lz4", "python-snappy", "zstandard"}  # a topic may be compressed with any codec that Kafka knows
    assert names.isdisjoint({"torch", "sentence-transformers", "transformers", "scikit-learn", "pandas", "pyarrow", "onnx"})
    assert sum(size(distribution(name)) for name in names) < 350 * MEGABYTE


def locked(extra: str) -> set[str]:
    """What the lock file installs here for the project with one extra."""
    packages = {each["name"]: each for each in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]}
    project = packages["driftgate"]
    waiting = [*project["dependencies"], *project["optional-dependencies"][extra]]
    found: set[str] = set()
    while waiting:
        one = waiting.pop()
        if one["name"] not in found and Marker(one.get("marker", "python_version > '0'")).evaluate():
            found.add(one["name"])
            package = packages[one["name"]]
            asked = [package["optional-dependencies"][name] for name in one.get("extra", ())]
            waiting += [*package.get("dependencies", ()), *(each for listed in asked for each in listed)]
    return found


@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - {"train"}))
def test_no_other_extra_brings_torch(extra: str) -> None:
    """Not even the weights whose metadata ask for sentence-transformers."""
    assert locked(extra).isdisjoint({"torch", "transformers", "sentence-transformers"})


def test_the_extra_for_training_brings_torch_alone() -> None:
    names = locked("train")
    assert names >= {"torch", "onnx"}
    assert names.isdisjoint({"transformers", "sentence-transformers", "scikit-learn"})


def test_every_dependency_has_an_upper_bound() -> None:
    listed = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    assert [r for r in listed if not re.search(r"<|==", r)] == []
