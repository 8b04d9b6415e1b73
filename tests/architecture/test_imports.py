"""What starting the program costs: heavy libraries are loaded by the commands that need them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.test_source import modules, none

TRAINS = ("service/training/", "service/cli/train.py")


def loaded_by(statement: str) -> set[str]:
    listing = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="module")
def loaded_by_cli() -> set[str]:
    return loaded_by("import service.cli")


@pytest.mark.parametrize(
    "library", ["scipy.stats", "scipy.optimize", "onnxruntime", "onnx", "tokenizers", "pyarrow", "fastapi", "uvicorn", "torch"]
)
def test_the_command_line_starts_without(library: str, loaded_by_cli: set[str]) -> None:
    assert library not in loaded_by_cli


@pytest.mark.long
def test_the_whole_service_starts_without_torch() -> None:
    loaded = loaded_by("import service.app, service.api")
    assert loaded & {"torch", "transformers", "sentence_transformers", "sklearn"} == set()


def test_the_library_stands_alone() -> None:
    loaded = loaded_by("import detectors")
    assert {name.split(".")[0] for name in loaded} & {"service", "pydantic", "fastapi", "onnxruntime", "prometheus_client"} == set()


def test_nothing_but_its_command_knows_the_reference_trainer() -> None:
    """Not even lazily: a team puts its own job in the trainer's place."""
    none(f"{m}" for m in modules("service") if "service.training" in m.text and not str(m).startswith(TRAINS))
