"""One look at two sets of samples with classical tests: whole, and per value of a tag. What watches a stream is the monitor."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.classical import LEAST_ROWS, TESTS, TestResult, class_counts, holm
from service.embedding import embed_records
from service.errors import InputError
from service.observe import Silent
from service.ports import Source
from service.records import WHOLE, Item, Rejected, Sample
from service.reference_rows import ReferenceRows, answer
from service.watched import WatchedMonitor

LEVEL = 0.05
"""Share of looks at equal samples in which anything at all is called different."""

CLASSES = "classes"
NAMES = (*TESTS, CLASSES)
MOST_ROWS = 200_000
MOST_SEGMENTS, MOST_VALUES = 50, 1_000
_BATCH = 512
_PERMUTATIONS = (999, 9_999)

Progress = Callable[[float], None]
"""Called with the share that is done."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """n samples: embeddings (n, d) float32, each one's tags, and the class that the model gave it, '' where that is not known;
    `unusable`: items that were left out."""

    embeddings: NDArray[np.float32]
    segments: Sequence[Mapping[str, str]]
    predicted: Sequence[str]
    unusable: int = 0

    @property
    def labels(self) -> Sequence[str]:
        """The classes that are known."""
        return [label for label in self.predicted if label]

    def take(self, rows: Sequence[int]) -> Side:
        """Some of the samples."""
        return Side(self.embeddings[list(rows)], [self.segments[i] for i in rows], [self.predicted[i] for i in rows])


@dataclass(frozen=True, slots=True)
class Tested:
    """One test on one segment; `adjusted` is Holm's p-value over everything that was tested in the same look."""

    segment: str
    test: str
    result: TestResult
    adjusted: float

    @property
    def differs(self) -> bool:
        """At the level of the whole look."""
        return self.adjusted <= LEVEL


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a look found, and the segments that were left out with the reason."""

    tested: Sequence[Tested]
    left_out: Mapping[str, str]


def reference_side(rows: ReferenceRows) -> Side:
    """What the reference keeps of its samples."""
    return Side(rows.embeddings, rows.segments, rows.predicted or [""] * len(rows))


def read_side(source: Source, monitor: WatchedMonitor, *, progress: Callable[[int], None] = lambda _: None) -> Side:
    """Embeds a finite source as production would: what can't be used is counted and left out."""
    name, vectors, unusable = monitor.settings.name, [], 0
    segments: list[Mapping[str, str]] = []
    predicted: list[str] = []
    while not source.ended:
        records = source.poll(_BATCH, 0.0)
        embedded = embed_records(records, {name: monitor}, Silent())
        unusable += len(embedded.failures) + sum(isinstance(item, Rejected) for record in records for item in record.items)
        for sample in _samples(item for record in records for item in record.items):
            if sample in embedded.rows:
                vectors.append(embedded.rows[sample])
                segments.append(sample.segments)
                predicted.append(answer(sample.output or embedded.outputs.get(sample), None, monitor.settings.classes))
        if len(vectors) > MOST_ROWS:
            raise InputError("too_many", f"more than {MOST_ROWS:,} samples to compare; draw a random part of the input")
        progress(len(vectors))
    if not vectors:
        raise InputError("empty", f"no usable samples to compare, {unusable} unusable; `driftgate replay` says why")
    return Side(np.stack(vectors), segments, predicted, unusable)


def chosen_tests(asked: str, reference: Side, window: Side) -> Sequence[str]:
    """The names in "ks,mmd"; "all" takes predicted classes where both sides have them."""
    known = len(reference.labels), len(window.labels)
    predicted = min(known) >= LEAST_ROWS
    if asked == "all":
        return NAMES if predicted else tuple(TESTS)
    names = list(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise InputError("use", f"--tests: {', '.join(NAMES)} or all; found {', '.join(unknown) or 'none'}")
    if CLASSES in names and not predicted:
        found = f"{known[1]} in the input, {known[0]} in what it is held against"
        raise InputError("use", f"--tests {CLASSES}: needs {LEAST_ROWS} samples whose class the model gave on both sides; found {found}")
    return names


def compare_sides(
    reference: Side,
    window: Side,
    *,
    tests: Sequence[str],
    by: str | None = None,
    seed: int,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Every test on the whole and, with a tag, on each of its values; one family, adjusted by Holm.

    The same samples and seed give the same p-values. As many permutations are drawn as a family of that size needs to show
    anything, up to 9,999.
    """
    segments, left_out = _segments(reference, window, by)
    work = [(segment, test) for segment, sides in segments.items() for test in tests if _testable(test, *sides)]
    permutations = int(np.clip(2 * len(work) / LEVEL, *_PERMUTATIONS))
    results = []
    for done, (segment, test) in enumerate(work):
        progress(done / len(work))
        rng = np.random.default_rng([seed, zlib.crc32(f"{segment} {test}".encode())])
        results.append(_tested(test, *segments[segment], permutations=permutations, rng=rng))
    progress(1.0)
    adjusted = holm([result.p_value for result in results]).tolist()
    return Comparison([Tested(*at, result, p) for at, result, p in zip(work, results, adjusted, strict=True)], left_out)


def _tested(test: str, reference: Side, window: Side, *, permutations: int, rng: np.random.Generator) -> TestResult:
    if test == CLASSES:
        return class_counts(reference.labels, window.labels, rng=rng, permutations=permutations)
    return TESTS[test](permutations=permutations)(reference.embeddings, window.embeddings, rng=rng)


def _testable(test: str, *sides: Side) -> bool:
    """Few samples of a segment may have a prediction."""
    return test != CLASSES or all(len(side.labels) >= LEAST_ROWS for side in sides)


def _segments(reference: Side, window: Side, by: str | None) -> tuple[dict[str, tuple[Side, Side]], dict[str, str]]:
    """The pairs that can be tested, the whole first, then the window's largest; and why the others can't."""
    for name, side in (("reference", reference), ("window", window)):
        if len(side.embeddings) < LEAST_ROWS:
            raise InputError("too_few", f"{name}: a comparison needs at least {LEAST_ROWS} samples, found {len(side.embeddings)}")
    found, left_out = {WHOLE: (reference, window)}, {}
    known, seen = (_by_value(side, by) if by else {} for side in (reference, window))
    if by and not seen:
        raise InputError("use", f"--by {by}: no sample of the input carries that tag")
    if len(seen) > MOST_VALUES:
        raise InputError("use", f"--by {by}: at most {MOST_VALUES:,} different values, found {len(seen):,}; a tag of ids makes no segments")
    for value, rows in Counter({value: len(rows) for value, rows in seen.items()}).most_common():
        segment, before = f"{by}={value}", len(known.get(value, ()))
        if min(rows, before) < LEAST_ROWS:
            left_out[segment] = f"{before} reference and {rows} window samples, {LEAST_ROWS} are needed"
        elif len(found) > MOST_SEGMENTS:
            left_out[segment] = f"beyond the {MOST_SEGMENTS} largest"
        else:
            found[segment] = reference.take(known[value]), window.take(seen[value])
    return found, left_out


def _by_value(side: Side, tag: str) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for at, tags in enumerate(side.segments):
        if tag in tags:
            rows.setdefault(tags[tag], []).append(at)
    return rows


def _samples(items: Iterable[Item]) -> Iterable[Sample]:
    return (item for item in items if isinstance(item, Sample))
