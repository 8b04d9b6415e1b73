"""Other versions of driftgate beside this one: one of the past, out of the repository's history, and one of the future, made up."""

from __future__ import annotations

from dataclasses import replace

from tests import history
from tests.chaos.site import PRESENT, Program, Site

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
    tree = history.ROOT / ".cache" / "versions" / OLDER
    if not tree.is_dir():
        made = tree.with_suffix(".making")
        history.unpack(OLDER, made, "service", "detectors", "tests")
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
