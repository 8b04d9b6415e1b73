"""Data sets with roles: versioned, checksummed, immutable folders of rows and their embeddings.

A version is a folder `datasets/<monitor>/<role>/v<N>/`: `rows.jsonl` (ids, payloads, labels: the erasable row part),
`embeddings.npy` (n, d) float32 in the same order, `logits.npy` (n, classes) float32 where the embedder gives them, `manifest.json` with
counts, classes and checksums. Roles: *train*; *golden*, what must not regress, in three disjoint parts; *challenge*, labelled samples of
the failing or drifted slice; *pool*, labels optional.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detectors.selection.duplicates import duplicate_groups
from service.artefacts import LOCAL, PublishedError, versions
from service.errors import ArtefactError, ConflictError, InputError, NotFoundError
from service.moments import written
from service.ports import Embedded, Embedder, Folders, Revision
from service.records import Output, Payload, Sample
from service.reference_rows import answer, sureness

Role = Literal["train", "golden", "challenge", "pool"]
ROLES: tuple[Role, ...] = get_args(Role)

Part = Literal["select", "calibrate", "verify"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Golden rows for choosing candidates, for calibrating, and for judging new models; near-duplicates are always in the same part."""

MAX_ROWS = 200_000
MAX_GOLDEN_ROWS = 20_000
"""Grouping near-duplicates compares every pair."""

ROWS = "rows.jsonl"

_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A sample of a data set; `part` is empty but in golden sets."""

    sample: Sample
    part: str = ""

    @property
    def digest(self) -> str:
        """Of the payload alone: the same content under another id is the same content."""
        return payload_digest(self.sample.payload)


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """One version, read and held against its checksums.

    The model's answers are those of the time when it was added: the embedder's own, else what the samples brought.
    """

    manifest: Mapping[str, Any]
    rows: tuple[Row, ...]
    embeddings: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None
    """(n, classes); None where the embedder gives none."""
    samples: tuple[Sample, ...] = field(init=False)
    predicted: tuple[str, ...] = field(init=False)
    """Of each row, '' where it is not known."""
    confidence: NDArray[np.float32] = field(init=False)
    """(n,) the largest probability, NaN where it is not known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", tuple(row.sample for row in self.rows))
        predicted, confidence = _answers([sample.output for sample in self.samples], self.logits, self.classes)
        object.__setattr__(self, "predicted", predicted)
        object.__setattr__(self, "confidence", confidence)

    @property
    def version(self) -> int:
        return int(self.manifest["version"])

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's, in the order of its logits; () where they were not declared."""
        return tuple(self.manifest.get("classes", ()))

    @property
    def checksum(self) -> str:
        """Of contents and labels in any order, so that the same rows are known again whatever version or part they stand in."""
        return checksum(self.samples)

    def part(self, name: Part) -> DataSet:
        """The golden rows of one part."""
        kept = [i for i, row in enumerate(self.rows) if row.part == name]
        logits = None if self.logits is None else self.logits[kept]
        return DataSet(self.manifest, tuple(self.rows[i] for i in kept), self.embeddings[kept], logits)

    def cited(self) -> Mapping[str, Any]:
        """How a refresh request names it."""
        return {name: self.manifest[name] for name in ("role", "version", "rows", "labels", "fingerprint", "files")}


@dataclass(frozen=True, slots=True)
class Difference:
    """What a version changes: ids, and per label the rows before and after."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Same id, other payload."""
    relabelled: tuple[str, ...]
    """Same id and payload, other label."""
    labels: Mapping[str, tuple[int, int]]


class DataSets:
    """The data sets below a directory."""

    def __init__(self, directory: Path, folders: Folders = LOCAL) -> None:
        self._directory, self._folders = directory / "datasets", folders

    def add(  # noqa: PLR0913 - options by keyword, after what every caller gives
        self,
        monitor: str,
        role: Role,
        samples: Iterable[Sample],
        embedder: Embedder,
        *,
        now: float,
        classes: Sequence[str] = (),
        among: Sequence[Part] = PARTS,
        after: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> DataSet:
        """Embeds the samples and publishes them as the next version; `progress` hears how many rows are done.

        classes : names of the model's classes in the order of its logits.
        among : golden parts that rows may come into which the version before did not have.
        after : the version that they were made of, 0 for none; ConflictError where one came since. Without it they replace any.

        One bad row refuses the whole: InputError names it, as data sets are made with care. Golden rows that were in the version
        before stay in their part.
        """
        rows, embedded = _embedded(samples, role, embedder, progress)
        created = written(now)
        named = {"monitor": monitor, "role": role, "classes": list(classes), "created": created}
        while True:
            before = max(versions(self._folder(monitor, role), self._folders.names), default=0) if after is None else after
            if role == "golden":
                earlier = self.load(monitor, role, before).rows if before else ()
                parts = split(rows, duplicate_groups(embedded.embedding), {row.digest: row.part for row in earlier}, among)
                rows = [Row(row.sample, part) for row, part in zip(rows, parts, strict=True)]
            manifest = {**_manifest(rows, embedder), **named, "version": before + 1}
            try:
                return self.put(manifest, partial(write_rows, rows=rows, embedded=embedded))
            except ConflictError:
                if after is not None:
                    raise

    def put(self, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> DataSet:
        """Publishes a version made of the one before; ConflictError where another came first: the rename into place compares."""
        monitor, role, version = manifest["monitor"], manifest["role"], manifest["version"]
        try:
            self._folders.publish(self._folder(monitor, role) / f"v{version}", manifest, write)
        except PublishedError as error:
            raise ConflictError(f"monitor {monitor}: {role} set {version} came meanwhile, and would be undone; try again") from error
        return self.load(monitor, role, version)

    def load(self, monitor: str, role: Role, version: int | None = None) -> DataSet:
        """A version, the newest by default. ArtefactError names the file that is missing or damaged."""
        known = versions(self._folder(monitor, role), self._folders.names)
        wanted = version or max(known, default=0)
        folder = self._folder(monitor, role) / f"v{wanted}"
        if wanted not in known and not self._folders.revised(folder):
            which = "" if version is None else f" version {version}"
            there = ", ".join(map(str, known)) or "none"
            raise NotFoundError(f"monitor {monitor}: no {role} set{which}; there: {there}. `driftgate dataset add` makes one")
        return _read(folder, self._folders.verified(folder))

    def versions(self, monitor: str, role: Role | None = None) -> Sequence[Mapping[str, Any]]:
        """The manifests, by role and version, without reading the rows."""
        asked = (self._folder(monitor, each) for each in ROLES if role in (None, each))
        return [self._folders.manifest(folder / f"v{n}") for folder in asked for n in versions(folder, self._folders.names)]

    def folder(self, monitor: str, role: Role, version: int) -> Path:
        """Where a version lies, for whoever reads a few of its rows, or sends its files as they are."""
        return self._folders.here(self._folder(monitor, role) / f"v{version}")

    def revised(self, folder: Path) -> Revision:
        """Changes when something was erased from a version's folder."""
        return self._folders.revised(folder)

    def _folder(self, monitor: str, role: Role) -> Path:
        return self._directory / monitor / role


def difference(before: DataSet, after: DataSet) -> Difference:
    """What changed between two versions."""
    old, new = ({row.sample.id: row for row in data_set.rows} for data_set in (before, after))
    both = [key for key in new if key in old]
    relabelled = tuple(key for key in both if old[key].digest == new[key].digest and old[key].sample.label != new[key].sample.label)
    counts = [Counter(row.sample.label or "" for row in data_set.rows) for data_set in (before, after)]
    return Difference(
        added=tuple(key for key in new if key not in old),
        removed=tuple(key for key in old if key not in new),
        changed=tuple(key for key in both if old[key].digest != new[key].digest),
        relabelled=relabelled,
        labels={label: (counts[0][label], counts[1][label]) for label in sorted(counts[0] | counts[1])},
    )


def split(rows: Sequence[Row], groups: NDArray[np.int64], earlier: Mapping[str, str], among: Sequence[Part] = PARTS) -> list[str]:
    """A part for each golden row, one per near-duplicate group: the part its contents had before, else one of `among` by their hash.

    A group that joins rows of different parts goes to *select*, which promises nothing about rows seen before; so does one in which
    rows are new that may come into that part alone.
    """
    digests = [row.digest for row in rows]
    members: dict[int, list[str]] = {}
    for group, digest in zip(groups.tolist(), digests, strict=True):
        members.setdefault(group, []).append(digest)
    parts = {group: _part(contents, earlier, among) for group, contents in members.items()}
    return [parts[group] for group in groups.tolist()]


def _part(digests: Sequence[str], earlier: Mapping[str, str], among: Sequence[str]) -> str:
    had = {earlier[digest] for digest in digests if digest in earlier}
    if len(had) > 1 or (tuple(among) == ("select",) and any(digest not in earlier for digest in digests)):
        return "select"
    return had.pop() if had else among[int(min(digests), 16) % len(among)]


def checksum(samples: Iterable[Sample]) -> str:
    """Of samples that are, or may become, a data set."""
    lines = sorted(f"{payload_digest(sample.payload)} {sample.label}" for sample in samples)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=10).hexdigest()


def payload_digest(payload: Payload) -> str:
    """A hash of the content."""
    if isinstance(payload, str):
        kind, content = b"text", payload.encode()
    elif isinstance(payload, bytes):
        kind, content = b"image", payload
    else:
        kind, content = f"vector {payload.shape}".encode(), np.ascontiguousarray(payload, "<f4").tobytes()
    return hashlib.blake2b(content, digest_size=16, person=kind[:16]).hexdigest()


# --- in -----------------------------------------------------------------------------------------------------------


def _embedded(samples: Iterable[Sample], role: Role, embedder: Embedder, progress: Callable[[int], None]) -> tuple[list[Row], Embedded]:
    limit = MAX_GOLDEN_ROWS if role == "golden" else MAX_ROWS
    rows: list[Row] = []
    parts: list[Embedded] = []
    seen: set[str] = set()
    stream = iter(samples)
    while batch := list(islice(stream, _BATCH)):
        if len(rows) + len(batch) > limit:
            raise InputError("too_many", f"a {role} set holds at most {limit} rows; draw a random part of the input")
        for sample in batch:
            _check(sample, role, embedder, seen)
        parts.append(embedder.embed([sample.payload for sample in batch]))
        rows += [Row(sample) for sample in batch]
        progress(len(rows))
    if not rows:
        raise InputError("empty", f"no samples for the {role} set: the input has none")
    logits = [part.logits for part in parts if part.logits is not None]
    return rows, Embedded(np.concatenate([part.embedding for part in parts]), np.concatenate(logits) if logits else None)


def _check(sample: Sample, role: Role, embedder: Embedder, seen: set[str]) -> None:
    if sample.id in seen:
        raise InputError("duplicate_id", f"sample {sample.id}: the id comes twice; ids are what versions are compared by")
    seen.add(sample.id)
    if sample.label is None and role != "pool":
        raise InputError("missing_label", f"sample {sample.id}: no label; every row of a {role} set needs one (only pools do without)")
    try:
        embedder.check(sample.payload)
    except InputError as error:
        raise InputError(error.reason, f"sample {sample.id}: {error}; mend or remove it") from error


def _answers(
    outputs: Sequence[Output | None], logits: NDArray[np.float32] | None, classes: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """(n,) classes and (n,) confidences."""
    if logits is None or logits.shape[1] != len(classes):  # logits of another width than the declared classes say nothing
        predicted = tuple(answer(output, None, classes) for output in outputs)
        return predicted, np.array([sureness(output) for output in outputs], np.float32)
    best = logits.max(1, keepdims=True)
    return tuple(classes[i] for i in logits.argmax(1).tolist()), 1.0 / np.exp(logits - best).sum(1)


# --- on disk ------------------------------------------------------------------------------------------------------


def _manifest(rows: Sequence[Row], embedder: Embedder) -> dict[str, Any]:
    labels = Counter(row.sample.label for row in rows if row.sample.label is not None)
    return {
        "format": 1,
        "fingerprint": embedder.fingerprint,
        "dimension": embedder.dimension,
        "rows": len(rows),
        "labels": dict(sorted(labels.items())),
        "unlabelled": len(rows) - labels.total(),
        "parts": dict(sorted(Counter(row.part for row in rows if row.part).items())),
    }


def write_rows(draft: Path, rows: Sequence[Row], embedded: Embedded) -> None:
    """What a version holds beside its manifest."""
    with (draft / ROWS).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(_encode(row), ensure_ascii=False, allow_nan=False) + "\n")
    np.save(draft / "embeddings.npy", embedded.embedding, allow_pickle=False)
    if embedded.logits is not None:
        np.save(draft / "logits.npy", embedded.logits, allow_pickle=False)


def _read(folder: Path, manifest: Mapping[str, Any]) -> DataSet:
    monitor = str(manifest["monitor"])
    with (folder / ROWS).open(encoding="utf-8") as file:
        rows = tuple(row_of(line, monitor) for line in file)
    embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
    logits = np.load(folder / "logits.npy", allow_pickle=False) if "logits.npy" in manifest["files"] else None
    others = {len(embeddings), manifest["rows"]} | ({len(logits)} if logits is not None else set())
    if others != {len(rows)} or embeddings.shape[1:] != (manifest["dimension"],):
        raise ArtefactError(
            f"{folder}: {len(rows)} rows and embeddings {embeddings.shape} do not belong together; restore it from a backup"
        )
    return DataSet(manifest, rows, embeddings, logits)


def row_of(line: str | bytes, monitor: str) -> Row:
    """A line of a version's rows."""
    return _decode(json.loads(line), monitor)


def payload_field(payload: Payload) -> dict[str, Any]:
    """The field of a sample's JSON that holds its payload."""
    if isinstance(payload, str):
        return {"text": payload}
    if isinstance(payload, bytes):
        return {"image": base64.b64encode(payload).decode()}
    return {"vector": payload.tolist()}


def _encode(row: Row) -> dict[str, Any]:
    sample = row.sample
    time = None if math.isnan(sample.time) else sample.time
    output = {} if sample.output is None else {"output": _encode_output(sample.output)}
    return {
        "id": sample.id,
        "time": time,
        **payload_field(sample.payload),
        "segments": dict(sample.segments),
        "label": sample.label,
        "part": row.part,
        **output,
    }


def _encode_output(output: Output) -> dict[str, Any]:
    """Numbers to six digits: a hundred classes would take more room than the sample. A masked class, -inf, becomes null."""
    fields: dict[str, Any] = {"label": output.label, "model_version": output.model_version}
    for name, values in (("probabilities", output.probabilities), ("logits", output.logits)):
        fields[name] = None if values is None else [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]
    return {name: value for name, value in fields.items() if value is not None}


def _decode_output(found: Mapping[str, Any]) -> Output:
    scores = {
        name: tuple(-math.inf if value is None else value for value in found[name]) for name in ("probabilities", "logits") if name in found
    }
    return Output(label=found.get("label"), model_version=found.get("model_version"), **scores)


def _decode(row: Mapping[str, Any], monitor: str) -> Row:
    payload: Payload
    if "text" in row:
        payload = row["text"]
    elif "image" in row:
        payload = base64.b64decode(row["image"], validate=True)
    else:
        payload = np.array(row["vector"], np.float32)
    time = math.nan if row["time"] is None else row["time"]
    output = _decode_output(row["output"]) if "output" in row else None
    return Row(Sample(monitor, row["id"], time, payload, row["segments"], output, row["label"]), row["part"])
