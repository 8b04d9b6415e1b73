"""A person's word that the model fails on a sample, and its withdrawal: kept with who said so, when and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from service.errors import ConflictError, InputError, NotFoundError
from service.ports import Store
from service.records import FailureMark, MarkState, Step, stable_id

MOST_MARKS = 10_000
"""Of one monitor that stand at a time."""

_MOST_STEPS = 100
"""Of a mark's history, the newest."""
_SHOWN_CLASSES = 20


class Reason(StrEnum):
    """Why a mark changed."""

    MARKED = "a person marked it"
    CORRECTED = "a person corrected it"
    UNMARKED = "a person took it back"


@dataclass(frozen=True, slots=True)
class Word:
    """Who says so, when and why."""

    actor: str
    note: str
    time: float


def mark_id(monitor: str, sample: str) -> str:
    """Marking a sample again finds the mark that is there."""
    return stable_id("failure", monitor, sample)


def standing(store: Store, monitor: str) -> Mapping[str, FailureMark]:
    """The marks that count, by sample."""
    return {mark.sample: mark for mark in store.find(FailureMark, monitor=monitor, states=[MarkState.MARKED], limit=MOST_MARKS)}


def mark(store: Store, monitor: str, sample: str, label: str | None, word: Word) -> FailureMark:
    """The mark as it stands then; one that says so already is left alone. ConflictError where no more are kept."""
    key = mark_id(monitor, sample)
    before = _found(store, key)
    if before is None or before.state is MarkState.UNMARKED:
        if len(standing(store, monitor)) >= MOST_MARKS:
            raise ConflictError(
                f"monitor {monitor}: {MOST_MARKS:,} samples are marked, and no more are kept; `driftgate failure unmark` takes one back"
            )
        reason = Reason.MARKED
    elif label in {None, before.label} and word.note in {"", before.history[-1].note}:
        return before
    else:
        reason, label = Reason.CORRECTED, label or before.label
    step = Step(MarkState.MARKED, reason, word.time, word.actor, word.note)
    start = before or FailureMark(key, monitor, sample, MarkState.MARKED, None, word.time)
    marked = replace(start, state=MarkState.MARKED, label=label, history=_with(start, step), version=start.version + 1)
    store.save(marked)
    return marked


def unmark(store: Store, monitor: str, sample: str, word: Word) -> FailureMark:
    """Takes a mark back; one that was taken back already is left alone. NotFoundError where the sample was never marked."""
    before = _found(store, mark_id(monitor, sample))
    if before is None:
        raise NotFoundError(
            f"monitor {monitor}: nobody marked sample {sample!r:.200}; `driftgate failure list --samples` has those that are"
        )
    if before.state is MarkState.UNMARKED:
        return before
    step = Step(MarkState.UNMARKED, Reason.UNMARKED, word.time, word.actor, word.note)
    taken_back = replace(before, state=MarkState.UNMARKED, history=_with(before, step), version=before.version + 1)
    store.save(taken_back)
    return taken_back


def require_class(monitor: str, label: str | None, classes: tuple[str, ...]) -> None:
    """InputError where the monitor's classes are declared and this is none of them."""
    if label is not None and classes and label not in classes:
        more = f" and {len(classes) - _SHOWN_CLASSES} more" if classes[_SHOWN_CLASSES:] else ""
        allowed = ", ".join(classes[:_SHOWN_CLASSES])
        raise InputError(
            "label",
            f"monitor {monitor}: {label!r:.80} is no class of the monitor; allowed: {allowed}{more}. A class that the model is still to "
            "learn is declared in truth.new_classes; until then leave the label out and say it in the note",
        )


def _with(mark: FailureMark, step: Step) -> tuple[Step, ...]:
    return (*mark.history, step)[-_MOST_STEPS:]


def _found(store: Store, key: str) -> FailureMark | None:
    try:
        return store.get(FailureMark, key)
    except NotFoundError:
        return None
