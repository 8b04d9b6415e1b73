"""The examples in the documentation of every module are true."""

import doctest
import importlib
import pkgutil

import pytest

import detectors


def modules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(detectors.__path__, "detectors.")]


def test_the_packages_map_names_every_module() -> None:
    named = {name.removeprefix("detectors.").split(".")[0] for name in modules()} - {"base"}
    assert [name for name in sorted(named) if f"`{name}`" not in (detectors.__doc__ or "")] == []


@pytest.mark.parametrize("name", modules())
def test_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
