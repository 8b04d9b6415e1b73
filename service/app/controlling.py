"""What decides, and does what follows from decisions, while its process leads."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from service.access.auditing import expired
from service.app import metering
from service.app.destinations import Destinations
from service.app.installation import CONTROLLER, Installation
from service.app.privacy import retain
from service.app.telling import telling
from service.collecting import Collecting
from service.cycles.telling import CycleNews
from service.deciding import Deciding
from service.declarations import Declared
from service.failures.gathering import Gathering
from service.health import Heartbeats
from service.inbox import Inbox
from service.leading import Leading
from service.metrics import Metrics
from service.outbox import Lanes
from service.privacy.retaining import EVERY_SECONDS
from service.report.reporting import Reporting, Schedule
from service.serving import Every
from service.settings import Settings
from service.silence import Silence
from service.truth.telling import Telling

_AUDIT_SECONDS, _TIDY_SECONDS, _REPORT_SECONDS = 3_600.0, 300.0, 5.0
_LAST_SECONDS = 2.0
"""Which deliveries under way have to end, once the process does."""


class Controlling:
    """The controller of a process: its lease, its decisions, and what leads them out."""

    def __init__(self, installation: Installation, metrics: Metrics, heartbeats: Heartbeats, reporting: Reporting, inbox: Inbox) -> None:
        store, settings = installation.store, installation.settings
        self._installation, self._metrics, self._heartbeats = installation, metrics, heartbeats
        self._reporting, self._inbox = reporting, inbox
        self._leading = Leading(store, CONTROLLER, _holder(settings), settings.roles.lease_seconds)
        make = partial(installation.controller_for, fence=self._leading.right)
        self._deciding = Deciding(store, self._leading, make, beat=partial(heartbeats.beat, "controller"), lost=metrics.lead_lost)
        self._destinations = Destinations(settings, installation.links, installation.exhibits, alive=heartbeats.turning)
        self._outbox, self._resending = telling(installation, self._destinations, metrics)
        self._lanes = Lanes(self._outbox)
        self._collecting = Collecting(store, self._destinations.annotators, inbox)
        self.publish()
        self.declare(installation.declarations.declared)
        metering.of_installation(metrics, installation, self._leading, lambda: self._outbox.disabled)

    def follow(self, settings: Settings) -> None:
        """Destinations as they are now; one that can't be reached by them says so."""
        self._destinations.follow(settings)

    def publish(self) -> None:
        """Policies as the installation has them now."""
        self._installation.policies.publish(now=time.time())

    def declare(self, declared: Mapping[str, Declared]) -> None:
        """Decides for these monitors from now on."""
        self._deciding.declare(declared)

    def loops(self) -> Mapping[str, Callable[[], int]]:
        """What is done again and again, in the order of its flow; all but the first two only while this process leads."""
        decides = {"lease": self._leading.step, "controller": lambda: self._deciding.step(now=time.time())}
        follows, leaves = ({name: self._led(step) for name, step in each().items()} for each in (self._follows, self._leaves))
        seldom = {name: Every(seconds, self._led(step)) for name, (seconds, step) in self._seldom().items()}
        return {**decides, **follows, **seldom, **leaves}

    def notes(self) -> Mapping[str, str]:
        """What people should know of it now."""
        return {
            **{f"delivery {name}": "its labels can't be taken, the log says why" for name in self._inbox.stuck},
            **{f"answers from {name}": why for name, why in self._collecting.problems.items()},
            "leader": "yes" if self._leading.fence() is not None else "no, standing by",
            **{f"decisions of {name}": why for name, why in self._deciding.problems.items()},
            **{f"destination {name}": why for name, why in self._outbox.disabled.items()},
        }

    def close(self) -> None:
        """The next leader goes on from here, at once."""
        self._lanes.finish(_LAST_SECONDS)
        try:
            self._deciding.checkpoint(now=time.time())
        finally:
            self._leading.release()

    def _led(self, step: Callable[[float], int]) -> Callable[[], int]:
        return lambda: step(time.time()) if self._leading.fence() is not None else 0

    def _follows(self) -> Mapping[str, Callable[[float], int]]:
        """What follows from what is stored, and from the clock."""
        installation, store = self._installation, self._installation.store
        beat = partial(self._heartbeats.beat, "promotion")

        def names() -> Sequence[str]:
            return installation.names

        return {
            "budget": lambda now: installation.allot(now=now),
            "refresh": lambda now: installation.refresher.step(now=now),
            "promotion": lambda now: installation.promotion.step(now=now, progress=lambda *_: beat()),
            "occasions": installation.occasions.step,
            "news": CycleNews(store, installation, installation.occasions.found).step,
            "silence": Silence(store, names, self._metrics).step,
            "truth": Telling(store, names).step,
            "failures": Gathering(store, installation.failures, names, installation.version).step,
        }

    def _leaves(self) -> Mapping[str, Callable[[float], int]]:
        """What comes in from destinations and goes out to them."""
        return {
            "inbox": self._inbox.step,
            "collecting": self._collecting.step,
            "outbox": self._lanes.step,
            "resending": self._resending.step,
        }

    def _seldom(self) -> Mapping[str, tuple[float, Callable[[float], int]]]:
        """What is looked after now and then: seconds between, and the step."""
        installation, store = self._installation, self._installation.store
        schedule = Schedule(self._reporting, lambda: installation.names, lambda: installation.settings.report.every_hours)

        def tidy(now: float) -> int:
            store.tidy(now=now)
            return 0

        return {
            "reviews": (_REPORT_SECONDS, lambda now: installation.reviews.tend(installation.names, now=now)),
            "upkeep": (_TIDY_SECONDS, tidy),
            "retention": (EVERY_SECONDS, partial(retain, store, installation.folders, lambda: installation.settings, self._metrics)),
            "forgetting": (_REPORT_SECONDS, lambda now: installation.forgetting.step(installation.names, now=now)),
            "audit": (_AUDIT_SECONDS, lambda now: expired(store, days=installation.settings.access.audit_days, now=now)),
            "reports": (_REPORT_SECONDS, schedule.step),
        }


def _holder(settings: Settings) -> str:
    """Where one process alone works in the directory it holds its lease over a restart."""
    return "serve" if settings.redis is None else f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
