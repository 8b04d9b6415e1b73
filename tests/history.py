"""Commits of the repository's past, for what must work beside the present."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def has(commit: str) -> bool:
    """Whether the repository reaches back that far; a shallow clone does not."""
    return subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, check=False, capture_output=True).returncode == 0


def unpack(commit: str, target: Path, *folders: str) -> None:
    """These folders as they were, below the target."""
    target.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(["git", "archive", commit, *folders], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "--extract", "--directory", str(target)], input=packed, check=True)
