"""What senders leave out, filled in from where the record stands in its log."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from service.records import Item, Partition, Request, Sample


def completed(items: Iterable[Item], partition: Partition, offset: int, time: float) -> tuple[Item, ...]:
    """The items with an id and a time for every sample: its place in the log, and the log's time."""
    found: list[Item] = []
    index = 0
    for item in items:
        if isinstance(item, Sample):
            found.append(_completed(item, partition, offset, index, time))
            index += 1
        elif isinstance(item, Request):
            samples = (_completed(sample, partition, offset, index + n, time) for n, sample in enumerate(item.samples))
            found.append(replace(item, samples=tuple(samples)))
            index += len(item.samples)
        else:
            found.append(item)
            index += 1
    return tuple(found)


def _completed(sample: Sample, partition: Partition, offset: int, index: int, time: float) -> Sample:
    timeless = math.isnan(sample.time)
    if sample.id and not timeless:
        return sample
    return replace(
        sample,
        id=sample.id or f"{partition.topic}/{partition.number}/{offset}/{index}",
        time=time if timeless else sample.time,
    )
