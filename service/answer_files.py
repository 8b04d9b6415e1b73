"""Answers in files, as people bring them back: the lines of a batch with a label added, or a labelling tool's export of its own columns.

JSONL, CSV, TSV and Parquet. A file is taken whole or not at all: what is wrong is said of every line, so that it is mended once.
"""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from service.errors import InputError
from service.records import Label

MOST_BYTES = 1_000_000_000
"""Of a file: exports carry the samples along."""

_SHOWN_FAULTS = 20
_LENGTHS = {"id": 1_000, "label": 200, "annotator": 200, "batch": 200}
_TRUE, _FALSE = frozenset({"true", "yes", "1", "x"}), frozenset({"false", "no", "0", ""})
_IDS = ("driftgate_id", "id")

Row: TypeAlias = Mapping[str, Any]
Place: TypeAlias = str
Reader: TypeAlias = Callable[[Path], Iterable[tuple[Place, Row]]]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file says what. Without an `id` it is `driftgate_id`, or `id`; without a `batch` each line names its own."""

    id: str = ""
    label: str = "label"
    batch: str = ""
    """The id of the batch that all lines belong to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One line that has one."""

    batch: str
    sample: str
    label: str | None
    annotator: str

    def as_label(self, monitor: str, time: float) -> Label:
        """As it is kept."""
        return Label(monitor, self.batch, self.sample, self.label, time, self.annotator, unusable=self.label is None)


class _Fault(Exception):  # noqa: N818 - of a line, gathered with the others
    """What is wrong with a line."""


def read_answers(path: Path, columns: Columns = Columns()) -> dict[str, list[Answer]]:
    """The answers of each batch, in the file's order; lines without one are passed over. InputError says what is wrong, line by line."""
    answers, faults, seen = dict[tuple[str, str, str], tuple[Place, Answer]](), list[str](), dict[str, None]()
    for place, row in _rows(path):
        seen |= dict.fromkeys(map(str, row)) if len(seen) < _SHOWN_FAULTS else {}
        try:
            answer = _answer(row, columns)
            if answer is not None:
                _add(answers, place, answer)
        except _Fault as fault:
            faults.append(f"{place}: {fault}")
    if faults:
        rest = f"\n  and {len(faults) - _SHOWN_FAULTS:,} more" if len(faults) > _SHOWN_FAULTS else ""
        raise InputError("labels", f"{path}: nothing was taken; mend these lines:\n  " + "\n  ".join(faults[:_SHOWN_FAULTS]) + rest)
    if not answers:
        found = f"; it has {', '.join(seen):.300}" if seen else ", it is empty"
        raise InputError("labels", f'{path}: no line has an answer yet: fill in "{columns.label}", or say "unusable": true{found}')
    batches = dict[str, list[Answer]]()
    for _, answer in answers.values():
        batches.setdefault(answer.batch, []).append(answer)
    return batches


def _add(answers: dict[tuple[str, str, str], tuple[Place, Answer]], place: Place, answer: Answer) -> None:
    before, known = answers.setdefault((answer.batch, answer.sample, answer.annotator), (place, answer))
    if known.label != answer.label:
        who = f" by {answer.annotator}" if answer.annotator else ""
        raise _Fault(f"{answer.sample!r:.80} is answered otherwise{who} in {before}; keep one, or name the annotators")


# --- one line ---------------------------------------------------------------------------------------------------------


def _answer(row: Row, columns: Columns) -> Answer | None:
    """None of a line without one."""
    label, unusable = _text(row, columns.label, "label"), _flag(row)
    if label is None and not unusable:
        return None
    if label is not None and unusable:
        raise _Fault("both a label and unusable; keep one of them")
    batch = columns.batch or _text(row, "batch", "batch")
    if batch is None:
        raise _Fault('no "batch"; say which one it is with --batch')
    return Answer(batch, _id(row, columns), label, _text(row, "annotator", "annotator") or "")


def _id(row: Row, columns: Columns) -> str:
    names = (columns.id,) if columns.id else _IDS
    found = next((text for text in (_text(row, name, "id") for name in names) if text is not None), None)
    if found is None:
        raise _Fault(f"no {' or '.join(names)}; say which column has our id with --id-column")
    return found


def _text(row: Row, name: str, kind: str) -> str | None:
    """None where it is missing or empty. Whole numbers are read as they are written: classes may be called so."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Fault(f'"{name}" is {value!r:.60}; expected a text')
    text = str(value).strip()
    if len(text) > _LENGTHS[kind]:
        raise _Fault(f'"{name}" has {len(text):,} characters, at most {_LENGTHS[kind]:,} are taken')
    return text or None


def _flag(row: Row) -> bool:
    value = row.get("unusable")
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise _Fault(f'"unusable" is {value!r:.60}; expected true or false')
    return text in _TRUE


# --- lines ------------------------------------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[Place, Row]]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError("file", f"{path}: answers are read from {', '.join(_READERS)} files; convert it to one of these")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError("too_large", f"{path}: {size:,} bytes, at most {MOST_BYTES:,} are read; leave the samples out of it")
        yield from reader(path)
    except OSError as error:
        raise InputError("file", f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError("file", f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _json_lines(path: Path) -> Iterator[tuple[Place, Row]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"line {number}", _document(path, number, line.removeprefix(BOM_UTF8))


def _document(path: Path, number: int, line: bytes) -> Row:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("labels", f"{path}: line {number} is no JSON object: {error}") from error


def _table(delimiter: str) -> Reader:
    def read(path: Path) -> Iterator[tuple[Place, Row]]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter, strict=True)
            try:
                for row in rows:
                    yield f"line {rows.line_num}", row
            except csv.Error as error:
                raise InputError("labels", f"{path}: line {rows.line_num} is damaged: {error}") from error

    return read


def _parquet(path: Path) -> Iterable[tuple[Place, Row]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, as large as the rest of the service
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above
    except ImportError as error:
        raise InputError("file", "Parquet needs pyarrow: install driftgate[parquet]") from error
    read = 0
    try:
        with pq.ParquetFile(path) as file:
            heavy = {"text", "image", "vector", "scheme"}
            names = [name for name in file.schema_arrow.names if name not in heavy]
            for batch in file.iter_batches(batch_size=4_096, columns=names):
                yield from ((f"row {number}", row) for number, row in enumerate(batch.to_pylist(), read + 1))
                read += len(batch)
    except pa.ArrowException as error:
        raise InputError("file", f"{path}: no Parquet file that can be read: {error}") from error


_READERS: Mapping[str, Reader] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".parquet": _parquet,
}
