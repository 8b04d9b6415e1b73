"""Other versions of driftgate beside this one: one of the past, out of the repository's history, and one of the future, made up."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from tests.chaos.site import PRESENT, Program, Site

ROOT = Path(__file__).parents[2]
OLDER = "0773d1fc3091d127217cd4028d447a188950ba8b"
"""The last commit whose keys in Redis are of the level before: the commit of a tag, once there is one."""

CONFIG = "older.yaml"
_BEGIN = f"""
from pathlib import Path
from service.app import opened
from service.settings import load
from tests.chaos.site import build_reference
with opened(load(Path("{CONFIG}"))) as installation:
    build_reference(installation)
"""

_NEWER = """
from service.adapters.redis_store import levels
from service.adapters.redis_store.levels import Step
levels.STEPS[levels.NEWEST] = Step("redis.call('SET', key('added'), 1)", oldest=levels.NEWEST{breaks})
levels.NEWEST += 1
"""


def older() -> Program:
    """The program of `OLDER`, unpacked once."""
    tree = ROOT / ".cache" / "versions" / OLDER
    if not tree.is_dir():
        made = tree.with_suffix(".making")
        with tarfile.open(fileobj=io.BytesIO(_archive())) as archive:
            archive.extractall(made, filter="data")
        made.rename(tree)
    return Program(tree=tree, config=CONFIG)


def begin(site: Site) -> None:
    """As the older program does it, by a configuration in its words."""
    document = {**site.document()}
    del document["outbound"]
    document["destinations"] = [{**destination, "allow_private": True} for destination in document["destinations"]]
    site.configure(CONFIG, document)
    site.run(replace(older(), code=_BEGIN))


def newer(*, breaks: bool = False) -> Program:
    """The present one with another level above; `breaks`: those before it can't work on that."""
    return Program(_NEWER.format(breaks=" + 1" if breaks else "") + PRESENT.code)


def has_history() -> bool:
    """Whether the repository reaches back that far."""
    return subprocess.run(["git", "cat-file", "-e", f"{OLDER}^{{commit}}"], cwd=ROOT, check=False, capture_output=True).returncode == 0


def _archive() -> bytes:
    return subprocess.run(["git", "archive", OLDER, "service", "detectors", "tests"], cwd=ROOT, check=True, capture_output=True).stdout
