"""What a team may take, and how much of it is taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from service.access.buckets import Buckets
from service.annotation.pricing import price_of
from service.errors import BacklogFullError, ConflictError
from service.ports import Store
from service.records import AnnotationBatch, BatchState
from service.selecting.spending import paid
from service.settings import PERIOD_DAYS, MonitorSettings, Settings, TeamSettings

RATE_SECONDS = 10.0
"""What `samples_per_second` is averaged over."""

_MOST_BATCHES = 10_000
_MEASURED_SECONDS = 60.0
_KNOWN_SECONDS = 1.0
"""So long a sum of what a team has paid is taken for true."""


@dataclass(frozen=True, slots=True)
class Use:
    """One limit of a team; `limit` is None where there is none."""

    quota: str
    unit: str
    used: float
    limit: float | None


def require_room(settings: Settings, monitor: MonitorSettings) -> None:
    """ConflictError where the monitor would be one more than its team may have."""
    team = settings.team_of(monitor)
    most = None if team is None else team.quotas.monitors
    if team is None or most is None:
        return
    others = [known.name for known in settings.monitors if known.team == team.name and known.name != monitor.name]
    if len(others) >= most:
        raise ConflictError(
            f"monitor {monitor.name}: team {team.name} may have {most} monitors (teams.quotas.monitors) and has {len(others)}; "
            "end one of them, or raise the quota"
        )


class Meter:
    """Counts the samples that a process takes over HTTP for each team. Safe to use from several threads."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._known: Settings | None = None
        self._teams: Mapping[str, str] = {}
        self._rates: Mapping[str, float] = {}
        self._buckets: dict[str, Buckets] = {}
        self._turn = threading.Lock()

    def take(self, samples: Mapping[str, int], now: float) -> None:
        """Of each monitor so many; BacklogFullError where its team has had what it may, and none of that request counts."""
        self._follow()
        if not self._rates:
            return
        wanted: dict[str, int] = {}
        for monitor, count in samples.items():
            team = self._teams.get(monitor, "")
            if team in self._rates:
                wanted[team] = wanted.get(team, 0) + count
        for team, count in wanted.items():
            wait = self._buckets[team].take(team, now, float(count))
            if wait > 0:
                raise BacklogFullError(
                    f"team {team} may send {self._rates[team]:g} samples a second (teams.quotas.samples_per_second); send them again later",
                    retry_after=wait,
                )

    def rate(self, team: str, now: float) -> float:
        """Samples a second of the team in this process, about."""
        self._follow()
        bucket = self._buckets.get(team)
        return 0.0 if bucket is None else bucket.taken(team, now) / RATE_SECONDS

    def _follow(self) -> None:
        """Goes by the configuration as it stands; a rate that stays keeps its count."""
        settings = self._settings()
        if settings is self._known:
            return
        with self._turn:
            self._teams = {monitor.name: monitor.team for monitor in settings.monitors if monitor.team is not None}
            rates = {team.name: rate for team in settings.teams if (rate := team.quotas.samples_per_second) is not None}
            for team, rate in rates.items():
                if rate != self._rates.get(team):
                    self._buckets[team] = Buckets(rate, max(1.0, rate * RATE_SECONDS))
            self._rates, self._known = rates, settings


class LabelMoney:
    """What teams have left for labels: batches that cost more wait, and a person may not send them either. Safe to use from several
    threads."""

    def __init__(self, store: Store, settings: Callable[[], Settings], *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def within(self, monitor: MonitorSettings) -> MonitorSettings:
        """The monitor's settings, by which no batch leaves by itself that costs more than its team has left."""
        left = self._left_of(monitor, _KNOWN_SECONDS)
        if left is None:
            return monitor
        own = monitor.annotation.automatic_cost
        cost = left if own is None else min(own, left)
        return monitor.model_copy(update={"annotation": monitor.annotation.model_copy(update={"automatic_cost": cost})})

    def require(self, batch: AnnotationBatch) -> None:
        """ConflictError where sending the batch would cost more than its team has left."""
        monitor = next((known for known in self._settings().monitors if known.name == batch.monitor), None)
        if monitor is None or batch.state is not BatchState.PROPOSED:
            return
        left, cost = self._left_of(monitor, 0.0), price_of(batch, monitor.annotation.price)
        if left is not None and cost is not None and cost > left:
            raise ConflictError(
                f"batch {batch.id} costs {cost:,.2f}, and team {monitor.team} has {left:,.2f} left of what its labels may cost in "
                f"{PERIOD_DAYS} days (teams.quotas.label_cost); it waits, or raise the quota"
            )

    def _left_of(self, monitor: MonitorSettings, seconds: float) -> float | None:
        """None where the team has no limit, or labels have no price."""
        settings, now = self._settings(), self._clock()
        team = settings.team_of(monitor)
        most = None if team is None else team.quotas.label_cost
        if team is None or most is None or not monitor.annotation.price:
            return None
        left, at = self._left.get(team.name, (0.0, -seconds))
        if now - at >= seconds:
            left, at = max(0.0, most - _spent([m for m in settings.monitors if m.team == team.name], self._store, now=now)), now
            self._left[team.name] = (left, at)
        return left


class PayloadRoom:
    """Whether there is room for more payloads of a team's monitors, as it was last measured. Safe to use from several threads."""

    def __init__(self, store: Store, settings: Callable[[], Settings], *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._known: dict[str, tuple[bool, float]] = {}
        self.left_out = 0
        """Samples that were kept without their payload."""

    def takes(self, monitor: str, samples: int) -> bool:
        """Whether so many samples of the monitor are kept with their payloads."""
        settings, now = self._settings(), self._clock()
        own = next((known for known in settings.monitors if known.name == monitor), None)
        team = None if own is None else settings.team_of(own)
        if team is None or team.quotas.blob_bytes is None:
            return True
        room, at = self._known.get(team.name, (True, -_MEASURED_SECONDS))
        if now - at >= _MEASURED_SECONDS:
            room = _payload_bytes(team.name, settings, self._store) < team.quotas.blob_bytes
            self._known[team.name] = room, now
        self.left_out += 0 if room else samples
        return room


def uses(settings: Settings, team: TeamSettings, store: Store, rate: float | None, *, now: float) -> tuple[Use, ...]:
    """The team's limits with what is used of each; `rate`: samples a second, where the process knows it."""
    quotas, own = team.quotas, [monitor for monitor in settings.monitors if monitor.team == team.name]
    found = [Use("monitors", "monitors", len(own), quotas.monitors)]
    if rate is not None:
        found.append(Use("samples_per_second", "samples a second over HTTP, in this process", round(rate, 2), quotas.samples_per_second))
    found.append(Use("blob_bytes", "bytes of recent samples' payloads", _payload_bytes(team.name, settings, store), quotas.blob_bytes))
    found.append(Use("label_cost", "money for labels in 30 days", round(_spent(own, store, now=now), 2), quotas.label_cost))
    return tuple(found)


def _payload_bytes(team: str, settings: Settings, store: Store) -> int:
    return sum(store.pool_bytes(monitor.name) for monitor in settings.monitors if monitor.team == team)


def _spent(monitors: Iterable[MonitorSettings], store: Store, *, now: float) -> float:
    return sum(paid(monitor, store.find(AnnotationBatch, monitor=monitor.name, limit=_MOST_BATCHES), now=now) for monitor in monitors)
