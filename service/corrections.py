"""Versions of data sets in which some labels are others, and nothing else: why each was changed is kept beside the rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from service.datasets import DataSet, DataSets, Role, Row, write_rows
from service.errors import ConflictError
from service.moments import written
from service.ports import Embedded

CORRECTS = "corrects"
"""Where the manifest of such a version names the one before."""

FILE = "corrections.jsonl"


@dataclass(frozen=True, slots=True)
class Correction:
    """Another label for a row, and where it comes from."""

    id: str
    before: str
    after: str
    source: str
    """A review's batch, or a file."""
    by: str = ""
    """Who said so."""
    probability: float | None = None
    """That the label before was wrong, as far as it was looked at."""


def corrected(data_sets: DataSets, before: DataSet, corrections: Sequence[Correction], *, now: float) -> DataSet:
    """The version after the newest; embeddings and golden's parts stay as they are. ConflictError where `before` is not the newest."""
    monitor, role = str(before.manifest["monitor"]), before.manifest["role"]
    newest = int(data_sets.versions(monitor, role)[-1]["version"])
    if newest != before.version:
        raise ConflictError(f"monitor {monitor}: {role} set {newest} came after {before.version}; correct that one")
    labels = {each.id: each.after for each in corrections}
    rows = [Row(replace(row.sample, label=labels.get(row.sample.id, row.sample.label)), row.part) for row in before.rows]
    counts = Counter(row.sample.label for row in rows if row.sample.label is not None)
    manifest = {**before.manifest, "labels": dict(sorted(counts.items())), "version": newest + 1, CORRECTS: newest}
    manifest["created"] = written(now)

    def write(draft: Path) -> None:
        write_rows(draft, rows, Embedded(before.embeddings, before.logits))
        lines = (json.dumps(asdict(each), ensure_ascii=False, allow_nan=False) + "\n" for each in corrections)
        (draft / FILE).write_text("".join(lines), encoding="utf-8")

    return data_sets.put(manifest, write)


def corrections_of(data_sets: DataSets, before: DataSet) -> Sequence[Correction]:
    """Those of a version; none where it is an ordinary one."""
    role: Role = before.manifest["role"]
    path = data_sets.folder(str(before.manifest["monitor"]), role, before.version) / FILE
    if CORRECTS not in before.manifest or not path.exists():
        return ()
    with path.open(encoding="utf-8") as file:
        return [Correction(**json.loads(line)) for line in file]
