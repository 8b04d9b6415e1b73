"""Pools from files as rows to choose from, with the labels that they brought: noisy ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from detectors.evenly import evenly
from service.datasets import DataSet, DataSets
from service.labelled import pooled_of
from service.records import Output, Pooled
from service.reference import Reference

MOST_ROWS = 20_000
"""Rows of files that are looked at, those of the newest sets first."""

_SETS = 5
"""Pool sets that are read, the newest."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows, each once, as its newest set has it, and what could not be used."""

    rows: tuple[Pooled, ...]
    notes: tuple[str, ...] = ()


def imported(data_sets: DataSets, reference: Reference, asked: Collection[str]) -> Imported:
    """Of the newest pool sets that somebody imported. `asked`: ids of what went to annotators, of which pool sets are kept, too."""
    found, notes = dict[str, Pooled](), list[str]()
    for pool in _files(data_sets, reference.monitor, asked):
        if pool.manifest["fingerprint"] != reference.fingerprint:
            again = f"import it again: driftgate pool import --monitor {reference.monitor}"
            notes.append(f"pool set {pool.version} was embedded by another model and is not chosen from; {again}")
            continue
        new = [at for at, sample in enumerate(pool.samples) if sample.id not in found]
        spread = evenly(len(new), MOST_ROWS - len(found))
        if len(spread) < len(new):
            notes.append(f"of {len(new):,} rows of pool set {pool.version}, {len(spread):,} evenly spread ones are looked at")
        found |= {row.id: row for row in (_row(pool, new[i], reference.version) for i in spread.tolist())}
    return Imported(tuple(found.values()), tuple(notes))


def _files(data_sets: DataSets, monitor: str, asked: Collection[str]) -> Iterator[DataSet]:
    """The newest first; without those that only keep what annotators were asked."""
    left = _SETS
    for manifest in reversed(data_sets.versions(monitor, "pool")):
        if not left:
            return
        pool = data_sets.load(monitor, "pool", int(manifest["version"]))
        if not all(sample.id in asked for sample in pool.samples):
            left -= 1
            yield pool


def _row(pool: DataSet, at: int, version: int) -> Pooled:
    """With the answer of the model in force, where the file brought none."""
    sample = pool.samples[at]
    row = pooled_of(sample, pool.embeddings[at], version)
    if sample.output is not None or pool.logits is None:
        return row
    return replace(row, output=Output(pool.predicted[at] or None, logits=tuple(pool.logits[at].tolist())))
