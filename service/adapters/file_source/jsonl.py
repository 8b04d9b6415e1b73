"""One sample as JSON per line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from service.adapters.file_source.feed import Feed
from service.records import Record

_SKIPPED = 1 << 20


def read_jsonl(feed: Feed, start: int) -> Iterator[Record]:
    """Records from line `start` (from 0) on; blank lines have a number but no record."""
    with feed.path.open("rb", buffering=1 << 18) as file:
        for offset, line in enumerate(_lines(file, feed.options.max_bytes)):
            if offset >= start and line and not line.isspace():
                yield feed.record(offset, line)


def _lines(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """Lines without their end. Of one that is too long there come `longest` + 1 bytes: enough to be refused for its length."""
    if file.read(3) != codecs.BOM_UTF8:
        file.seek(0)
    while line := file.readline(longest + 2):
        ended = line.endswith(b"\n")
        while not ended and len(line) > longest and (rest := file.readline(_SKIPPED)):
            ended = rest.endswith(b"\n")
        yield line.rstrip(b"\r\n")
