"""Finds the kept samples nearest to what is asked for, and sends them to annotators where somebody wants that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.coverage import Reach
from detectors.evenly import evenly
from detectors.mining import closeness, fused
from service import refresh
from service.datasets import DataSets
from service.errors import ConflictError, InputError, NotFoundError
from service.failures.listing import Failures
from service.monitors import Loaders
from service.ports import Embedder, Store
from service.records import Candidate, Payload, Pooled, Purpose, RefreshCycle, Sample, stable_id
from service.reference import Reference, References
from service.reference_rows import answer, sureness
from service.report.material import Material
from service.selecting.asking import MAX_TEXT, asked, batches_of
from service.selecting.gathering import Likeness
from service.selecting.reading import Reading
from service.selecting.slices import Slice
from service.similar.pool import Kept, Narrowing, kept_samples, narrowed
from service.similar.queries import Query, of_cluster, of_given, of_sample, of_set
from service.similar.sending import Assessed, judging, open_ones

Progress = Callable[[str, float], None]

MOST_MATCHES = 1_000
"""That an answer holds."""

_REACHED = 10_000
"""Reference rows that distances are ranked among."""
_SHORTLIST = 5
"""Times as many rows as are wanted that extractors see."""
_BATCH, _COPIES = 64, 20


class Monitors(Loaders, Protocol):
    """What is asked of the installation."""

    def material(self, monitor: str, *, now: float) -> Material:
        """What is known of a monitor."""


class Sends(Protocol):
    """Who opens a refresh cycle for candidates that somebody chose."""

    def send(self, monitor: str, opened_by: str, candidates: Sequence[Candidate], rows: Sequence[Pooled], *, now: float) -> RefreshCycle:
        """The cycle; the same opener gives the same one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Near to what samples are wanted, of which exactly one thing is named; and which, and how many."""

    sample: str | None = None
    """The id of one that is kept."""
    given: Sample | None = None
    failure: str | None = None
    """A failure cluster's id."""
    data_set: str | None = None
    """`ROLE` or `ROLE:VERSION`."""
    narrowing: Narrowing = field(default_factory=Narrowing)
    limit: int = 20
    extractors: tuple[Path, ...] = ()
    """Further ONNX models, whose orders of the nearest are fused with that of the monitor's own."""

    def __post_init__(self) -> None:
        named = [name for name in ("sample", "given", "failure", "data_set") if getattr(self, name) is not None]
        if len(named) != 1:
            raise InputError("use", f"name one thing to be near to: a sample, a text, a failure cluster or a set; found {len(named)}")
        if not 1 <= self.limit <= MOST_MATCHES:
            raise InputError("limit", f"limit: 1 to {MOST_MATCHES:,}, found {self.limit}")


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A kept sample that is near."""

    row: Pooled
    place: str
    similarity: float
    """Cosine to the nearest of what is asked for, seen from the reference's mean."""
    near: str
    """The id of that one."""
    percentile: float
    """Of its distance to the five nearest reference rows, among theirs to each other; NaN where that can't be told."""
    label: str | None
    predicted: str
    confidence: float
    """NaN where it is not known."""
    asked: bool
    """Whether annotators have been asked about it, or about a near-duplicate that it stands for."""
    count: int = 1
    """Near-duplicates that it stands for, itself included."""
    copies: tuple[str, ...] = ()
    """Ids of some of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The answer."""

    monitor: str
    reference_version: int
    query: Query
    kept: int
    """Samples that are kept under the reference in force."""
    searched: int
    """Of these, those that the narrowing left."""
    matches: tuple[Match, ...]
    """The nearest first."""


class Mining:
    """Safe to call from several threads."""

    def __init__(
        self, store: Store, references: References, data_sets: DataSets, failures: Failures, monitors: Monitors, *, sends: Sends
    ) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._failures = failures
        self._monitors = monitors
        self._sends = sends

    def find(self, monitor: str, asked: Asked, *, now: float, progress: Progress = lambda *_: None) -> Matches:
        """The samples nearest to what is asked for, near-duplicates told once."""
        material = self._monitors.material(monitor, now=now)
        if material.reference is None:
            raise NotFoundError(f"monitor {monitor}: without a reference nothing says what is alike; `driftgate reference build` makes one")
        query = self._query(material, material.reference, asked)
        search = _Search(self._store, self._data_sets, material, material.reference, query)
        order = search.order(asked.narrowing, progress)
        if asked.extractors and len(order):
            own = material.settings.embedder
            views = [self._monitors.load(own.with_model(model)) for model in asked.extractors]
            order = _fused(search, order[: max(_SHORTLIST * asked.limit, 200)], views, progress)
        return Matches(monitor, material.reference.version, query, len(search.kept), search.searched, search.matches(order, asked.limit))

    def send(self, found: Matches, *, actor: str, now: float) -> RefreshCycle:
        """Opens a cycle with those that nobody was asked about, that have no label yet and that are not too close to the rows which
        models are judged by; its batch leaves as the monitor approves. Sending the same twice is harmless."""
        opened_by = stable_id("similar", found.monitor, found.reference_version, *sorted(match.row.id for match in found.matches))
        sent = refresh.Opening(found.monitor, found.reference_version, opened_by).cycle
        read = self._reading(found)
        if set(found.query.ids) & judging(read, self._data_sets) and not found.query.cluster:
            raise InputError(
                "use",
                f"monitor {found.monitor}: models are judged by {found.query.what}, so none may learn from what is chosen by it; "
                "choose by a failure cluster, by other samples, or by --set golden, of which the part for choosing is taken",
            )
        if any(batch.cycle == sent for batch in read.batches):
            return self._store.get(RefreshCycle, sent)
        candidates, rows = self._candidates(found, read, actor)
        return self._sends.send(found.monitor, opened_by, candidates, rows, now=now)

    def _candidates(self, found: Matches, read: Reading, actor: str) -> tuple[list[Candidate], list[Pooled]]:
        chosen = [match for match in found.matches if not match.asked and match.label is None]
        told = open_ones(read, [(match.row, match.count) for match in chosen]) if chosen else {}
        if not told:
            raise InputError(
                "no_candidates",
                f"monitor {found.monitor}: of {len(found.matches)} samples near {found.query.what} none is without a label, not asked "
                "about yet and unlike golden and challenge rows; widen the narrowing or raise the limit",
            )
        chosen = [match for match in chosen if match.row.id in told]
        return [_candidate(match, found.query, actor, told[match.row.id]) for match in chosen], [match.row for match in chosen]

    def _reading(self, found: Matches) -> Reading:
        """All that is kept and known, under the reference that was searched by."""
        settings, about = self._monitors.effective(found.monitor), Slice(found.monitor, found.reference_version)
        read = Reading(self._store, self._references, self._data_sets, settings, about)
        if read.reference.version != found.reference_version:
            raise ConflictError(f"monitor {found.monitor}: another reference came into force meanwhile; search again")
        return read

    def _query(self, material: Material, reference: Reference, asked: Asked) -> Query:
        if asked.failure is not None:
            return of_cluster(self._failures.cluster(material.monitor, asked.failure))
        if asked.data_set is not None:
            return of_set(self._data_sets, reference, asked.data_set)
        embedder = self._monitors.embedder(material.monitor)
        if asked.given is not None:
            return of_given(asked.given, embedder)
        return of_sample(material, asked.sample or "", embedder)


class _Search:
    """One question's way through what is kept."""

    def __init__(self, store: Store, data_sets: DataSets, material: Material, reference: Reference, query: Query) -> None:
        self.reference = reference
        self.query = query
        self.kept = kept_samples(store, data_sets, reference)
        self.searched = 0
        self._classes = material.settings.classes
        self._truths = _truths(store, material.monitor, self.kept)
        self._asked = asked(store, batches_of(store, material.monitor)).items
        self._likeness = Likeness.of(reference)
        self._cosine = np.zeros(len(self.kept), np.float32)
        self._near = np.zeros(len(self.kept), np.int64)

    def order(self, by: Narrowing, progress: Progress) -> NDArray[np.int64]:
        """Those that may answer, the nearest first."""
        inside = narrowed(self.kept, by, self._truths, self.reference, self._classes)
        at = np.array([i for i in inside if self.kept[i].row.id not in self.query.apart], np.int64)
        self.searched = len(at)
        if not len(at):
            return at
        rows = np.stack([self.kept[i].row.embedding for i in at.tolist()])
        found = closeness(rows, self.query.embeddings, self._likeness.centre, progress=lambda done: progress("searching", done))
        self._cosine[at], self._near[at] = found
        return at[np.argsort(-found.cosine, kind="stable")]

    def matches(self, order: NDArray[np.int64], limit: int) -> tuple[Match, ...]:
        """The first of the order that are no near-duplicates of each other, with what each stands for."""
        if not len(order):
            return ()
        own = self.reference.rows.embeddings
        groups = self._groups(order, limit)
        rows = np.stack([self.kept[leader].row.embedding for leader in groups]).astype(np.float32)
        far = _percentiles(rows, own[evenly(len(own), _REACHED)])
        return tuple(self._match(members, float(rank)) for members, rank in zip(groups.values(), far, strict=True))

    def _groups(self, order: NDArray[np.int64], limit: int) -> Mapping[int, list[int]]:
        """Of at most `limit` samples, each with its near-duplicates, itself first: looks as far down the order as it takes."""
        looked = min(len(order), 4 * limit)
        while True:
            part = order[:looked]
            stands = self._likeness.stands(np.stack([self.kept[i].row.embedding for i in part.tolist()]).astype(np.float32))
            groups: dict[int, list[int]] = {}
            for member, leader in zip(part.tolist(), part[stands].tolist(), strict=True):
                groups.setdefault(leader, []).append(member)
            if len(groups) > limit or looked == len(order):
                return dict(list(groups.items())[:limit])
            looked = min(len(order), 4 * looked)

    def _match(self, members: Sequence[int], percentile: float) -> Match:
        leader = members[0]
        each = self.kept[leader]
        row = each.row
        return Match(
            row=row,
            place=each.place,
            similarity=float(self._cosine[leader]),
            near=self.query.ids[int(self._near[leader])],
            percentile=percentile,
            label=self._truths.get(row.id, row.label),
            predicted=answer(row.output, None, self._classes),
            confidence=sureness(row.output),
            asked=any(self.kept[member].row.id in self._asked for member in members),
            count=sum(self.kept[member].count for member in members),
            copies=tuple(self.kept[member].row.id for member in members[1 : _COPIES + 1]),
        )


def _truths(store: Store, monitor: str, kept: Sequence[Kept]) -> Mapping[str, str]:
    known = store.known_truth(monitor, [each.row.id for each in kept])
    return {sample: judged.truth for sample, judged in known.items() if judged is not None}


def _percentiles(rows: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        return Reach.of(reference, rng=np.random.default_rng(0))(rows)
    except ValueError:  # too few rows, or all alike
        return np.full(len(rows), math.nan, np.float32)


def _fused(search: _Search, order: NDArray[np.int64], views: Sequence[Embedder], progress: Progress) -> NDArray[np.int64]:
    """The shortlist as all models together order it; what has no payload is ranked by the monitor's own alone."""
    queries = [payload for payload in search.query.payloads if payload is not None]
    at = [place for place, i in enumerate(order.tolist()) if search.kept[i].row.payload is not None]
    if not queries or not at:
        raise InputError(
            "payload",
            f"extractors read payloads, and none is kept of {search.query.what} or what is near; pool.keep_payloads: true keeps them",
        )
    payloads = [payload for place in at if (payload := search.kept[int(order[place])].row.payload) is not None]
    orders = [np.arange(len(order))]
    for number, view in enumerate(views):
        asked, rows = _seen(view, queries), _seen(view, payloads)
        found = closeness(rows, asked, rows.mean(0))
        orders.append(np.array(at)[np.argsort(-found.cosine, kind="stable")])
        progress("extractors", (number + 1) / len(views))
    return order[np.argsort(-fused(orders, len(order)), kind="stable")]


def _seen(view: Embedder, payloads: Sequence[Payload]) -> NDArray[np.float32]:
    for payload in payloads:
        view.check(payload)
    parts = [view.embed(payloads[start : start + _BATCH]).embedding for start in range(0, len(payloads), _BATCH)]
    return np.concatenate(parts).astype(np.float32)


def _candidate(match: Match, query: Query, actor: str, told: Assessed) -> Candidate:
    """No limit of the risk holds, as a person chose it."""
    row = match.row
    return Candidate(
        id=row.id,
        reason=f"near to {query.what}, asked for by {actor}",
        risk=told.risk,
        segment="all",
        text=row.payload[:MAX_TEXT] if isinstance(row.payload, str) else "",
        predicted=match.predicted or None,
        weight=match.count,
        purpose=Purpose.EXPAND if query.cluster else Purpose.PROBE,
        value=match.similarity,
        junk=told.junk,
        contested=told.contested,
        influence=told.influence,
        nearest=told.nearest,
        failure=query.cluster,
        copies=match.copies,
        time=row.time,
    )
