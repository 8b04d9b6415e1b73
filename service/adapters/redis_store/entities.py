"""Alarms, annotation batches, refresh cycles, declarations and failure marks by version; the outbox; annotators' answers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from service.adapters.redis_store.codec import pack
from service.adapters.redis_store.server import Server
from service.errors import ConflictError, NotFoundError, absent
from service.ports import E
from service.records import (
    KINDS,
    Alarm,
    Entity,
    Label,
    OutboxItem,
)

KEEP_DELIVERED = 30 * 86_400
"""Seconds for which an item is kept after it was delivered."""

_PAGE = 500

_item = msgspec.json.Decoder(OutboxItem)
_ATTEMPTS = 10
_answer_time = struct.Struct("<d")


def packed(entity: Entity) -> Mapping[str, Any]:
    """As the scripts take it: JSON that has been read back, so that a number that JSON can't hold is refused now."""
    document = msgspec.json.encode(entity)
    msgspec.json.decode(document, type=type(entity))
    return {
        "kind": stored_as(type(entity)),
        "name": KINDS[type(entity)],
        "id": entity.id,
        "monitor": entity.monitor,
        "state": str(entity.state),
        "version": entity.version,
        "created": entity.opened if isinstance(entity, Alarm) else entity.created,
        "body": document,
    }


def packed_item(item: OutboxItem) -> Mapping[str, Any]:
    """As the scripts take it."""
    return {"id": item.id, "state": item.state, "due": item.due, "body": msgspec.json.encode(item)}


def stored_as(kind: type) -> str:
    """How keys name the kind."""
    return KINDS[kind].replace(" ", "-")


def get(server: Server, kind: type[E], id: str) -> E:
    """The entity as it stands; NotFoundError when there is none."""
    document = server.ask("HGET", server.key("entity", stored_as(kind), id), "document")
    if document is None:
        raise absent(KINDS[kind], id)
    return msgspec.json.decode(document, type=kind)


def find(
    server: Server, kind: type[E], monitors: Sequence[str] | None, states: Sequence[str], *, after: str | None, limit: int
) -> Sequence[E]:
    """Newest first; None and no states mean all."""
    every = f":entities:{stored_as(kind)}"
    lists = _Lists(
        f":entity:{stored_as(kind)}:", "created", _in([every] if monitors is None else [f"{every}:of:{each}" for each in monitors], states)
    )
    return [msgspec.json.decode(document, type=kind) for document in _newest(server, lists, KINDS[kind], after, limit)]


def tally(server: Server, kind: type[Entity]) -> Mapping[tuple[str, str], int]:
    """(monitor, state) → how many there are."""
    flat = server.run("tally", {"kind": stored_as(kind)})
    fields = [field.decode().partition(":") for field in flat[::2]]
    return {(monitor, state): int(count) for (state, _, monitor), count in zip(fields, flat[1::2], strict=True)}


def drop(server: Server, kind: type[Entity], ids: Iterable[str]) -> int:
    """Returns how many of them were there."""
    return int(server.run("drop", {"kind": stored_as(kind), "ids": list(ids)}))


def save(server: Server, entities: Iterable[Entity], items: Iterable[OutboxItem]) -> None:
    """Each version must be one above the stored one; what leaves because of the change goes into the same transaction."""
    server.run("save", {"entities": [packed(entity) for entity in entities], "outbox": [packed_item(item) for item in items]})


# --- outbox


def due(server: Server, now: float, limit: int, without: Collection[str]) -> Sequence[OutboxItem]:
    """Pending items whose time has come, the longest due first. Names are compared as they stand in the documents."""
    names = [msgspec.json.encode(name).decode() for name in without]
    return [_item.decode(document) for document in server.run("due", {"now": now, "limit": limit, "without": names})]


def settle(server: Server, item: OutboxItem) -> None:
    """Replaces all but the payload of an item that is there."""
    _change(server, item.id, lambda stored: replace(item, payload=stored.payload))


def reword(server: Server, item: OutboxItem) -> None:
    """Replaces the payload alone."""
    _change(server, item.id, lambda stored: replace(stored, payload=item.payload))


def _change(server: Server, id: str, change: Callable[[OutboxItem], OutboxItem]) -> None:
    """Again where somebody else has changed it meanwhile."""
    for _ in range(_ATTEMPTS):
        document = server.ask("HGET", server.key("outbox", "item", id), "document")
        if document is None:
            raise NotFoundError(f"no outbox item {id!r}")
        after = change(_item.decode(document))
        with suppress(ConflictError):
            server.run("settle", {**packed_item(after), "before": document, "keep": KEEP_DELIVERED})
            return
    raise ConflictError(f"outbox item {id!r} is being changed by others without end; try again")


def outbox(server: Server, states: Iterable[str], after: str | None, limit: int) -> Sequence[OutboxItem]:
    """Newest first; no states means all."""
    lists = _Lists(":outbox:item:", "number", _in([":outbox"], list(states)))
    return [_item.decode(document) for document in _newest(server, lists, "outbox item", after, limit)]


def forget_delivered(server: Server) -> None:
    """Expired items leave the indexes."""
    while server.run("forget_delivered", {"limit": _PAGE}):
        pass


class _Lists(NamedTuple):
    """Sorted sets to be read as one: what their members' hashes are called, and which of their fields says the order."""

    hashes: str
    order: str
    indexes: Sequence[str]


def _in(indexes: Sequence[str], states: Sequence[str]) -> Sequence[str]:
    return [f"{index}:in:{state}" for index in indexes for state in states] if states else indexes


def _newest(server: Server, lists: _Lists, name: str, after: str | None, limit: int) -> Sequence[bytes]:
    found: Sequence[bytes] = server.run(
        "find", {**lists._asdict(), "name": name, "limit": limit} | ({} if after is None else {"after": after})
    )
    return found


# --- labels


def add_labels(server: Server, labels: Sequence[Label]) -> int:
    """The newest answer per batch, sample and annotator wins; returns how many say something new."""
    return int(server.run("add_labels", {"labels": [_packed_label(label) for label in labels]}))


def _packed_label(label: Label) -> Mapping[str, Any]:
    return {
        "monitor": label.monitor,
        "batch": label.batch,
        "field": msgspec.json.encode((label.sample, label.annotator)).decode(),
        "body": _answer_time.pack(label.time) + pack((label.label, label.unusable)),
    }


def labels(server: Server, monitor: str, batch: str | None) -> Sequence[Label]:
    """In order of time."""
    found = server.run("labels", {"monitor": monitor} | ({} if batch is None else {"batch": batch}))
    read = [label for name, flat in found for label in _labels(monitor, name.decode(), flat)]
    return sorted(
        (label for label in read if not label.withdrawn), key=lambda label: (label.time, label.batch, label.sample, label.annotator)
    )


def _labels(monitor: str, batch: str, flat: Sequence[bytes]) -> Iterator[Label]:
    for field, body in zip(flat[::2], flat[1::2], strict=True):
        sample, annotator = msgspec.json.decode(field, type=tuple[str, str])
        answer, unusable = msgspec.msgpack.decode(body[_answer_time.size :], type=tuple[str | None, bool])
        yield Label(monitor, batch, sample, answer, _answer_time.unpack_from(body)[0], annotator, unusable=unusable)
