"""What is known of a monitor, read when first asked for and shared by the sections of its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import kmeans, nearest
from detectors.coverage import Coverage, coverage
from detectors.evenly import evenly
from service.checking import Likeness
from service.datasets import DataSet, DataSets, Role
from service.errors import ArtefactError, NotFoundError
from service.ports import Store
from service.records import Judgement, Pooled
from service.reference import Reference, References
from service.report.parts import Missing
from service.settings import MonitorSettings

Side: TypeAlias = Literal["reference", "production", "train", "golden", "challenge", "test"]
"""What embeddings there are of: production is the recent samples that are kept, test the golden and the challenge set together."""

TEST: tuple[Role, ...] = ("golden", "challenge")
"""What the test set is made of."""

Progress: TypeAlias = Callable[[str, float], None]

NONE = "there is none"
"""Why most of what is missing is."""

_MOST_PRODUCTION, _MOST_REGIONS, _MOST_FITTED = 5_000, 256, 20_000
_MOST_HELD_AGAINST = 5_000
"""Rows of a side, drawn at random, that are asked whether another side covers them."""


class Material:
    """One monitor. Nothing is computed twice: sections ask for what they need, in any order."""

    def __init__(
        self,
        settings: MonitorSettings,
        store: Store,
        references: References,
        data_sets: DataSets,
        *,
        now: float,
        progress: Progress = lambda *_: None,
    ) -> None:
        self.settings = settings
        self.monitor = settings.name
        self.store = store
        self.now = now
        self.progress = progress
        self._references = references
        self._data_sets = data_sets
        self._sets: dict[Role, DataSet | Missing] = {}
        self._covers: dict[tuple[Side, Side], Coverage | Missing] = {}

    @cached_property
    def reference(self) -> Reference | None:
        """In force; None before there is one."""
        try:
            return self._references.load(self.monitor)
        except NotFoundError:
            return None

    def data_set(self, role: Role) -> DataSet | Missing:
        """The newest version, or why there is none that the model which counts has embedded: the reference's, else the training set's."""
        if role not in self._sets:
            self._sets[role] = self._data_set(role)
        return self._sets[role]

    @cached_property
    def production(self) -> Sequence[Pooled]:
        """Recent samples, embedded as the reference in force is, else as the newest is; oldest first, at most 5,000, evenly spread."""
        version = None if self.reference is None else self.reference.version
        known = [row for row in self.store.pool(self.monitor) if version is None or row.reference_version == version]
        kept = [row for row in known if row.embedding.shape == known[-1].embedding.shape]
        spread = evenly(len(kept), _MOST_PRODUCTION)
        return [kept[at] for at in spread]

    @cached_property
    def judgements(self) -> Sequence[Judgement]:
        """Samples whose truth is known, as it arrived; the newest 100,000."""
        return self.store.judgements(self.monitor)

    @cached_property
    def likeness(self) -> Likeness:
        """What tells copies from rows that are merely alike, learned of each set once."""
        return Likeness(progress=self.progress)

    @cached_property
    def truths(self) -> Mapping[str, str]:
        """Sample → what was right, the newest word of it."""
        return {each.sample: each.truth for each in self.judgements}

    def embeddings(self, side: Side) -> NDArray[np.float32] | None:
        """(n, d) of a side, None where there are none."""
        found = self.vectors(side)
        return None if isinstance(found, Missing) else found

    def vectors(self, side: Side) -> NDArray[np.float32] | Missing:
        """(n, d) of a side, or why there are none."""
        if side == "reference":
            remedy = f"driftgate reference build --monitor {self.monitor} --input FILE, or --from-stream"
            return Missing("reference", NONE, remedy) if self.reference is None else self.reference.rows.embeddings
        if side == "production":
            return self._produced
        found = [self.data_set(role) for role in (TEST if side == "test" else (side,))]
        parts = [each.embeddings for each in found if isinstance(each, DataSet)]
        if not parts:
            return next(each for each in found if isinstance(each, Missing))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def drawn(self, side: Side) -> NDArray[np.int64]:
        """Which rows of a side are held against others: of production all, else at most 5,000 at random, ascending."""
        rows = self.embeddings(side)
        n = 0 if rows is None else len(rows)
        if side == "production" or n <= _MOST_HELD_AGAINST:
            return np.arange(n)
        return np.sort(np.random.default_rng(0).choice(n, _MOST_HELD_AGAINST, replace=False))

    def cover(self, of: Side, by: Side) -> Coverage | Missing:
        """How one side covers the `drawn` rows of another, or why that can't be said."""
        if (of, by) not in self._covers:
            self.progress(f"{of} covered by {by}", 0.0)
            self._covers[of, by] = self._cover(of, by)
        return self._covers[of, by]

    @cached_property
    def regions(self) -> NDArray[np.float32] | None:
        """(k, d) centres of the regions that all sides are divided into: k-means of the training set, or of the reference without one."""
        rows = self.embeddings("train")
        rows = self.embeddings("reference") if rows is None else rows
        if rows is None:
            return None
        self.progress("regions", 0.0)
        rng = np.random.default_rng(0)
        drawn = rows[np.sort(rng.choice(len(rows), min(len(rows), _MOST_FITTED), replace=False))]
        return kmeans(drawn, min(_MOST_REGIONS, max(1, len(drawn) // 20)), rng=rng)

    def region_of(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """(n,) the nearest region of each row; ValueError where there are no regions."""
        if self.regions is None:
            raise ValueError("neither a training set nor a reference to make regions from")
        return nearest(rows, self.regions)[1]

    def made_from(self) -> Mapping[str, str]:
        """What has been read so far: `train` → `version 3, 100,000 rows`."""
        read: dict[str, Reference | DataSet] = {} if self.reference is None else {"reference": self.reference}
        read |= {role: found for role, found in self._sets.items() if isinstance(found, DataSet)}
        known = {name: f"version {found.version}, {len(found.rows):,} rows" for name, found in read.items()}
        counts = {"production": len(self.production), "truth": len(self.judgements)}
        return known | {name: f"{count:,} samples" for name, count in counts.items() if count}

    @cached_property
    def _produced(self) -> NDArray[np.float32] | Missing:
        if self.production:
            return np.stack([row.embedding for row in self.production]).astype(np.float32)
        why = "no sample is kept that was embedded as the reference in force is"
        return Missing("production", why, "let traffic come; the monitor's pool keeps it")

    def _cover(self, of: Side, by: Side) -> Coverage | Missing:
        rows, others = self.vectors(of), self.vectors(by)
        if isinstance(rows, Missing):
            return rows
        if isinstance(others, Missing):
            return others
        if rows.shape[1] != others.shape[1]:
            why = f"they were embedded by different models: {rows.shape[1]} and {others.shape[1]} dimensions"
            return Missing(f"coverage of {of} by {by}", why, "build a reference, then add the sets again: it says which model counts")
        try:
            return coverage(rows[self.drawn(of)], others, rng=np.random.default_rng(0), in_order=of == "production")
        except ValueError as error:
            return Missing(f"coverage of {of} by {by}", str(error), "add rows, or let more traffic come")

    def _data_set(self, role: Role) -> DataSet | Missing:
        what, adds = f"{role} set", f"driftgate dataset add --monitor {self.monitor} --role {role} --input FILE"
        if not self._data_sets.versions(self.monitor, role):
            return Missing(what, NONE, adds)
        try:
            found = self._data_sets.load(self.monitor, role)
        except ArtefactError as error:
            return Missing(what, str(error), adds)
        whose, fingerprint = self._model
        if fingerprint not in ("", found.manifest["fingerprint"]):
            return Missing(what, f"version {found.version} was embedded by another model than the {whose}", f"add it again: {adds}")
        return found

    @cached_property
    def _model(self) -> tuple[str, str]:
        """What side tells which embedder counts, and the embedder's fingerprint, '' where nothing tells it."""
        if self.reference is not None:
            return "reference", self.reference.fingerprint
        roles: tuple[Role, ...] = ("train", "golden")
        for role in roles:
            if manifests := self._data_sets.versions(self.monitor, role):
                return f"{role} set", str(manifests[-1]["fingerprint"])
        return "reference", ""
