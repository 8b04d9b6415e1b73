"""An environment for each rival: they ask for versions of numpy and pandas that exclude each other, and ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Progress, Skipped
from benchmarks.public_sets import CACHE

HERE = Path(__file__).resolve().parent
FOLDER = CACHE / "rivals"
"""An environment for each, and in `found` what was measured in them."""

_CALM = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")
# nannyml tells its makers what it is used for, unless it is told not to.
_SILENT = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


def requirements(name: str) -> Path:
    """Every version pinned; `uv pip compile` made it from the `.in` file beside it."""
    return HERE / "requirements" / f"{name}.txt"


def interpreter(name: str, progress: Progress) -> Path:
    """Python of a rival's environment, which is built if it is missing or out of date."""
    folder = (FOLDER / name).resolve()
    python, built = folder / "bin/python", folder / "built-from.txt"
    wanted = requirements(name).read_text(encoding="utf-8")
    if not (built.exists() and built.read_text(encoding="utf-8") == wanted):
        progress(f"installing {name}")
        uv = _uv()
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _run(uv, "pip", "sync", "--quiet", "--python", str(python), str(requirements(name)))
        built.write_text(wanted, encoding="utf-8")
    return python


def variables() -> dict[str, str]:
    """The environment variables of a process inside."""
    return {**os.environ, **_CALM, **_SILENT, "PYTHONPATH": str(HERE)}


def _uv() -> str:
    found = shutil.which("uv") or next((str(path) for path in sorted(Path(".tools").glob("uv-*/bin/uv"))), None)
    if found is None:
        raise Skipped("needs uv to install the rivals (`make install` brings it)")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-500:]}")
