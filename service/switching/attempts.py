"""Which of golden's rows a calibration looks at, and the record of it.

It is recorded before the rows are looked at: whoever learns how it ended has used them. The same models on the same rows end the same
again, which tells nobody anything new, and is no further attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.comparison import least_rows, spent
from detectors.switch import OUTCOMES, fresh_rows
from service.datasets import DataSet, DataSets, Part
from service.errors import ConflictError, InputError
from service.golden import Drawn, Look, Promise, contents_of, draw
from service.ports import Store
from service.records import Event, stable_id

CALIBRATED = "switch.calibrated"
"""The event that says that rows were looked at."""

PART: Part = "calibrate"


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """Rows for one calibration; `number` counts the monitor's, `known` says that it is recorded already."""

    golden: DataSet
    drawn: Drawn
    subject: str
    number: int
    known: bool


def looks(events: Sequence[Event]) -> list[Look]:
    """Those that the monitor's log tells of."""
    return [Look(int(event.body["version"]), bool(event.body["fresh"])) for event in events if event.kind == CALIBRATED]


def golden_of(data_sets: DataSets, monitor: str) -> DataSet:
    """The newest golden set; without one nothing can be promised."""
    if not data_sets.versions(monitor, "golden"):
        raise InputError(
            "no_golden",
            f"monitor {monitor}: no golden set, so no bound on what a new model breaks; `driftgate plan` says how to start one",
        )
    return data_sets.load(monitor, "golden")


def attempt(store: Store, data_sets: DataSets, monitor: str, models: Sequence[str], promise: Promise) -> Attempt:
    """The rows for these models (checksums); InputError where they are too few to show the rate at all."""
    golden = golden_of(data_sets, monitor)
    subject = stable_id(*models, promise.rate, promise.delta, golden.part(PART).checksum)
    made = [event for event in store.events(monitor) if event.kind == CALIBRATED]
    number = next((i for i, event in enumerate(made) if event.subject == subject), len(made))
    met = contents_of(data_sets, monitor, PART, looks(made[:number]))
    drawn = draw(golden, PART, met, promise)
    _check(monitor, drawn, promise)
    return Attempt(golden, drawn, subject, number + 1, known=number < len(made))


def record(store: Store, monitor: str, attempt: Attempt, *, actor: str, now: float) -> None:
    """Before the rows are looked at; ConflictError where somebody else was faster."""
    if attempt.known:
        return
    drawn = attempt.drawn
    body = {"version": attempt.golden.version, "fresh": drawn.fresh, "use": drawn.use, "rows": len(drawn.rows.rows)}
    event = Event(stable_id(CALIBRATED, monitor, attempt.number), monitor, CALIBRATED, now, actor, attempt.subject, body)
    if store.record_event(event).subject != attempt.subject:
        raise ConflictError(f"monitor {monitor}: another switch was calibrated meanwhile, which used the same rows; run it again")


def _check(monitor: str, drawn: Drawn, promise: Promise) -> None:
    rows, needed = len(drawn.rows.rows), least_rows(promise.rate, error=promise.error(drawn.use))
    if rows >= needed:
        return
    first = spent(promise.delta, 1, outcomes=OUTCOMES)
    fresh = fresh_rows(max(rows, 1), promise.rate, promise.delta)
    used = f" at their use {drawn.use}, which may err by {promise.error(drawn.use):.2g} only" if drawn.use > 1 else ""
    raise InputError(
        "golden_too_small",
        f"monitor {monitor}: golden's calibrate part has {rows} rows (one of each group of near-duplicates){used}; to show at most "
        f"{promise.rate:.2%} of broken answers it takes {needed}, or {fresh} that no calibration has met (δ {first:.2g}); "
        "`driftgate plan` says what that costs",
    )
