"""What every test relies on: one thread per library, bounded hypothesis profiles, servers that are skipped or demanded."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["tests.servers.fixtures", "tests.service.text_site", "tests.service.refresh_bench"]

IN_CI = os.environ.get("CI") == "true"

# Before any test imports numpy: neither speed nor rounding may depend on how many cores there are.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# tokenizers brings a hub client; nothing here may ask the network.
os.environ["HF_HUB_OFFLINE"] = "1"

QUICK = tuple(Path(__file__).parent / folder for folder in ("browser", "chaos", "detectors", "e2e", "operations", "service"))
"""Nothing in these claims a rate of false alarms."""
QUICK_PANES = 256
"""Of a null stream there: enough for every window length that is simulated, so that thresholds hold to a few per cent."""

hypothesis.settings.register_profile("local", deadline=None, max_examples=50)
hypothesis.settings.register_profile("unit", deadline=None, max_examples=15)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Quick tests, and the fixtures that they share, calibrate on shorter null streams; what claims a rate calibrates as users do."""
    with pytest.MonkeyPatch.context() as patch:
        if any(item.path.is_relative_to(folder) for folder in QUICK):
            patch.setattr("detectors.calibration._PANES", QUICK_PANES)
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `server("redis-server")` or `server("kafka")` needs that: without it the test is skipped, and fails in CI."""
    from tests.servers.needed import CLUSTER, present  # after the threads are set

    missing = [name for mark in item.iter_markers("server") for name in mark.args if not present(name)]
    if missing:
        give_up = pytest.fail if IN_CI else pytest.skip
        target = "servers-cluster" if CLUSTER.issuperset(missing) else "servers"
        give_up(f"needs {', '.join(missing)}: `make {target}` installs it")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The real sentence embedder, built once and kept between runs."""
    from service.model_build import cached_minilm  # after the threads are set

    return cached_minilm(Path(__file__).parents[1] / ".cache" / "models")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. For a module's length and no longer: while Playwright drives it, the thread counts as running an event loop."""
    from playwright.sync_api import sync_playwright  # only where a browser is needed

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        yield launched
        launched.close()
