"""A set of samples as the checks see it, from a file or from a monitor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detectors.copies import content_of, words_of
from service.checking.findings import EXAMPLES
from service.datasets import DataSet, payload_digest
from service.errors import InputError
from service.records import Payload, Record, Rejected, Sample

MAX_ROWS = 200_000

Content = Literal["text", "image", "vector"]


@dataclass(frozen=True, eq=False)
class Rows:
    """n samples in one role."""

    name: str
    """The role, or `production`."""
    samples: tuple[Sample, ...]
    embeddings: NDArray[np.float32] | None = None
    """(n, d), where there is an embedder."""
    refused: tuple[str, ...] = ()
    """The first lines that can't be read, with the reason."""
    unread: int = 0
    """How many there are."""
    fingerprint: str = ""
    """Of the embedder."""
    answers: tuple[str, ...] = ()
    """Of the model, '' where unknown."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def judged(self) -> bool:
        """Whether every row needs a label."""
        return self.name not in {"pool", "production"}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """'' where there is none."""
        return tuple(sample.label or "" for sample in self.samples)

    @cached_property
    def content(self) -> Content:
        """What the rows are: vectors unless the first row is something else."""
        first: Payload = self.samples[0].payload if self.samples else np.zeros(1, np.float32)
        return "text" if isinstance(first, str) else "image" if isinstance(first, bytes) else "vector"

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """'' for rows that are no texts."""
        return tuple(sample.payload if isinstance(sample.payload, str) else "" for sample in self.samples)

    @cached_property
    def images(self) -> tuple[bytes, ...]:
        """Empty for rows that are no images."""
        return tuple(sample.payload if isinstance(sample.payload, bytes) else b"" for sample in self.samples)

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """What makes rows the same: of texts their words, without case and punctuation; else a hash."""
        return tuple(_content(sample.payload) for sample in self.samples)

    @cached_property
    def vectors(self) -> NDArray[np.float32] | None:
        """(n, d) what distances are measured between; where there is no embedder, the rows themselves if they are vectors of one shape."""
        if self.embeddings is not None or self.content != "vector" or not self.samples:
            return self.embeddings
        rows = [np.asarray(sample.payload, np.float32).ravel() for sample in self.samples if isinstance(sample.payload, np.ndarray)]
        return np.stack(rows) if len(rows) == len(self) and len({len(row) for row in rows}) == 1 else None

    def without(self, broken: NDArray[np.bool_], reason: str) -> Rows:
        """All but some rows (n,), which count as lines that can't be read."""
        kept = np.flatnonzero(~broken)
        named = [f"{self.samples[at].id}: {reason}" for at in np.flatnonzero(broken)[:EXAMPLES]]
        return replace(
            self,
            samples=tuple(self.samples[at] for at in kept),
            embeddings=None if self.embeddings is None else self.embeddings[kept],
            answers=tuple(self.answers[at] for at in kept) if self.answers else (),
            refused=(*self.refused, *named)[:EXAMPLES],
            unread=self.unread + int(broken.sum()),
        )

    def known_time(self, at: int) -> bool:
        """In files 0 is no time."""
        return bool(self.samples[at].time) and not math.isnan(self.samples[at].time)


def _content(payload: Payload) -> str:
    return (content_of(words_of(payload)) if isinstance(payload, str) else "") or payload_digest(payload)


def rows_of(name: str, records: Iterable[Record]) -> Rows:
    """The samples of files, and why some lines hold none."""
    samples, refused, unread = list[Sample](), list[str](), 0
    for record in records:
        samples += [item for item in record.items if isinstance(item, Sample)]
        broken = [
            f"{record.partition.topic}, line {record.offset + 1}: {item.message}" for item in record.items if isinstance(item, Rejected)
        ]
        unread += len(broken)
        refused += broken[: EXAMPLES - len(refused)]
        if len(samples) + unread > MAX_ROWS:
            raise InputError("too_many", f"the {name} set holds more than {MAX_ROWS:,} rows; check a random part of it")
    return Rows(name, tuple(samples), refused=tuple(refused), unread=unread)


def of_set(name: str, found: DataSet) -> Rows:
    """A version of a monitor's set."""
    return Rows(name, found.samples, found.embeddings, fingerprint=str(found.manifest["fingerprint"]), answers=found.predicted)
