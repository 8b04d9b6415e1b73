"""Alarms as whoever leads knows them: read from the store once and followed from then on, so that thousands cost a scrape nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from service.budget import DAY
from service.metrics import inventory as the
from service.metrics.reading import Point
from service.pages import pages
from service.ports import Store
from service.records import Alarm, AlarmState, Family, Regime
from service.settings import BudgetSettings

STANDING = (AlarmState.OPEN, AlarmState.ACKNOWLEDGED)
_PAGE = 500
_MOST_NEWS = 10_000
"""Steps of alarms between two scrapes; with more, all is read anew."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is told of an alarm of drift."""

    version: int
    monitor: str
    state: AlarmState
    severity: str
    opened: float
    notifies: bool
    spends: bool
    """Whether it is one of those that the budget is for."""


class AlarmBook:
    """Those that stand, and those that opened within the budget's days."""

    def __init__(
        self,
        store: Store,
        monitors: Callable[[], Collection[str]],
        budget: Callable[[], BudgetSettings],
        *,
        term: Callable[[], object],
        clock: Callable[[], float],
    ) -> None:
        """term: changes with whoever leads."""
        self._store = store
        self._monitors = monitors
        self._budget = budget
        self._term = term
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._news: deque[Alarm] = deque(maxlen=_MOST_NEWS)
        self._read_in: object = None

    def step(self, alarm: Alarm) -> None:
        """An alarm took a step; asked for at the next scrape."""
        self._news.append(alarm)

    def points(self) -> Iterator[Point]:
        """By monitor, state and severity; and how much of the budget each monitor has used."""
        budget, monitors = self._budget(), frozenset(self._monitors())
        since = self._clock() - budget.days * DAY
        self._renew(since)
        entries = [entry for entry in self._entries.values() if entry.monitor in monitors]
        stand = Counter((e.monitor, e.state.value, e.severity) for e in entries if e.notifies and e.state in STANDING)
        for labels, count in stand.items():
            yield the.ALARMS, labels, float(count)
        spent = Counter(entry.monitor for entry in entries if entry.spends and entry.opened >= since)
        for monitor in monitors:
            yield the.BUDGET_USED, (monitor,), spent[monitor] / budget.alarms

    def _renew(self, since: float) -> None:
        term = self._term()
        if term != self._read_in or len(self._news) == _MOST_NEWS:
            self._news.clear()
            self._entries = dict(self._read(since))
            self._read_in = term
        while self._news:
            alarm = self._news.popleft()
            known = self._entries.get(alarm.id)
            if alarm.family is not Family.FEED and (known is None or known.version <= alarm.version):
                self._entries[alarm.id] = _entry(alarm)
        for name in [name for name, entry in self._entries.items() if entry.state not in STANDING and entry.opened < since]:
            del self._entries[name]

    def _read(self, since: float) -> Iterator[tuple[str, _Entry]]:
        for page in self._pages(*STANDING):
            yield from ((alarm.id, _entry(alarm)) for alarm in page if alarm.family is not Family.FEED)
        for page in self._pages(AlarmState.RESOLVED):
            yield from ((alarm.id, _entry(alarm)) for alarm in page if alarm.family is not Family.FEED)
            if max(alarm.opened for alarm in page) < since:
                return

    def _pages(self, *states: AlarmState) -> Iterator[Sequence[Alarm]]:
        return pages(partial(self._store.find, Alarm, states=states), _PAGE)


def _entry(alarm: Alarm) -> _Entry:
    return _Entry(
        alarm.version,
        alarm.monitor,
        alarm.state,
        alarm.severity.value,
        alarm.opened,
        notifies=not alarm.quiet,
        spends=alarm.regime is Regime.ACTIVE,
    )
