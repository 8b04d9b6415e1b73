"""What every file format gives: numbered records of one sample or rejection each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_sample
from service.errors import InputError
from service.records import Partition, Record, Sample


@dataclass(frozen=True, slots=True)
class Feed:
    """One file as a partition: the topic is its name, the topic's id the hash of its content."""

    path: Path
    partition: Partition
    monitor: str
    options: SampleOptions

    @classmethod
    def of(cls, path: Path, monitor: str, options: SampleOptions) -> Self:
        """Reads the file once, for its hash; images are found beside it, and its times are taken as they are."""
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=10)).hexdigest()
        except OSError as error:
            raise InputError("file", f"{path}: {error.strerror}") from error
        return cls(path, Partition(path.name, digest), monitor, replace(options, image_root=path.parent, max_ahead=None))

    def record(self, offset: int, item: bytes | Mapping[str, Any]) -> Record:
        """The record at a line or row. Without a time of its own it is at 0, which leaves the log's running maximum where it is."""
        name = f"{self.partition.topic_id}/{offset}"
        decoded = decode_sample(item, monitor=self.monitor, now=0.0, default_id=name, default_time=0.0, options=self.options)
        return Record(self.partition, offset, decoded.time if isinstance(decoded, Sample) else 0.0, (decoded,))
