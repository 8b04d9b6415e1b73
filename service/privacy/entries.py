"""Samples in the embedded log: what an entry becomes when one of them goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from service.decoding.completing import completed
from service.decoding.envelope import decode, encode
from service.privacy.showing import names_in
from service.records import Item, Partition, Rejected, Request, Sample

GONE = "forgotten"
"""The reason of what stands in the place of an entry that went."""


def without(partition: Partition, monitor: str, sample: str) -> Callable[[int, float, bytes], bytes | None]:
    """Blots a monitor's sample out."""

    def change(offset: int, time: float, body: bytes) -> bytes | None:
        item = decode(body)
        if isinstance(item, Rejected):
            tells = item.monitor in (monitor, None) and names_in({sample}, (item.original, item.message.encode()))
            return encode(replace(item, original=b"", message="")) if tells else None
        (named,) = completed((item,), partition, offset, time)
        return encode(_left(item, named, {sample})) if item.monitor == monitor and _holds(named, sample) else None

    return change


def _holds(item: Item, sample: str) -> bool:
    match item:
        case Sample():
            return item.id == sample
        case Request():
            return any(each.id == sample for each in item.samples)
        case _:
            return False


def _left(item: Item, named: Item, samples: Collection[str]) -> Item:
    """A request without one of its instances; of a sample, nothing."""
    if isinstance(item, Request) and isinstance(named, Request):
        kept = tuple(own for own, known in zip(item.samples, named.samples, strict=True) if known.id not in samples)
        if kept:
            return replace(item, samples=kept)
    return Rejected(GONE, "", b"", monitor=item.monitor)


def expired(befores: Mapping[str, float]) -> Callable[[int, float, bytes], bytes | None]:
    """Blots out what came before a time of its monitor's."""

    def change(_offset: int, time: float, body: bytes) -> bytes | None:
        item = decode(body)
        before = befores.get(item.monitor) if item.monitor is not None else min(befores.values(), default=None)
        if before is None or time >= before or (isinstance(item, Rejected) and item.reason == GONE):
            return None
        return encode(Rejected(GONE, "", b"", monitor=item.monitor))

    return change
