"""The Store over Redis: every change is one script, every look at several keys one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from service.adapters.redis_store import codec, dead_letters, decisions, entities, opening, partitions, timeline, truth
from service.adapters.redis_store.erasing import Erasing
from service.adapters.redis_store.judging import Judging
from service.adapters.redis_store.keeping import Keeping
from service.adapters.redis_store.leaving import Leaving
from service.adapters.redis_store.partitions import Limits
from service.adapters.redis_store.server import Server
from service.ports import Archive, Blobs, E, asked
from service.records import Assignment, Commit, Decision, Entity, Event, Label, OutboxItem, Pane, Partition, Passage, Position


class RedisStore(Keeping, Erasing, Judging, Leaving):
    """Exact state under the server's prefix. Payloads go to `blobs`, decided panes to what `archive` gives for the state's id.

    `pool_rows` gives the pool's capacity per monitor (8,000 for others; it may change while it is used), `pool_bytes` how much of
    their payloads is kept for each, `dead_letters` how many of the newest are kept, and how many bytes of them.
    """

    def __init__(
        self,
        server: Server,
        *,
        blobs: Blobs,
        archive: Callable[[str], Archive],
        pool_rows: Mapping[str, int] | None = None,
        pool_bytes: int = 200_000_000,
        dead_letters: tuple[int, int] = (10_000, 64_000_000),
    ) -> None:
        super().__init__(server, blobs, dead_letters)
        opening.check(server)
        self._archive = archive(opening.prepare(server))
        self._pool_rows = {} if pool_rows is None else pool_rows
        self._pool_bytes = pool_bytes

    # partitions

    def assign(self, partition: Partition, *, start: int = 0) -> Assignment:
        """Raises the partition's epoch, so that whoever held it before can't commit any more. One never seen begins at `start`."""
        return partitions.assign(self._server, partition, start, self._blobs)

    def commit(self, commit: Commit) -> Sequence[Pane]:
        """Compares epoch, expected offset and shapes; returns the closed panes with their sequence numbers."""
        return partitions.commit(self._server, commit, Limits(self._pool_rows, self._kept_letters), self._blobs)

    def positions(self) -> Sequence[Position]:
        """Every partition that was ever assigned, by topic, id and number."""
        return partitions.positions(self._server)

    def siblings(self, partition: Partition) -> Sequence[Position]:
        """Those of the same topic and number, whatever the topic's id."""
        return partitions.siblings(self._server, partition)

    def epochs(self, asked: Collection[Partition]) -> Mapping[Partition, int]:
        """Under which epoch each of these is held now."""
        return partitions.epochs(self._server, asked)

    def halt(self, partition: Partition, epoch: int, reason: str) -> None:
        """Stops the partition until it is reset; ConflictError if another epoch holds it."""
        partitions.halt(self._server, partition, epoch, reason)

    def reset(self, partition: Partition, offset: int, events: Sequence[Event] = ()) -> None:
        """A person's word on where to read on, recorded by `events`; other topics of its name retire."""
        partitions.reset(self._server, partition, offset, events)

    # the log of panes and events

    def entries(self, monitor: str, after: int, limit: int) -> Sequence[Pane | Event]:
        """Closed panes and events with a sequence number above `after`, in order."""
        return decisions.entries(self._server, self._archive, monitor, after, limit)

    def events(self, monitor: str) -> Sequence[Event]:
        """Every event of the monitor's log, in order; events stay when panes go."""
        return decisions.events(self._server, monitor)

    def log_start(self, monitor: str) -> tuple[int, bytes | None]:
        """The sequence number before the first pane that is kept, and the checkpoint there; (0, None) while none has gone."""
        return decisions.log_start(self._server, self._archive, monitor)

    def record_event(self, event: Event) -> Event:
        """Appends an event under the monitor's next sequence number; an id that is there already is returned as stored."""
        return decisions.record_event(self._server, event)

    def decided(self, monitor: str) -> tuple[int, int, bytes | None]:
        """(last decided sequence number, sequence number of the checkpoint, checkpoint)."""
        return decisions.decided(self._server, monitor)

    def decide(self, decision: Decision) -> None:
        """Compares fence and last decided sequence number, writes everything or nothing; then what a checkpoint covers is archived."""
        decisions.decide(self._server, decision)
        if decision.checkpoint is not None:
            decisions.archive_panes(self._server, self._archive, decision.monitor, decision.decided_sequence, decision.checkpoint)

    def undecided(self) -> Sequence[str]:
        """Monitors whose log has entries beyond the last decided one."""
        return decisions.undecided(self._server)

    def lease(self, name: str, holder: str, seconds: float) -> int | None:
        """Takes or renews the lease by the server's clock: its fencing token; None while another has it."""
        token: int | None = self._server.run("lease", {"name": name, "holder": holder, "seconds": seconds})
        return token

    def release(self, name: str, holder: str) -> None:
        """Gives it up, if it is the holder's."""
        self._server.run("release", {"name": name, "holder": holder})

    def open_panes(self, monitor: str) -> Sequence[Pane]:
        """Committed and not yet closed: shown as undecided."""
        found = [codec.unpack_pane(body) for body in self._server.run("open_panes", {"monitor": monitor})]
        return sorted(found, key=lambda pane: (pane.key.first_offset, pane.key.segment))

    def status(self, monitor: str) -> Mapping[str, Any]:
        """The state document of the last decision that brought one, {} before the first."""
        return decisions.status(self._server, monitor)

    def timeline(self, monitor: str, segment: str, seconds: float, *, limit: int = 1_000) -> Sequence[Passage]:
        """The newest passages of so many seconds that are kept of a stream, oldest first."""
        return timeline.read(self._server, monitor, segment, seconds, limit)

    def samples_taken(self, monitor: str) -> int:
        """How many samples the commits counted."""
        return int(self._server.ask("HGET", self._server.key("monitor", monitor), "taken") or 0)

    # entities, labels

    def get(self, kind: type[E], id: str) -> E:
        """NotFoundError when there is none."""
        return entities.get(self._server, kind, id)

    def find(
        self,
        kind: type[E],
        *,
        monitor: str | None = None,
        monitors: Collection[str] | None = None,
        states: Iterable[str] = (),
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[E]:
        """Newest first, those after the entity `after`; NotFoundError where it has gone."""
        return entities.find(self._server, kind, asked(monitor, monitors), list(states), after=after, limit=limit)

    def tally(self, kind: type[Entity]) -> Mapping[tuple[str, str], int]:
        """(monitor, state) → how many there are."""
        return entities.tally(self._server, kind)

    def save(self, *changed: Entity, outbox: Sequence[OutboxItem] = ()) -> None:
        """Each entity's `version` must be one above the stored one (1 for a new one); all or none."""
        entities.save(self._server, changed, outbox)

    def drop(self, kind: type[Entity], ids: Collection[str]) -> int:
        """Lets go of entities whose time is over; returns how many of them were there."""
        return entities.drop(self._server, kind, ids)

    def add_labels(self, labels: Sequence[Label]) -> int:
        """Idempotent by (batch, sample, annotator): the newest answer wins; returns how many were new or changed."""
        return entities.add_labels(self._server, labels)

    def labels(self, monitor: str, *, batch: str | None = None) -> Sequence[Label]:
        """The answers that stand, in order of time."""
        return entities.labels(self._server, monitor, batch)

    # upkeep

    def tidy(self, *, now: float) -> None:
        """Lets go of payloads that nothing refers to any more, and of items delivered long ago; small blocks of answers are merged."""
        truth.merge(self._server)
        entities.forget_delivered(self._server)
        referred = dead_letters.addresses(self._server) | partitions.addresses(self._server)
        for name in self._server.ask("SMEMBERS", self._server.key("payloads")):
            referred |= self._referred(name.decode())
        self._blobs.collect(referred, now=now)

    def probe(self) -> None:
        """Raises the reason why the server would take no commit of this process now."""
        opening.probe(self._server)

    def close(self) -> None:
        """Lets go of the connections."""
        self._server.close()
