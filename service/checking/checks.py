"""All checks of sets, one by one and against each other: what the command and the report both show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from service.checking.cells import cell_check
from service.checking.contents import content_checks, profile_checks
from service.checking.findings import EXAMPLES, KINDS, Check, Limit
from service.checking.labels import class_overlap, label_checks
from service.checking.likeness import Likeness
from service.checking.sets import Rows

_TRAINING = "train"
_HELD_OUT = ("golden", "challenge")


def check(
    sets: Sequence[Rows], likeness: Likeness, *, classes: Sequence[str] = (), limits: Mapping[str, Limit] | None = None
) -> list[Check]:
    """Every check that the sets allow, in the order of the sets and then of the kinds."""
    sets = [likeness.legible(rows) for rows in sets]
    return [*within(sets, likeness, classes=classes, limits=limits), *overlaps(sets, likeness, limits=limits)]


def within(
    sets: Sequence[Rows], likeness: Likeness, *, classes: Sequence[str] = (), limits: Mapping[str, Limit] | None = None
) -> list[Check]:
    """Each set by itself, and beside training."""
    training = next((rows for rows in sets if rows.name == _TRAINING and len(rows)), None)
    found: list[Check] = []
    for rows in sets:
        found += _judged(_alone(rows, likeness, classes), limits)
        if training is not None and rows is not training and len(rows):
            found += _judged(profile_checks(rows, training), limits)
            found += _judged(class_overlap(rows, training), limits) if rows.judged else []
    return found


def overlaps(sets: Sequence[Rows], likeness: Likeness, *, limits: Mapping[str, Limit] | None = None) -> list[Check]:
    """What was trained on and is tested with, and what stands in both held-out sets."""
    named = {rows.name: rows for rows in sets if len(rows)}
    pairs = [(name, _TRAINING) for name in _HELD_OUT] + [_HELD_OUT]
    found: list[Check] = []
    for of, among in pairs:
        if of in named and among in named:
            found += _judged(_overlap(named[of], named[among], likeness), limits)
    return found


def _alone(rows: Rows, likeness: Likeness, classes: Sequence[str]) -> Iterator[Check]:
    yield from content_checks(rows, likeness)
    if len(rows):
        yield from label_checks(rows, classes, likeness)
        yield from cell_check(rows)


def _overlap(of: Rows, among: Rows, likeness: Likeness) -> Iterator[Check]:
    about = f"{of.name} in {among.name}"
    if of.fingerprint != among.fingerprint:
        yield Check("embedder", about, 1.0, f"{of.name} by {of.fingerprint or 'none'}, {among.name} by {among.fingerprint or 'none'}")
    pairs = shared_rows(of, among, likeness)
    for kind in ("shared_ids", "shared"):
        yield _shared(kind, of, among, pairs[kind])
    if likeness.copies(of, among) is None:
        yield Check("near_shared", about, None, _incomparable(of, among))
    else:
        yield _shared("near_shared", of, among, pairs["near_shared"])


def shared_rows(of: Rows, among: Rows, likeness: Likeness) -> Mapping[str, Mapping[int, int]]:
    """By each kind of finding, which rows of one set stand in another, and where; near-copies are those that are not equal."""
    places = {sample.id: i for i, sample in enumerate(among.samples)}
    contents = {digest: i for i, digest in enumerate(among.contents)}
    same = {i: contents[digest] for i, digest in enumerate(of.contents) if digest in contents}
    copies = likeness.copies(of, among)
    found = () if copies is None else copies.found.nonzero()[0].tolist()
    return {
        "shared_ids": {i: places[sample.id] for i, sample in enumerate(of.samples) if sample.id in places},
        "shared": same,
        "near_shared": {} if copies is None else {i: int(copies.row[i]) for i in found if i not in same},
    }


def _incomparable(of: Rows, among: Rows) -> str:
    if of.content != among.content:
        return f"{of.name} holds {of.content}s, {among.name} {among.content}s"
    if of.fingerprint != among.fingerprint:
        return "the sets were embedded by different models"
    return f"needs at least 20 rows in {among.name} that can be compared, and vectors of one dimension"


def _shared(kind: str, of: Rows, among: Rows, pairs: Mapping[int, int]) -> Check:
    said = f"{len(pairs):,} of {len(of):,} rows" if pairs else f"none of {len(of):,} rows"
    ids = tuple((of.samples[a].id, among.samples[b].id) for a, b in pairs.items())
    return Check(kind, f"{of.name} in {among.name}", len(pairs) / len(of), said, tuple(map(", ".join, ids[:EXAMPLES])), pairs=ids)


def _judged(found: Iterator[Check], limits: Mapping[str, Limit] | None) -> list[Check]:
    order = list(KINDS)
    known = {name: kind.limit for name, kind in KINDS.items()} if limits is None else limits
    return sorted((replace(each, limit=known[each.kind]) for each in found), key=lambda each: order.index(each.kind))
