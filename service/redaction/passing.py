"""Items and records of whichever monitor: one that belongs to nobody passes the rules of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from service.records import Item, Original, Record, Rejected
from service.redaction.rules import Redaction


def passed(item: Item, rules: Mapping[str, Redaction]) -> Item:
    """The item as it may be kept, sent on or embedded."""
    if isinstance(item, Rejected):
        return _each(rules, item.monitor, item)
    own = rules.get(item.monitor)
    return own.item(item) if own else item


def passed_records(records: Sequence[Record], rules: Mapping[str, Redaction]) -> Sequence[Record]:
    """Records on their way into a worker; those that are clean already are left as they are."""
    if not any(rules.values()):
        return records
    return [_passed(record, rules) for record in records]


def passed_original(original: Original | None, monitor: str | None, rules: Mapping[str, Redaction]) -> Original | None:
    """A record as a dead letter may hold it."""
    for own in _of(rules, monitor):
        original = own.original(original) if original else None
    return original


def _passed(record: Record, rules: Mapping[str, Redaction]) -> Record:
    items = tuple(passed(item, rules) for item in record.items)
    same = all(item is before for item, before in zip(items, record.items, strict=True))
    return record if same else replace(record, items=items)


def _each(rules: Mapping[str, Redaction], monitor: str | None, rejected: Rejected) -> Rejected:
    for own in _of(rules, monitor):
        rejected = own.rejected(rejected)
    return rejected


def _of(rules: Mapping[str, Redaction], monitor: str | None) -> Iterable[Redaction]:
    own = rules.get(monitor or "")
    return filter(None, rules.values() if own is None else (own,))
