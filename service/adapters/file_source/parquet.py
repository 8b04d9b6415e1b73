"""Parquet, with the fields of a sample as columns: `id`, `time`, `text`, `image`, `vector`, `segments`, `output`, `label`.

Tags and outputs may also be columns of their own: `segments.locale` or `segment_locale`, `output.label`.
pyarrow is imported when the first Parquet file is opened: it is as large as the rest of the service (extra `parquet`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from service.adapters.file_source.feed import Feed
from service.errors import InputError
from service.records import Record

_ROWS = 1024
_FIELDS = ("id", "time", "text", "image", "vector", "segments", "output", "label")
_PARTS = {"segments.": "segments", "segment_": "segments", "output.": "output"}
"""Prefixes of columns that hold a part of a field."""

_ALLOWED = {
    "id": ("string", "whole number"),
    "time": ("string", "timestamp", "number", "whole number"),
    "text": ("string",),
    "image": ("string", "binary"),
    "vector": ("list",),
    "segments": ("struct", "map"),
    "output": ("struct",),
    "label": ("string", "number", "whole number", "boolean"),
}


def check_parquet(feed: Feed) -> None:
    """InputError unless every column that is read has a type that its field can have, and there is a payload."""
    pa = _pyarrow()
    with _opened(feed) as file:
        schema = file.schema_arrow
    for name in schema.names:
        found, allowed = _kind(pa, schema.field(name).type), _ALLOWED.get(name)
        if allowed is not None and found not in (*allowed, "null"):
            raise InputError("file", f"{feed.path.name}: column {name} is {schema.field(name).type}; expected {' or '.join(allowed)}")
    if not {"text", "image", "vector"} & set(schema.names):
        raise InputError("file", f"{feed.path.name}: no column text, image or vector; found {', '.join(schema.names)[:200] or 'none'}")


def read_parquet(feed: Feed, start: int) -> Iterator[Record]:
    """Records from row `start` on, a batch of rows in memory at a time; row groups before it are not read."""
    with _opened(feed) as file:
        first, groups = _from_row(file.metadata, start)
        for offset, document in enumerate(_documents(feed, file, groups), first):
            if offset >= start:
                yield feed.record(offset, document)


def _documents(feed: Feed, file: Any, groups: Sequence[int]) -> Iterator[dict[str, Any]]:
    pa = _pyarrow()
    names = [name for name in file.schema_arrow.names if name in _FIELDS or _part(name)]
    try:
        for batch in file.iter_batches(batch_size=_ROWS, row_groups=groups, columns=names):
            columns = {name: _values(pa, batch.column(name)) for name in batch.schema.names}
            for row in zip(*columns.values(), strict=True):
                yield _document(columns, row)
    except (pa.ArrowException, OSError) as error:
        raise InputError("file", f"{feed.path.name}: damaged: {error}") from error


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - see the module's docstring
    except ImportError as error:
        raise InputError("file", "Parquet needs pyarrow: install driftgate[parquet]") from error
    return pa


def _opened(feed: Feed) -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415 - see the module's docstring

    try:
        return pq.ParquetFile(feed.path)
    except (_pyarrow().ArrowException, OSError) as error:
        raise InputError("file", f"{feed.path.name}: no Parquet file that can be read: {error}") from error


def _from_row(metadata: Any, start: int) -> tuple[int, list[int]]:
    """The first row of the group that holds row `start`, and this and all later groups."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if start < first + rows:
            return first, list(range(group, metadata.num_row_groups))
        first += rows
    return first, []


def _part(name: str) -> tuple[str, str] | None:
    """(field, part) of a column such as `segment_locale`."""
    prefix = next((prefix for prefix in _PARTS if name.startswith(prefix)), None)
    return None if prefix is None else (_PARTS[prefix], name.removeprefix(prefix))


def _document(columns: Mapping[str, Any], row: Sequence[Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in zip(columns, row, strict=True):
        part = _part(name)
        if part is None:
            document[name] = value if document.get(name) is None else {**document[name], **(value or {})}
        elif value is not None:
            document[part[0]] = {**(document.get(part[0]) or {}), part[1]: value}
    return document


def _kind(pa: Any, kind: Any) -> str:
    tests: dict[str, Callable[[Any], bool]] = {
        "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
        "binary": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t),
        "list": lambda t: pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t),
        "whole number": pa.types.is_integer,
        "number": pa.types.is_floating,
        "boolean": pa.types.is_boolean,
        "timestamp": pa.types.is_timestamp,
        "struct": pa.types.is_struct,
        "map": pa.types.is_map,
        "null": pa.types.is_null,
    }
    if pa.types.is_dictionary(kind):
        return _kind(pa, kind.value_type)
    return next((name for name, test in tests.items() if test(kind)), str(kind))


def _values(pa: Any, column: Any) -> Sequence[Any]:
    """The column's values as a sample's document holds them."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = _kind(pa, column.type)
    if kind == "timestamp":
        micros = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64()).to_pylist()
        return [None if value is None else value / 1e6 for value in micros]
    if kind == "map":
        return [None if value is None else dict(value) for value in column.to_pylist()]
    if kind == "list" and not column.null_count and pa.types.is_floating(column.type.value_type):
        return _vectors(pa, column)
    values: Sequence[Any] = column.to_pylist()
    return values


def _vectors(pa: Any, column: Any) -> Sequence[Any]:
    """Rows of numbers as views of one array, without a Python object per number."""
    if pa.types.is_fixed_size_list(column.type):
        return list(column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size))
    numbers = column.values.to_numpy(zero_copy_only=False)
    ends = column.offsets.to_numpy().tolist()
    return [numbers[begin:end] for begin, end in pairwise(ends)]
