"""What a new model must prove on which golden rows, and how many of them that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from detectors.comparison import Comparison, least_rows, mcnemar, spent, upper_bound
from detectors.noninferiority import NonInferiority, noninferior_rows
from service.golden import Promise
from service.looks import Attempt
from service.settings import RefreshSettings

VERDICTS = ("promote", "reject", "insufficient")

POWER = 0.8
"""How likely a model as good as the old one passes one test at the rows that it needs."""

_DOUBT, _TOO_FEW = 0.2, 0.01
"""How likely more rows change sides than the rows that are asked for allow; fewer than make those there are too few."""
_UNEVEN = 0.05
"""McNemar's p-value below which flips of one kind outnumber the other not by chance."""
_CHANCE = 3
"""Rows of which it says nothing yet that they changed sides."""


@dataclass(frozen=True, slots=True)
class Need:
    """Rows of one test. Below `least` it is not held; `stated` are those with which a model as good as the old one passes."""

    least: int
    stated: int


@dataclass(frozen=True, slots=True)
class Gate:
    """`look` counts the times that the golden rows judged a model, this one included."""

    golden: str
    """Checksum of the golden rows (`DataSet.checksum`)."""
    margin: float = 0.01
    """By how much accuracy on golden may be lower than the old model's."""
    segment_margin: float = 0.03
    expected_flips: float = 0.02
    """Share of golden rows on which only one of the models is right that the rows are planned with."""
    gap: float = 0.05
    """By how much the gap between the best and the worst segment of a tag may grow."""
    max_negative_flips: float | None = None
    """Largest share of golden rows that may break, surely; None: it is told, and not held against the model."""
    confidence: float = 0.9
    look: int = 1
    counted: bool = True
    """Whether looks at the golden rows are counted: then nothing that a model does on them is told without one."""

    @classmethod
    def of(cls, attempt: Attempt, settings: RefreshSettings) -> Gate:
        """For a look at golden's *verify* part."""
        return cls.asked(settings, attempt.checksum, look=attempt.drawn.use)

    @classmethod
    def asked(cls, settings: RefreshSettings, golden: str, *, look: int = 1, counted: bool = True) -> Gate:
        """For golden rows with this checksum."""
        return cls(
            golden,
            margin=settings.margin,
            segment_margin=settings.segment_margin,
            expected_flips=settings.expected_flips,
            gap=settings.gap,
            max_negative_flips=settings.max_negative_flips,
            confidence=settings.confidence,
            look=look,
            counted=counted,
        )

    @property
    def spent(self) -> float:
        """δ(k), the error that this look may make: of each test, for all of them must pass."""
        return spent(1 - self.confidence, self.look, outcomes=len(VERDICTS))

    @property
    def rows_needed(self) -> int:
        """Golden rows below which no model passes."""
        needed = _rows(self.margin, self.expected_flips, self.spent)
        return needed if self.max_negative_flips is None else max(needed, least_rows(self.max_negative_flips, error=self.spent))

    def segment_rows_needed(self, sizes: Sequence[int] = ()) -> int:
        """Rows of a segment below which it is told, and not tested, by the rows of all of them alone. Of one by itself as of a test of
        the whole; of several that have these so many that a model as good as the old one passes all of their tests with probability .8."""
        alone = _rows(self.segment_margin, self.expected_flips, self.spent)
        several = sum(rows >= alone for rows in sizes)
        return _rows(self.segment_margin, self.expected_flips, self.spent, 1 - (1 - POWER) / several) if several > 1 else alone

    def test(self, rows: int, margin: float) -> NonInferiority:
        """At this look's error."""
        return _test(rows, margin, self.spent)

    def power(self, rows: int, margin: float) -> float:
        """Of a model as good as the old one, where flips are as planned."""
        return _power(self.test(rows, margin), self.expected_flips)

    def needed(self, found: Comparison, margin: float) -> Need:
        """By the share of rows that change sides: as planned, or as found where that is more."""
        churn, planned = _churn(found), self.expected_flips
        if churn <= max(planned * found.rows, _CHANCE):
            rows = _rows(margin, planned, self.spent)
            return Need(rows, rows)
        surely = 1 - upper_bound(found.rows - churn, found.rows, error=_TOO_FEW)
        perhaps = upper_bound(churn, found.rows, error=_DOUBT)
        return Need(*(_rows(margin, max(planned, round(min(share, 0.99), 3)), self.spent) for share in (surely, perhaps)))


def _churn(found: Comparison) -> int:
    """Rows that would change sides if the new model were as good as the old one: what it surely mends beyond what it breaks is no reason
    for more rows, nor the other way round."""
    if mcnemar(found) < _UNEVEN:
        return 2 * min(found.negative_flips, found.positive_flips)
    return found.negative_flips + found.positive_flips


def promise(settings: RefreshSettings) -> Promise:
    """What a look at golden's *verify* part is to show."""
    return Promise(settings.margin, 1 - settings.confidence, len(VERDICTS), settings.expected_flips)


@lru_cache(1_000)
def _rows(margin: float, flips: float, error: float, power: float = POWER) -> int:
    return noninferior_rows(margin, flips=flips, error=error, power=power)


@lru_cache(1_000)
def _test(rows: int, margin: float, error: float) -> NonInferiority:
    return NonInferiority.of(rows, margin=margin, error=error)


@lru_cache(1_000)
def _power(test: NonInferiority, flips: float) -> float:
    return test.power(flips)
