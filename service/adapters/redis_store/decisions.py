"""The log of panes and events with its sequence numbers, and how far it has been decided."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec
import structlog

from service.adapters.redis_store import codec, entities, timeline
from service.adapters.redis_store.server import Server
from service.errors import ArtefactError
from service.ports import Archive, Stretch
from service.records import Decision, Event, Pane

Found: TypeAlias = Sequence[tuple[bytes, Sequence[bytes]]]
"""Entries of a Redis stream: (id, [field, value])."""

_event = msgspec.json.Decoder(Event)

_MOST = 4_096
"""Panes that are archived at once: about 12 MB."""

log = structlog.get_logger()


def entries(server: Server, archive: Archive, monitor: str, after: int, limit: int) -> Sequence[Pane | Event]:
    """Panes and events above `after`, merged in order of their number; old panes come from the archive."""
    archived, found, events = server.run("entries", {"monitor": monitor, "after": after, "limit": limit})
    old = archive.read(monitor, after, archived, limit) if after < archived else ()
    panes = (codec.unpack_pane(body, number) for number, body in (*old, *_numbered(found)))
    merged: Iterable[Pane | Event] = heapq.merge(panes, _events(events), key=attrgetter("sequence"))
    return list(islice(merged, limit))


def events(server: Server, monitor: str) -> Sequence[Event]:
    """All of them, in order of their number."""
    return list(_events(server.run("events", {"monitor": monitor})))


def packed_event(event: Event) -> Mapping[str, Any]:
    """As the scripts take it; its number is its key in the log."""
    return {"id": event.id, "monitor": event.monitor, "body": msgspec.json.encode(event)}


def record_event(server: Server, event: Event) -> Event:
    """Appends the event, unless its id is there already."""
    is_new, number, stored = server.run("record_event", packed_event(event))
    return replace(event if is_new else _event.decode(stored), sequence=number)


def decided(server: Server, monitor: str) -> tuple[int, int, bytes | None]:
    """How far the log is decided, how far the checkpoint covers it, and the checkpoint; zeros before the first decision."""
    (sequence, covered), checkpoint = server.together(
        ("HMGET", server.key("monitor", monitor), "decided", "covered"), ("GET", server.key("checkpoint", monitor))
    )
    return int(sequence or 0), int(covered or 0), checkpoint


def decide(server: Server, decision: Decision) -> None:
    """Writes all that deciding changed if nobody decided meanwhile."""
    fence = decision.fence
    optional = {
        "fence": None if fence is None else {"lease": fence.lease, "token": fence.token},
        "checkpoint": decision.checkpoint,
        "state": decision.state,
    }
    given = {
        "monitor": decision.monitor,
        "expected": decision.expected_sequence,
        "to": decision.decided_sequence,
        "entities": [entities.packed(alarm) for alarm in decision.alarms],
        "outbox": [entities.packed_item(item) for item in decision.outbox],
        "timeline": [timeline.packed(passage) for passage in decision.timeline],
    }
    server.run("decide", given | {name: value for name, value in optional.items() if value is not None})


def archive_panes(server: Server, archive: Archive, monitor: str, to: int, checkpoint: bytes) -> None:
    """Moves panes that a checkpoint covers out of Redis. A crash on the way is made good by the next checkpoint."""
    while stretch := _covered(server, monitor, to):
        try:
            archive.append(stretch, checkpoint if stretch.until == to else b"")
        except ArtefactError:
            log.exception("store.panes_not_archived", monitor=monitor, panes=len(stretch.panes))
            return
        server.run("archive", {"monitor": monitor, "after": stretch.after, "to": stretch.until})


def _covered(server: Server, monitor: str, to: int) -> Stretch | None:
    """The oldest panes up to `to` that are not archived yet; more than usual after an archive that could not be written."""
    archived, found = server.run("covered", {"monitor": monitor, "to": to, "limit": _MOST + 1})
    panes = list(_numbered(found))
    if not panes:
        return None
    until = to if len(panes) <= _MOST else panes[_MOST - 1][0]
    bodies = [codec.read_pane(body) for _, body in panes[:_MOST]]
    return Stretch(monitor, archived, until, bodies[-1].last_time, sum(len(pane.summary) for pane in bodies), panes[:_MOST])


def log_start(server: Server, archive: Archive, monitor: str) -> tuple[int, bytes | None]:
    """The number before the first pane that is kept, and the checkpoint there; (0, None) while none has gone."""
    (archived, covered), checkpoint = server.together(
        ("HMGET", server.key("monitor", monitor), "archived", "covered"), ("GET", server.key("checkpoint", monitor))
    )
    if not archived:
        return 0, None
    return archive.start(monitor, int(archived)) or (int(covered), checkpoint)


def undecided(server: Server) -> Sequence[str]:
    """Monitors whose log goes on behind the last decision."""
    return sorted(name.decode() for name in server.ask("SMEMBERS", server.key("undecided")))


def status(server: Server, monitor: str) -> Mapping[str, Any]:
    """The newest state document, {} before the first."""
    document = server.ask("GET", server.key("state", monitor))
    return msgspec.json.decode(document, type=dict[str, Any]) if document else {}


def _numbered(found: Found) -> Iterator[tuple[int, bytes]]:
    for place, (_, body) in found:
        yield int(place.partition(b"-")[0]), body


def _events(found: Found) -> Iterator[Event]:
    for number, body in _numbered(found):
        yield replace(_event.decode(body), sequence=number)
