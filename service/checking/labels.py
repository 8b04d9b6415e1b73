"""What labels say of a set: classes, contradictions, what lies outside the scheme."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from service.checking.findings import EXAMPLES, Check
from service.checking.likeness import Likeness
from service.checking.sets import Rows

FEW, VERY_FEW = 10, 5
"""Rows of a class."""


def label_checks(rows: Rows, classes: Sequence[str], likeness: Likeness) -> Iterator[Check]:
    """Nothing where no row has a label."""
    counts = Counter(label for label in rows.labels if label)
    if not counts:
        return
    yield from _classes(rows, counts)
    if classes:
        outside = [i for i, label in enumerate(rows.labels) if label and label not in set(classes)]
        names = sorted({rows.labels[i] for i in outside})
        said = f"{len(outside):,} rows carry {len(names)} labels that are none of the {len(classes)} classes" if outside else "none"
        yield Check("unknown_labels", rows.name, len(outside) / len(rows), said, tuple(names[:EXAMPLES]))
    yield _contradicted(rows)
    yield from _nearly_contradicted(rows, likeness)


def class_overlap(rows: Rows, other: Rows) -> Iterator[Check]:
    """Classes of either set that the other lacks."""
    if not any(rows.labels) or not any(other.labels):
        return
    for one, two in ((rows, other), (other, rows)):
        known = set(two.labels)
        absent = Counter(label for label in one.labels if label and label not in known)
        said = f"{len(absent)} of {len(set(one.labels) - {''})} classes of {one.name} have no row in {two.name}"
        shown = tuple(f"{label} ({count} rows)" for label, count in absent.most_common(EXAMPLES))
        yield Check("absent_classes", f"{one.name} in {two.name}", len(absent), said, shown)


def _classes(rows: Rows, counts: Counter[str]) -> Iterator[Check]:
    yield Check("one_class", rows.name, float(len(counts) == 1), f"{len(counts)} classes", tuple(counts) if len(counts) == 1 else ())
    few = sorted((count, label) for label, count in counts.items() if count < FEW)
    very = sum(count < VERY_FEW for count, _ in few)
    said = f"{len(few)} of {len(counts)} classes have fewer than {FEW} rows, {very} of them fewer than {VERY_FEW}"
    yield Check("rare_classes", rows.name, len(few), said, tuple(f"{label} ({count})" for count, label in few[:EXAMPLES]))
    (name, most), middle = counts.most_common(1)[0], float(np.median(list(counts.values())))
    said = f"the largest class has {most:,} rows, the median one {middle:,.0f}"
    yield Check("imbalance", rows.name, most / middle, said, (f"{name} ({most:,})",))


def _contradicted(rows: Rows) -> Check:
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(rows.labels):
        if label:
            alike[rows.contents[i]].append(i)
    groups = [group for group in alike.values() if len({rows.labels[i] for i in group}) > 1]
    found = sum(map(len, groups))
    said = f"{found:,} rows in {len(groups):,} groups of one content carry several labels" if groups else "none"
    return Check("contradicted", rows.name, found / len(rows), said, tuple(_group(rows, group) for group in groups[:EXAMPLES]))


def _nearly_contradicted(rows: Rows, likeness: Likeness) -> Iterator[Check]:
    twins = likeness.twins(rows)
    if twins is None or not len(twins.drawn):
        return
    pairs = [(a, b) for a, b in zip(twins.drawn.tolist(), twins.row.tolist(), strict=True) if b >= 0]
    pairs = [(a, b) for a, b in pairs if rows.labels[a] and rows.labels[b] and rows.labels[a] != rows.labels[b]]
    said = f"{len(pairs):,} of {len(twins.drawn):,} rows drawn" if pairs else f"none of {len(twins.drawn):,} rows drawn"
    shown = tuple(_group(rows, pair) for pair in pairs[:EXAMPLES])
    yield Check("near_contradicted", rows.name, len(pairs) / len(twins.drawn), said, shown)


def _group(rows: Rows, group: Sequence[int]) -> str:
    return ", ".join(f"{rows.samples[i].id}: {rows.labels[i]}" for i in group[:3])
