"""Files through the same engine as production: what it would have alarmed on, and which samples it would have proposed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from service.alarms import of_drift
from service.controller import Controller
from service.errors import NotFoundError
from service.ports import Source, Store
from service.records import Alarm, AlarmState, Candidate, DeadLetter, Decision, Event, Pane
from service.truth.telling import tell
from service.worker import Worker

_BATCH = 512

MOST_LETTERS = 10_000
"""Dead letters and alarms that a report lists."""


def replay(
    worker: Worker,
    controller: Controller | None,
    source: Source,
    store: Store,
    *,
    progress: Callable[[int], None] = lambda _: None,
    timeout: float = 0.0,
) -> int:
    """Runs a finite source to its end; returns the samples taken. Log time decides, never a clock."""
    if controller is None:
        raise NotFoundError("the monitor has no reference yet; `driftgate reference build` makes one")
    while not worker.ended:
        worker.step(timeout)
        tell(store, controller.monitor, now=_log_time(store))
        while controller.step(now=controller.streams.traffic.last):
            pass
        progress(store.samples_taken(controller.monitor))
    source.close()
    return store.samples_taken(controller.monitor)


def fold(
    worker: Worker, source: Source, store: Store, monitor: str, *, progress: Callable[[int], None] = lambda _: None
) -> Iterator[Sequence[Pane | Event]]:
    """Runs a finite source to its end and hands its panes on as they close; they count as decided, so that a store may drop them."""
    at = 0
    while not worker.ended:
        worker.step(timeout=0.0)
        tell(store, monitor, now=_log_time(store))
        while entries := store.entries(monitor, at, _BATCH):
            store.decide(Decision(monitor, at, entries[-1].sequence, checkpoint=b""))
            at = entries[-1].sequence
            yield entries
        progress(store.samples_taken(monitor))
    source.close()


def _log_time(store: Store) -> float:
    return max((position.time for position in store.positions()), default=0.0)


def report(store: Store, monitor: str, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """The replay's result in the stable shape of `driftgate replay --report`."""
    alarms = sorted(store.find(Alarm, monitor=monitor, limit=MOST_LETTERS), key=lambda alarm: alarm.at_sequence)
    return {
        "samples": store.samples_taken(monitor),
        "dead_letters": [_letter(letter) for letter in store.dead_letters(limit=MOST_LETTERS)],
        "alarms": [_alarm(alarm) for alarm in alarms],
        "candidates": [{"id": c.id, "reason": c.reason, "risk": c.risk, "segment": c.segment} for c in candidates],
    }


def open_alarms(store: Store, monitor: str) -> Sequence[Alarm]:
    """Those of drift that are not resolved, the strongest effect first."""
    found = store.find(Alarm, monitor=monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=1000)
    return sorted(of_drift(found), key=lambda alarm: -alarm.effect.low)


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {"line": letter.offset + 1, "reason": letter.rejected.reason, "message": letter.rejected.message}


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "id": alarm.id,
        "at_sample": alarm.at_sample,
        "monitor": alarm.monitor,
        "segment": alarm.segment,
        "kind": alarm.kind,
        "severity": alarm.severity.value,
        "channel": alarm.channel,
        "effect": asdict(alarm.effect),
        "novel_share": asdict(alarm.novel_share),
        "accuracy": None if alarm.accuracy is None else asdict(alarm.accuracy),
        "exemplars": [asdict(exemplar) for exemplar in alarm.exemplars],
        "clusters": [asdict(cluster) for cluster in alarm.clusters],
        "onset": None if alarm.onset is None else asdict(alarm.onset),
        "contributions": [asdict(contribution) for contribution in alarm.contributions],
        "terms": [asdict(term) for term in alarm.terms],
        "missed": [asdict(exemplar) for exemplar in alarm.missed],
    }
