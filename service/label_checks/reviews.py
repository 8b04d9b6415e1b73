"""Labels of the training and golden sets that are probably wrong: sent to review, blind, and published as a version with other labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import structlog
from scipy.special import logit

from detectors.selection.doubts import USUALLY_WRONG, settled
from service import looks, refresh
from service.annotation import Agreement, answers, errands, propose_apart, trains
from service.annotation.preparing import MOST_TEXT
from service.corrections import Correction, corrected
from service.datasets import PARTS, DataSet, DataSets, Part
from service.errors import ConflictError, InputError
from service.growing import withheld
from service.label_checks.events import REVIEWED
from service.monitors import Monitors
from service.ports import Store
from service.records import WHOLE, AnnotationBatch, Candidate, CycleState, Event, Purpose, RefreshCycle, stable_id
from service.reference import References
from service.report.mislabelled import Suspect
from service.selecting.asking import batches_of
from service.selecting.spending import purses

Reviewed = Literal["train", "golden"]
"""Roles whose labels are reviewed; a challenge set is replaced with every drift."""

_SENT = "labels.review"
_CYCLES = 10_000
_JUDGED = (CycleState.VERIFYING, CycleState.VERIFIED)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """What came of a review."""

    monitor: str
    role: Reviewed
    version: int
    """That holds the corrections; the one reviewed where there are none."""
    corrections: tuple[Correction, ...]
    reviewed: int
    """Rows that were answered, or named in a file."""
    useless: tuple[str, ...] = ()
    """Ids of rows that reviewers find in no class: for a person to decide about, as a review changes labels and not rows."""
    spent: tuple[Part, ...] = ()
    """Golden parts for which it counts as a look."""


class Reviews:
    """Proposes them, and makes versions of what comes back. Both are idempotent."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Monitors) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._monitors = monitors

    def send(self, monitor: str, role: Reviewed, suspects: Sequence[Suspect], *, now: float) -> AnnotationBatch:
        """Asks about the newest version's suspects; the same ones again are the same batch. InputError where the budgets do not pay."""
        settings, data_set = self._monitors.effective(monitor), self._data_sets.load(monitor, role)
        rows = {row.sample.id: row for row in data_set.rows}
        name = stable_id(_SENT, monitor, role, data_set.version, *sorted(one.id for one in suspects))
        batches = batches_of(self._store, monitor)
        known = next((batch for batch in batches if batch.id == name), None)
        if known is not None:
            return known
        if not suspects:
            raise InputError("no_suspects", f"monitor {monitor}: no label of the {role} set is worth a second look")
        least = min(purses(settings, batches, "", now=now), key=lambda purse: purse.labels, default=None)
        if least is not None and least.labels < len(suspects):
            raise InputError(
                "no_budget",
                f"monitor {monitor}: {len(suspects):,} labels are asked for, and {least.name} leave {least.labels:,}; ask for fewer with "
                f"--budget, or raise {least.setting}",
            )
        shown = {one.id: None if withheld(settings) else rows[one.id].sample.payload for one in suspects}
        asked = [_candidate(one, shown[one.id], rows[one.id].digest, role) for one in suspects]
        version = self._references.load(monitor).version
        self._store.record_event(Event(name, monitor, _SENT, now, "driftgate", name, {"role": role, "version": data_set.version}))
        batch = refresh.ask(self._store, propose_apart(name, monitor, version, asked, now=now), settings, now=now)
        log.info("review sent", monitor=monitor, role=role, version=data_set.version, batch=batch.id, rows=len(asked))
        return batch

    def tend(self, monitors: Collection[str], *, now: float) -> int:
        """Publishes those that have closed and are not published yet; returns how many."""
        return errands.run(self._store, Purpose.REVIEW, lambda batch: self.publish(batch, now=now), monitors=monitors)

    def publish(self, batch: AnnotationBatch, *, now: float) -> Published | None:
        """A version with what the answers correct; None where that was done before."""
        events = list(self._store.events(batch.monitor))
        if any(event.kind == REVIEWED and event.subject == batch.id for event in events):
            return None
        sent = next((event for event in events if event.kind == _SENT and event.subject == batch.id), None)
        if sent is None or not is_review(batch):
            raise ConflictError(
                f"annotation batch {batch.id} is no review of labels; `driftgate dataset review --role train --send` makes one"
            )
        found = answers(self._store, [batch])
        role: Reviewed = sent.body["role"]
        newest = self._data_sets.load(batch.monitor, role)
        labels = {row.sample.id: str(row.sample.label) for row in newest.rows if row.sample.label is not None}
        asked = [item for item in batch.items if item.id in found and labels.get(item.id) == item.truth]
        made = [each for item in asked if (each := _correction(item, found[item.id], batch.id)) is not None]
        useless = tuple(item.id for item in asked if not trains(found[item.id].label.label))
        return self._publish(newest, made, subject=batch.id, actor="driftgate", reviewed=len(asked), useless=useless, now=now)

    def correct(self, monitor: str, role: Reviewed, labels: Mapping[str, str], *, source: str, actor: str, now: float) -> Published:
        """A version with labels by id that a person decided on. For golden parts that were looked at, or that a new model waits to be
        judged by, it counts as a look: whoever corrects may know what models say of the rows."""
        newest = self._data_sets.load(monitor, role)
        known = {row.sample.id: row for row in newest.rows}
        missing = [name for name in labels if name not in known]
        if missing:
            raise InputError(
                "corrections", f"{source}: {len(missing):,} ids are not in {role} set {newest.version}, such as {missing[0]!r}"
            )
        classes = self._monitors.effective(monitor).labels
        strange = sorted({label for label in labels.values() if classes and label not in classes})
        if strange:
            raise InputError("corrections", f"{source}: {strange[0]!r} is none of the monitor's classes; `driftgate scheme add` adds one")
        changed = {name: label for name, label in labels.items() if known[name].sample.label != label}
        made = [Correction(name, str(known[name].sample.label), label, source, actor) for name, label in changed.items()]
        subject = stable_id(REVIEWED, monitor, role, newest.checksum, *(f"{name} {label}" for name, label in sorted(changed.items())))
        touched = {known[name].part for name in changed}
        spent = tuple(part for part in PARTS if part in touched and part != "select" and self._counts(monitor, part))
        for part in spent:
            looks.spend(self._store, newest, part, subject=subject, actor=actor, now=now)
        return self._publish(newest, made, subject=subject, actor=actor, reviewed=len(labels), spent=spent, now=now)

    def _counts(self, monitor: str, part: Part) -> bool:
        looked = any(event.kind == looks.LOOKED and event.body["part"] == part for event in self._store.events(monitor))
        return looked or bool(self._store.find(RefreshCycle, monitor=monitor, states=_JUDGED, limit=_CYCLES))

    def _publish(  # noqa: PLR0913 - what a version is made of, by keyword
        self,
        newest: DataSet,
        made: Sequence[Correction],
        *,
        subject: str,
        actor: str,
        reviewed: int,
        now: float,
        useless: tuple[str, ...] = (),
        spent: tuple[Part, ...] = (),
    ) -> Published:
        monitor, role = str(newest.manifest["monitor"]), newest.manifest["role"]
        after = corrected(self._data_sets, newest, made, now=now) if made else newest
        body = {
            "role": role,
            "before": newest.version,
            "version": after.version,
            "corrections": len(made),
            "reviewed": reviewed,
            "useless": list(useless),
            "spent": list(spent),
        }
        self._store.record_event(Event(stable_id(REVIEWED, subject), monitor, REVIEWED, now, actor, subject, body))
        log.info("labels corrected", monitor=monitor, role=role, version=after.version, corrections=len(made), reviewed=reviewed)
        return Published(monitor, role, after.version, tuple(made), reviewed, useless, spent)


def is_review(batch: AnnotationBatch) -> bool:
    """Whether it asks about labels of a data set."""
    return any(item.purpose is Purpose.REVIEW for item in batch.items)


def _candidate(suspect: Suspect, payload: object, digest: str, role: Reviewed) -> Candidate:
    """Blind, so none of it is shown but the sample; what is known of it is kept for the answer."""
    return Candidate(
        id=suspect.id,
        reason=f"its label in the {role} set is in doubt",
        risk=0.0,
        segment=WHOLE,
        text=payload[:MOST_TEXT] if isinstance(payload, str) else "",
        predicted=suspect.suggested,
        purpose=Purpose.REVIEW,
        doubt=round(suspect.probability, 4),
        digest=digest,
        truth=suspect.label,
    )


def _correction(item: Candidate, answer: Agreement, batch: str) -> Correction | None:
    """Where the review names another class and is believed rather than the label: both are answers to the row, of which one is in doubt for
    what is around it, and the other borne out by that where it is what the row looks like."""
    label = answer.label.label
    if label is None or not trains(label) or label == item.truth:
        return None
    against = float(logit(np.clip(item.doubt or USUALLY_WRONG, 1e-4, 1 - 1e-4)) - logit(USUALLY_WRONG))
    odds = np.array([[against, -max(against, 0.0) if label == item.predicted else 0.0]])
    believed, left = settled(odds, np.array([[USUALLY_WRONG, 1 - answer.probability]]), same=np.zeros(1, np.bool_))
    if not believed[0] or left[0] > 0.5:
        return None
    return Correction(item.id, item.truth, label, batch, answer.label.annotator, item.doubt)
