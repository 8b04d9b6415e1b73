"""What a monitor may still ask for: labels and money, of a cycle and of a period."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.annotation import labels_asked
from service.records import AnnotationBatch, BatchState, Purpose
from service.selecting.asking import is_challenge
from service.settings import PERIOD_DAYS, MonitorSettings

_SECONDS = 86_400.0 * PERIOD_DAYS


@dataclass(frozen=True, slots=True)
class Purse:
    """A limit, and how much of it is spent, in labels or in money; `price`: how much of it a candidate takes, 1 where nothing is said."""

    name: str
    setting: str
    limit: float
    spent: float
    price: float | None = None

    @property
    def left(self) -> float:
        """In its own unit."""
        return max(0.0, self.limit - self.spent)

    @property
    def labels(self) -> int:
        """How many more labels it pays."""
        return math.floor(self.left / (self.price or 1.0) + 1e-9)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Labels to ask for."""

    candidates: int
    challenge: int = 0

    @property
    def labels(self) -> int:
        return self.candidates + self.challenge

    def within(self, purses: Iterable[Purse]) -> Wanted:
        """As much of it as every purse pays, both parts cut alike; a purse that pays for one label pays for a candidate."""
        most = min((purse.labels for purse in purses), default=self.labels)
        if most >= self.labels:
            return self
        challenge = most * self.challenge // max(self.labels, 1)
        return Wanted(most - challenge, challenge)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a proposal costs, and what is left before it."""

    labels: int
    price: float | None
    purses: tuple[Purse, ...]

    @property
    def money(self) -> float | None:
        """None without a price."""
        return None if self.price is None else round(self.labels * self.price, 2)


def purses(settings: MonitorSettings, batches: Sequence[AnnotationBatch], cycle: str, *, now: float) -> tuple[Purse, ...]:
    """The limits on everything that is asked for, whatever its purpose. `batches`: all of the monitor's."""
    limits, price, each = settings.selection, settings.annotation.price, settings.annotation.answers_per_candidate
    of_cycle = sum(_answers(batch) for batch in batches if batch.cycle == cycle)
    of_period = sum(_answers(batch) for batch in batches if batch.created > now - _SECONDS)
    found = []
    if limits.cycle_cost is not None and price:
        found.append(Purse("money per cycle", "selection.cycle_cost", limits.cycle_cost, of_cycle * price, price * each))
    if limits.period_labels is not None:
        found.append(Purse(f"labels per {PERIOD_DAYS} days", "selection.period_labels", limits.period_labels, of_period, each))
    if limits.period_cost is not None and price:
        found.append(Purse(f"money per {PERIOD_DAYS} days", "selection.period_cost", limits.period_cost, of_period * price, price * each))
    return tuple(found)


def paid(settings: MonitorSettings, batches: Iterable[AnnotationBatch], *, now: float) -> float:
    """The money that a monitor's labels cost in the period: those that were sent, golden rows not counted."""
    price = settings.annotation.price or 0.0
    sent = [batch for batch in batches if batch.state is not BatchState.PROPOSED and batch.created > now - _SECONDS]
    return price * sum(map(_answers, sent))


def candidates_purse(settings: MonitorSettings, batches: Sequence[AnnotationBatch], cycle: str) -> Purse:
    """The candidates of a cycle, its challenge rows and second opinions not counted."""
    spent = sum(_labels(batch) - _challenge(batch) for batch in batches if batch.cycle == cycle and not is_second(batch))
    return Purse("candidates per cycle", "annotation.budget", settings.annotation.budget, spent)


def opinions_purse(settings: MonitorSettings, batches: Sequence[AnnotationBatch], cycle: str) -> Purse:
    """The second opinions of a cycle, a share of what its candidates may be."""
    limit = settings.annotation.second_opinions * settings.annotation.budget
    spent = sum(_labels(batch) for batch in batches if batch.cycle == cycle and is_second(batch))
    return Purse("second opinions per cycle", "annotation.second_opinions", limit, spent)


def top_up_purse(settings: MonitorSettings, batches: Sequence[AnnotationBatch], *, now: float) -> Purse:
    """The rows drawn for golden, which no other limit counts."""
    spent = sum(_asked(batch) for batch in batches if is_top_up(batch) and batch.created > now - _SECONDS)
    return Purse(f"golden rows per {PERIOD_DAYS} days", "refresh.top_up", settings.refresh.top_up, spent)


def is_top_up(batch: AnnotationBatch) -> bool:
    """Whether it asks for golden rows."""
    return any(item.purpose is Purpose.TOP_UP for item in batch.items)


def is_second(batch: AnnotationBatch) -> bool:
    """Whether it asks again about answers that are in doubt."""
    return any(item.again for item in batch.items)


def _answers(batch: AnnotationBatch) -> int:
    """What is paid for beside golden rows: several answers of some candidates, and gold; of a cancelled batch what was answered by then."""
    if is_top_up(batch):
        return 0
    return batch.returned if batch.state is BatchState.CANCELLED else labels_asked(batch)


def _labels(batch: AnnotationBatch) -> int:
    """Candidates of cycles."""
    return 0 if is_top_up(batch) else _asked(batch)


def _asked(batch: AnnotationBatch) -> int:
    """Asked for; of a cancelled batch what was answered by then."""
    return batch.returned if batch.state is BatchState.CANCELLED else len(batch.items)


def _challenge(batch: AnnotationBatch) -> int:
    return 0 if batch.state is BatchState.CANCELLED else sum(map(is_challenge, batch.items))
