"""Carries refresh cycles from step to step: from an alarm to candidates, from round to round, from labels to data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from detectors.selection.base import Turn
from service import annotation, refresh
from service.alarms import of_drift
from service.annotation import NEW, scheme_of, tend, trains
from service.annotation.adopting import adopt
from service.annotation.preparing import Preparing
from service.datasets import DataSets
from service.errors import ConflictError, DriftgateError, InputError, NotFoundError
from service.growing import require_kept
from service.label_checks.checks import LabelChecks
from service.label_checks.judging import untrainable
from service.labelled import LabelledSets
from service.links import NO_LINKS, Links
from service.monitors import Embedders
from service.ports import Store
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    Candidate,
    CycleState,
    Family,
    Pooled,
    RefreshCycle,
    Trigger,
)
from service.reference import Progress, References
from service.requesting import terms
from service.selecting.asking import Asked, asked, batches_of, is_challenge
from service.selecting.bounds import bound
from service.selecting.proposal import Proposal
from service.selecting.selection import Round, Selection
from service.selecting.slices import Slice
from service.selecting.spending import Purse, purses
from service.settings import MonitorSettings

_CYCLES = 10_000
_AGAIN = 128
"""Samples between two attempts to find candidates for a young drift."""
_RETRY_SECONDS = 60.0
_TOLD = (Trigger.ALARM, Trigger.PERSON)
"""What opens a cycle that is about something: an alarm's traffic, or what a person sees."""

log = structlog.get_logger()


class Refresher:
    """Everything is idempotent: a step that was taken already is found in the store and not taken again."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Embedders, *, links: Links = NO_LINKS) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._sets = LabelledSets(data_sets)
        self._preparing = Preparing(store, references, data_sets)
        self._monitors = monitors
        self._links = links
        self.selection = Selection(store, references, data_sets, monitors)
        self._checks = LabelChecks(store)
        self._tried: dict[str, int] = {}
        self._again: dict[str, float] = {}
        """When a cycle that can't go on is looked at again."""

    # --- opening ------------------------------------------------------------------------------------------------------

    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:
        """Opens a cycle for an alarm once its stream has shown enough of the drift."""
        settings = self._monitors.effective(alarm.monitor)
        if samples < self._tried.get(alarm.id, settings.refresh.after_samples - _AGAIN) + _AGAIN:
            return
        self._tried[alarm.id] = samples
        if not refresh.wanted(alarm, settings.refresh, self._store.find(RefreshCycle, monitor=alarm.monitor, limit=_CYCLES), now=now):
            return
        try:
            cycle = self.open(alarm.monitor, alarm.id, opener=refresh.Opener(Trigger.ALARM), now=now)
        except (InputError, ConflictError) as error:
            log.info("refresh not opened yet", monitor=alarm.monitor, alarm=alarm.id, reason=str(error))
        else:
            log.info("refresh opened", monitor=alarm.monitor, cycle=cycle.id, alarm=alarm.id, batch=cycle.batch)

    def open(
        self, monitor: str, opened_by: str, *, opener: refresh.Opener = refresh.PERSON, budget: int | None = None, now: float
    ) -> RefreshCycle:
        """Opens the cycle of an alarm's or request's id with its first candidates; the same opener gives the same cycle while it runs.
        ConflictError while another one is open.

        budget : with it the cycle is one batch of at most so many candidates.
        """
        attempts = self._attempts(monitor, opened_by)
        running = next((cycle for cycle in attempts if cycle.state not in refresh.ENDED), None)
        if running is not None:
            return running
        settings = self._monitors.effective(monitor)
        require_kept(settings)
        refresh.taken(self._store, monitor, by="", now=now)  # asked before a choice that takes seconds, and again when it is saved
        about = self.about(monitor, opened_by, opener.trigger)
        opening = _opening(about, opened_by, attempts, opener)
        rounds = _rounds(settings, budget)
        proposal = self.selection.propose(about, Round(opening.cycle, Turn(1, rounds), budget), now=now)
        return self._start(opening, proposal, settings, rounds=rounds, now=now)

    def send(self, monitor: str, opened_by: str, candidates: Sequence[Candidate], rows: Sequence[Pooled], *, now: float) -> RefreshCycle:
        """Opens a cycle of one batch with candidates that a person chose; the same opener gives the same cycle. InputError where the
        budgets do not pay for all of them."""
        settings = self._monitors.effective(monitor)
        require_kept(settings)
        opening = refresh.Opening(monitor, self._references.load(monitor).version, opened_by)
        batches = batches_of(self._store, monitor)
        if all(batch.cycle != opening.cycle for batch in batches):
            _require_paid(purses(settings, batches, opening.cycle, now=now), monitor, len(candidates))
        kept = {row.id: row for row in rows}
        return refresh.start(self._store, opening, self._ready(candidates, kept, settings, opening.cycle, now), settings, now=now)

    def about(self, monitor: str, opened_by: str = "", trigger: Trigger = Trigger.PERSON) -> Slice:
        """What a cycle of this opener is about, by the reference in force: the traffic of an alarm, or the recent traffic as a whole."""
        version = self._references.load(monitor).version
        alarm = self._alarm(monitor, opened_by) if trigger in _TOLD else None
        return Slice(monitor, version) if alarm is None else replace(Slice.of(alarm), reference_version=version)

    def _start(self, opening: refresh.Opening, proposal: Proposal, settings: MonitorSettings, *, rounds: int, now: float) -> RefreshCycle:
        if not proposal.candidates:
            raise _nothing(proposal)
        ready = self._ready(proposal.items, proposal.rows, settings, opening.cycle, now)
        plan = refresh.Plan(proposal.about.segment, proposal.about.since, rounds)
        return refresh.start(self._store, opening, ready, settings, now=now, plan=plan)

    def _ready(
        self, candidates: Sequence[Candidate], rows: Mapping[str, Pooled], settings: MonitorSettings, key: str, now: float
    ) -> Sequence[Candidate]:
        """Kept whole until they are answered, and made a batch of."""
        self._sets.keep(candidates, rows, settings, self._monitors.embedder(settings.name), now=now)
        return self._preparing.ready(settings, candidates, rows, key=key, now=now)

    def _attempts(self, monitor: str, opened_by: str) -> Sequence[RefreshCycle]:
        return [cycle for cycle in self._store.find(RefreshCycle, monitor=monitor, limit=_CYCLES) if cycle.opened_by == opened_by]

    def _alarm(self, monitor: str, opened_by: str) -> Alarm | None:
        """The opener itself, or for a person's request the monitor's strongest open alarm."""
        try:
            return self._store.get(Alarm, opened_by)
        except NotFoundError:
            found = self._store.find(Alarm, monitor=monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=1000)
        return max(of_drift(found), key=lambda alarm: (alarm.family is not Family.CONCEPT, alarm.effect.low), default=None)

    def preview(self, about: Slice, *, budget: int | None = None, now: float, progress: Progress = lambda *_: None) -> Proposal:
        """What would be sent now: the next batch of a cycle that is under way on this slice, else the first of a new one."""
        settings = self._monitors.effective(about.monitor)
        running = self._store.find(RefreshCycle, monitor=about.monitor, states=[CycleState.ANNOTATING], limit=_CYCLES)
        same = next((cycle for cycle in running if (cycle.segment, cycle.since) == (about.segment, about.since)), None)
        sent = refresh.rounds_sent(self._store, same) if same is not None else 0
        if same is not None and sent < same.rounds:
            turn = Round(same.id, Turn(sent + 1, same.rounds), budget)
        else:
            opening = _opening(about, about.alarm, self._attempts(about.monitor, about.alarm), refresh.PERSON)
            turn = Round(opening.cycle if about.alarm else "", Turn(1, _rounds(settings, budget)), budget)
        proposal = self.selection.propose(about, turn, now=now, progress=progress)
        notes = proposal.notes if proposal.candidates else (*proposal.notes, str(_nothing(proposal)))
        return replace(proposal, bound=bound(self._store, self._data_sets, settings), notes=notes)

    def candidates(self, alarm: Alarm, *, now: float = 0.0) -> tuple[Candidate, ...]:
        """What the first batch of a cycle opened for the alarm now would ask, its challenge rows last."""
        proposal = self.preview(self.about(alarm.monitor, alarm.id), now=now)
        return (*proposal.candidates, *proposal.challenge)

    # --- labels -------------------------------------------------------------------------------------------------------

    def step(self, *, now: float) -> int:
        """Sends the next batch of cycles whose last one is answered, or turns the answers into data sets and asks for training; returns
        how many cycles moved."""
        tend(self._store, now=now)
        found = self._store.find(RefreshCycle, states=[CycleState.ANNOTATING], limit=_CYCLES)
        waiting = [cycle for cycle in found if self._again.get(cycle.id, now) <= now]
        answered = [cycle for cycle in waiting if self._store.get(AnnotationBatch, cycle.batch).state in annotation.ENDED]
        return sum(self._go_on(cycle, now) for cycle in answered)

    def _go_on(self, cycle: RefreshCycle, now: float) -> bool:
        """A cycle that can't go on does not hold up the others, and is left alone for a while: a choice takes seconds."""
        try:
            self._adopt(cycle, now)
            if self._checks.step(cycle, self.selection.reading(self._about(cycle)), now=now) or self._next_round(cycle, now):
                return True
            said = [answer.label for answer in self._history(cycle).answers.values()]
            if not any(map(trains, said)):
                _require_no_proposals(cycle, said)
                refresh.give_up(self._store, cycle.id, now=now)
                log.warning("refresh given up", monitor=cycle.monitor, cycle=cycle.id, reason=refresh.Reason.UNLABELLED)
                return True
            sets, left_out = self._publish(cycle, now)
            known = terms(self._store, self._monitors, self._links, cycle, sets, now=now)
            settings = self._monitors.effective(cycle.monitor).refresh
            refresh.request_training(self._store, cycle.id, sets, settings, now=now, terms=replace(known, left_out=left_out))
        except DriftgateError as error:
            told = log.info if isinstance(error, ConflictError) else log.warning  # of a conflict: another process took the step
            told("refresh can't go on", monitor=cycle.monitor, cycle=cycle.id, reason=str(error))
            self._again[cycle.id] = now + _RETRY_SECONDS
            return False
        self._again.pop(cycle.id, None)
        log.info("training requested", monitor=cycle.monitor, cycle=cycle.id, labels_left_out=left_out)
        return True

    def _adopt(self, cycle: RefreshCycle, now: float) -> None:
        """Classes that annotators propose alike join the scheme before anything is chosen, or trained, by their answers."""
        if self._monitors.effective(cycle.monitor).annotation.new_classes == "automatic":
            batches = [self._store.get(AnnotationBatch, name) for name in cycle.batches]
            adopt(self._store, cycle.monitor, batches, partial(self._sets.vectors, cycle.monitor), now=now)

    def _about(self, cycle: RefreshCycle) -> Slice:
        return Slice(cycle.monitor, cycle.reference_version, cycle.segment, cycle.since)

    def _next_round(self, cycle: RefreshCycle, now: float) -> bool:
        """Whether there was one: rounds end when all are sent, when nothing is left to spend, or when no more is worth asking about."""
        number, settings = refresh.rounds_sent(self._store, cycle) + 1, self._monitors.effective(cycle.monitor)
        if number > cycle.rounds:
            return False
        if self._references.load(cycle.monitor).version != cycle.reference_version:
            refresh.end_rounds(self._store, cycle, why="another reference came into force", now=now)
            return False
        proposal = self.selection.propose(self._about(cycle), Round(cycle.id, Turn(number, cycle.rounds)), now=now)
        if not proposal.candidates:
            refresh.end_rounds(self._store, cycle, why=str(_nothing(proposal)), now=now)
            return False
        ready = self._ready(proposal.items, proposal.rows, settings, f"{cycle.id} {number}", now)
        refresh.next_round(self._store, cycle, ready, settings, now=now)
        log.info("next round", monitor=cycle.monitor, cycle=cycle.id, round=number, of=cycle.rounds)
        return True

    def _history(self, cycle: RefreshCycle) -> Asked:
        """What the cycle has asked so far, and the answers."""
        return asked(self._store, [self._store.get(AnnotationBatch, name) for name in cycle.batches])

    def _publish(self, cycle: RefreshCycle, now: float) -> tuple[list[Mapping[str, Any]], int]:
        """The data sets, and how many labels are not in them because training on them would do no good."""
        history = self._history(cycle)
        settings, embedder = self._monitors.effective(cycle.monitor), self._monitors.embedder(cycle.monitor)
        given = {key: answer.label for key, answer in history.answers.items() if answer.label is not None}
        drawn = {key for key, item in history.items.items() if is_challenge(item)}
        read = self.selection.reading(self._about(cycle))
        held = untrainable(history.items.values(), settings.selection) & given.keys()
        self._checks.held_back(cycle, read, held, now=now)
        left_out = held | read.too_close(given, drawn)
        labels = {key: label for key, label in given.items() if key not in left_out and trains(label)}
        scheme = scheme_of(self._store, cycle.monitor)
        return self._sets.publish(settings, labels, drawn, embedder, now=now, scheme=scheme), len(given) - len(labels)


def _opening(about: Slice, opened_by: str, attempts: Sequence[RefreshCycle], opener: refresh.Opener) -> refresh.Opening:
    """Of the next attempt."""
    number = max((cycle.attempt for cycle in attempts), default=0) + 1
    return refresh.Opening(about.monitor, about.reference_version, opened_by, number, opener)


def _rounds(settings: MonitorSettings, budget: int | None) -> int:
    """Whoever names a number gets one batch of it."""
    return settings.selection.rounds if budget is None else 1


def _require_paid(limits: Sequence[Purse], monitor: str, labels: int) -> None:
    least = min(limits, key=lambda purse: purse.labels, default=None)
    if least is not None and least.labels < labels:
        raise InputError(
            "no_budget",
            f"monitor {monitor}: {labels:,} labels are asked for, and {least.name} leave {least.labels:,} ({least.spent:g} of "
            f"{least.limit:g} are spent); ask for fewer, or raise {least.setting}",
        )


def _require_no_proposals(cycle: RefreshCycle, said: Sequence[str | None]) -> None:
    """Where all that was answered are classes that are missing, a person has the word: it would be a pity about the labels."""
    missing = sorted({word.removeprefix(NEW) for word in said if word and word.startswith(NEW)})
    if missing:
        raise ConflictError(
            f"refresh cycle {cycle.id}: annotators answered with classes that the label scheme has not, such as {missing[0]!r:.80}; "
            "`driftgate scheme add` adds one, `driftgate refresh cancel` ends the cycle"
        )


def _nothing(proposal: Proposal) -> InputError:
    """Why a batch has no candidates."""
    empty = next((purse for purse in proposal.cost.purses if not purse.labels), None)
    monitor = proposal.about.monitor
    if empty is not None:
        return InputError(
            "no_budget",
            f"monitor {monitor}: the limit of {empty.name} is reached ({empty.spent:g} of {empty.limit:g} spent); raise {empty.setting}",
        )
    risky = f" ({proposal.risky:,} are, but too risky: selection.risk_limit)" if proposal.risky else ""
    return InputError(
        "no_candidates",
        f"monitor {monitor}: no recent sample is both new and in the company of others{risky}, so there is nothing to label; "
        "try again when more traffic has come",
    )
