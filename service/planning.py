"""How many labelled rows a wanted promise needs, how many there are, and what the missing ones cost.

What is promised of a new model takes rows that nothing was chosen by, trained on or calibrated with; so each part of golden is counted
for itself, one row of each group of near-duplicates, and only rows that no look has met. *calibrate* is for a switch: `least` rows show
its rate if not one of them breaks, `steady` ones also if half of what is allowed does. *verify* is for the verdict on a new model: with
its rows one that is as good as the old one passes with probability .8, where as many rows change sides as planned.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from detectors.comparison import least_rows, paired_rows, spent, steady_rows
from detectors.switch import OUTCOMES
from service.datasets import PARTS, DataSets, Part, Row
from service.errors import InputError
from service.golden import representatives, unmet
from service.looks import met
from service.ports import Store
from service.records import WHOLE, CycleState, RefreshCycle
from service.selecting import challenge
from service.settings import MonitorSettings
from service.verifying import Gate

SELECT_LEAST, SELECT_STEADY = 100, 800
"""Rows that candidates are chosen by and their risks told with; 800 is what selection was measured with."""

UNKNOWN_FLIPS = 0.5
"""Share of challenge rows that only one of the models gets right, while no verification has told it: a slice that fails."""

_OPEN = (CycleState.ANNOTATING, CycleState.TRAINING, CycleState.VERIFYING)
_CYCLES = 100

_ALL_OF_THEM = 10**9
"""Rows of a segment, where each is to have enough."""

_SURELY = 1.645
"""Standard deviations that random draws are to be on the safe side."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The promise: behind a switch at most `alpha` breaks, and no new model is promoted that is worse by the monitor's margin, but for
    `delta`; a difference of `margin` in challenge accuracy is seen."""

    alpha: float
    delta: float
    margin: float = 0.1
    segments: tuple[str, ...] = ()
    """Of which there are to be rows enough by themselves: `tag=value`. No switch judges a segment; a verification tests each that has
    them."""

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("delta", self.delta), ("margin", self.margin)):
            if not 0.0001 <= value < 0.5:
                raise InputError("range", f"{name}: from 0.0001 to below 0.5, found {value}")


@dataclass(frozen=True, slots=True)
class Need:
    """Rows of one purpose, in the whole stream or one segment; `labels`: samples to be labelled to get those missing."""

    purpose: str
    segment: str
    least: int
    steady: int
    have: int
    used: int
    """Rows beside those in `have` that a look has met already."""
    labels: int
    labels_least: int
    """The same until it is `least`."""

    @property
    def missing(self) -> int:
        """Until it is steady."""
        return max(self.steady - self.have, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the promise needs. `labels`: samples to be labelled for all of it, those of golden drawn at random from all traffic."""

    monitor: str
    asked: Asked
    needs: tuple[Need, ...]
    golden_labels: int
    golden_least: int
    """With which the next model passes only if next to none of the rows breaks."""
    challenge_labels: int
    price: float | None
    steps: tuple[str, ...]
    flips: float = UNKNOWN_FLIPS
    """Share of challenge rows on which only one model is right that the margin was planned with."""

    @property
    def cost(self) -> float | None:
        """In the unit of the label price."""
        return None if self.price is None else self.price * (self.golden_labels + self.challenge_labels)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What there is: representatives by part, those of them that no look has met, and the challenge rows of cycles under way."""

    parts: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    fresh: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    challenge: Sequence[Row] = ()

    def share(self, segment: str) -> float:
        """Of the segment, among golden rows; a row more is taken than there are, so that none is never."""
        rows = [row for part in self.parts.values() for row in part]
        return (len(_within(rows, segment)) + 1) / (len(rows) + 1)


def plan(store: Store, data_sets: DataSets, settings: MonitorSettings, asked: Asked, *, flips: float | None = None) -> Plan:
    """`flips`: share of challenge rows on which only one model was right at the last verification, where there was one."""
    _check_segments(asked, settings)
    rows = _rows(store, data_sets, settings.name)
    flips = max(UNKNOWN_FLIPS if flips is None else flips, asked.margin)
    gate = replace(Gate.asked(settings.refresh, ""), confidence=1 - asked.delta)
    needs = tuple(_needs(rows, asked, gate, flips))
    own = [need for need in needs if need.purpose in PARTS]
    return Plan(
        monitor=settings.name,
        asked=asked,
        needs=needs,
        golden_labels=max(need.labels for need in own),
        golden_least=max(need.labels_least for need in own),
        challenge_labels=_challenge_labels(needs),
        price=settings.annotation.price,
        steps=tuple(_steps(settings.name, rows, needs)),
        flips=flips,
    )


def _challenge_labels(needs: Sequence[Need]) -> int:
    """Segments of one tag have no rows in common, so what they lack adds up; rows of different tags may be the same."""
    by_tag: Counter[str] = Counter()
    for need in needs:
        if need.purpose == "challenge":
            by_tag[need.segment.partition("=")[0]] += need.labels
    return max(by_tag.values())


def _check_segments(asked: Asked, settings: MonitorSettings) -> None:
    tags = settings.segments.tags
    for segment in asked.segments:
        tag, found, _ = segment.partition("=")
        if not found or tag not in tags:
            known = ", ".join(tags) or "none (segments.tags)"
            raise InputError("range", f"segments: TAG=VALUE of a tag that makes segments, found {segment!r:.80}; tags: {known}")


def _rows(store: Store, data_sets: DataSets, monitor: str) -> Rows:
    under_way = _challenge(store, data_sets, monitor)
    if not data_sets.versions(monitor, "golden"):
        return Rows(challenge=under_way)
    golden = representatives(data_sets.load(monitor, "golden"))
    parts: dict[str, Sequence[Row]] = {part: golden.part(part).rows for part in PARTS}
    fresh = {part: _unmet(parts[part], part, store, data_sets, monitor) for part in PARTS}
    return Rows(parts, {str(part): rows for part, rows in fresh.items()}, under_way)


def _challenge(store: Store, data_sets: DataSets, monitor: str) -> Sequence[Row]:
    """Those of an open cycle. A challenge set is of one drift: the next cycle needs its own."""
    for cycle in store.find(RefreshCycle, monitor=monitor, states=list(_OPEN), limit=_CYCLES):
        if found := challenge.of_cycle(store, data_sets, cycle):
            return found.rows
    return ()


def _unmet(rows: Sequence[Row], part: Part, store: Store, data_sets: DataSets, monitor: str) -> Sequence[Row]:
    return rows if part == "select" else unmet(rows, met(store, data_sets, monitor, part))


def _needs(rows: Rows, asked: Asked, gate: Gate, flips: float) -> Iterator[Need]:
    """The whole stream first. Segments of a switch share δ, so that all that is said of them holds at once; those of a verification must
    all pass, so that none takes of another's."""
    first = not rows.parts
    yield _need(rows, "select", WHOLE, (SELECT_LEAST, SELECT_STEADY), 1 / len(PARTS) if first else 0.0)
    for segment in (WHOLE, *asked.segments):
        delta = asked.delta if segment == WHOLE else asked.delta / len(asked.segments)
        share = 1.0 if segment == WHOLE else rows.share(segment)
        error, chance = spent(delta, 1, outcomes=OUTCOMES), share / (len(PARTS) if first else 2)
        yield _need(rows, "calibrate", segment, (least_rows(asked.alpha, error=error), steady_rows(asked.alpha, error=error)), chance)
        judging = gate.rows_needed if segment == WHOLE else gate.segment_rows_needed([_ALL_OF_THEM] * len(asked.segments))
        yield _need(rows, "verify", segment, (judging, judging), chance)
        wanted = paired_rows(asked.margin, flips=flips, error=delta)
        have = len(_within(rows.challenge, segment))
        yield Need("challenge", segment, wanted, wanted, have, 0, max(wanted - have, 0), max(wanted - have, 0))


def _need(rows: Rows, part: str, segment: str, counts: tuple[int, int], share: float) -> Need:
    """`share`: of samples that are labelled at random, how many come into this part and segment; 0 where none is drawn for it."""
    have = len(_within(rows.fresh.get(part, ()), segment))
    used = len(_within(rows.parts.get(part, ()), segment)) - have
    least, steady = (_drawn(max(wanted - have, 0), share) if share else 0 for wanted in counts)
    return Need(part, segment, *counts, have, used, steady, least)


def _drawn(missing: int, share: float) -> int:
    """Fewest random draws of which, surely enough, so many fall into a share: n s - 1.645 √(n s (1 - s)) ≥ missing."""
    if not missing:
        return 0
    root = (_SURELY * math.sqrt(1 - share) + math.sqrt(_SURELY**2 * (1 - share) + 4 * missing)) / 2
    return math.ceil(root**2 / share)


def _within(rows: Sequence[Row], segment: str) -> list[Row]:
    if segment == WHOLE:
        return list(rows)
    tag, _, value = segment.partition("=")
    return [row for row in rows if row.sample.segments.get(tag) == value]


def _steps(monitor: str, rows: Rows, needs: Sequence[Need]) -> Iterator[str]:
    """What to do, in order."""
    labels = max(need.labels for need in needs if need.purpose in PARTS)
    promising = [need for need in needs if need.purpose in {"calibrate", "verify"}]
    if not rows.parts:
        yield f"draw {labels:,} samples at random from traffic that the model is good on: by chance alone, not those that look interesting"
        yield "have them labelled by people who do not see what the model says; leave out what is no use, and count it"
        yield f"`driftgate dataset add --monitor {monitor} --role golden --input FILE`: each part gets a third, near-duplicates together"
    elif labels:
        yield f"draw {labels:,} fresh samples at random from traffic, and have them labelled blind"
        yield f"`driftgate dataset refill --monitor {monitor} --input FILE`: they go into calibrate and verify, by turns of their hash"
    if rows.parts and any(need.purpose == "select" and need.missing for need in needs):
        yield "select promises nothing and is not billed: challenge rows join it after each promotion; few of them choose less well"
    if any(need.have < need.least for need in promising):
        yield "until then new models can be compared, but nothing is promised about what they break"
    elif labels:
        yield "until then only a switch passes of which next to none of the rows breaks"
    if any(need.used for need in needs):
        yield "rows that a look has met allow ever less: fresh ones for each cycle are the normal way"
    if any(need.segment != WHOLE for need in needs):
        yield "a segment with its rows of verify is tested by itself; a switch promises of all traffic, not of a segment"
    if any(need.labels for need in needs if need.purpose == "challenge"):
        yield "challenge rows are drawn from what drifts when a cycle opens (selection.challenge says how many)"
