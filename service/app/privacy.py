"""Where samples lie in an installation, for those who let them go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

from service.adapters.sqlite import SqliteStore
from service.adapters.sqlite.blotting import blot
from service.app.files import LOG
from service.artefacts import LOCAL
from service.backfill import Backfills
from service.declarations import Declared
from service.metrics import Metrics, inventory
from service.ports import Folders, Store
from service.privacy.entries import expired, without
from service.privacy.forgetting import Places
from service.privacy.leaving import left_behind
from service.privacy.retaining import Retaining
from service.records import Backfill, Partition
from service.settings import Settings

_SETTLE_SECONDS = 0.5
"""For a commit that was being written when a sample was forgotten."""

_EMBEDDED = Partition("http", "")
"""As ids name the embedded log's only partition."""


def places(directory: Path, folders: Folders = LOCAL) -> Places:
    """All that lies below the installation's directory, besides the store."""
    return Places(directory, folders, partial(_backfills, directory), partial(_blot, directory), partial(time.sleep, _SETTLE_SECONDS))


def retain(store: Store, folders: Folders, settings: Callable[[], Settings], metrics: Metrics, now: float) -> int:
    """Lets go of what is too old by now, and counts it."""
    known = settings()
    privacy = {**left_behind(store), **{monitor.name: monitor.privacy for monitor in known.monitors}}
    gone = Retaining(store, places(known.directory, folders), privacy, partial(_expire_log, known.directory)).step(now=now)
    folders.tidy(now=now)
    for place, count in gone.items():
        metrics.count(inventory.EXPIRED, place, by=count)
    return sum(gone.values())


def keep_log(keep: Callable[[bool], None], declared: Mapping[str, Declared]) -> None:
    """Where payloads of a monitor must not be stored, entries of the embedded log go as soon as they are decided."""
    keep(all(known.settings.privacy.payloads == "keep" for known in declared.values()))


def _expire_log(directory: Path, befores: Mapping[str, float]) -> int:
    return blot(directory / LOG, expired(befores), until=max(befores.values()))


def _backfills(directory: Path, monitor: str) -> Iterator[AbstractContextManager[Store]]:
    backfills = Backfills(directory)
    found = (each for each in backfills.of(monitor, now=time.time()) if backfills.store_path(each).is_file())
    return (_opened(backfills, each) for each in found)


@contextmanager
def _opened(backfills: Backfills, backfill: Backfill) -> Iterator[Store]:
    """Its store; what is changed there is told in its document, too."""
    with closing(SqliteStore(backfills.store_path(backfill))) as store:
        yield store
        backfills.retell(backfill, store)


def _blot(directory: Path, monitor: str, sample: str) -> int:
    return blot(directory / LOG, without(_EMBEDDED, monitor, sample))
