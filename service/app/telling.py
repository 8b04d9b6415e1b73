"""How a process tells people, and tries whether it can."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from service import refresh
from service.app.destinations import Destinations
from service.app.installation import CONTROLLER, Installation
from service.leading import Leading
from service.notifying import trial
from service.notifying.pipeline import assembled
from service.notifying.resending import Resending
from service.observe import Observer, Silent
from service.outbox import Outbox


def telling(installation: Installation, destinations: Destinations, observer: Observer) -> tuple[Outbox, Resending]:
    """What sends what is new, and what sends again what stands."""
    store = installation.store
    outbox = Outbox(
        store,
        destinations,
        observer,
        rng=np.random.default_rng(),
        stages=partial(assembled, store, lambda: installation.settings),
        received=partial(refresh.received, store),
    )
    return outbox, Resending(store, lambda: installation.settings, destinations)


def try_ways(installation: Installation, ways: Sequence[trial.Way], *, actor: str, seconds: float) -> Sequence[trial.Outcome]:
    """A test through each: by whoever leads, which is how news go; where nobody does, from here."""
    now = time.time()
    items = trial.items(ways, actor=actor, now=now)
    installation.store.save(outbox=items)
    leading = Leading(installation.store, CONTROLLER, f"command {os.getpid()}", installation.settings.roles.lease_seconds)
    leading.step()
    try:
        if leading.fence() is not None:
            destinations = Destinations(installation.settings, installation.links, installation.exhibits)
            outbox, _ = telling(installation, destinations, Silent())
            for item in items:
                outbox.take(item, now=time.time())
                leading.step()
            destinations.close()
    finally:
        leading.release()
    return trial.awaited(installation.store, ways, items, seconds=seconds)
