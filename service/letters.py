"""Dead letters on their way to a topic of their own: sent before they are committed, kept in the store where it can't be reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from service.errors import DeliveryError
from service.ports import DeadLetterTopic, Store
from service.records import Assignment, Commit, DeadLetter, Pane, Partition, Position, ReservedPart

MOST_OWED = 1_000
"""Letters that may wait in the store for their topic."""

SLICE = 500
"""Letters that are sent at once: each time-out of the topic is for so many."""

AGAIN_SECONDS = 5.0
"""Between two attempts while the topic can't be reached: each may take as long as its own time-out."""

LOOK_SECONDS = 60.0
"""After so long it is seen whether another process, which may be gone, has left letters behind."""

log = structlog.get_logger()


class Posted:
    """The store of a worker whose dead letters also go to a topic: at least once, each under its own id.

    A topic that is down stops nothing until `most` letters wait for it; then commits that bring more are refused (retryable).
    """

    def __init__(self, store: Store, topic: DeadLetterTopic, *, most: int = MOST_OWED, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._topic = topic
        self._most = most
        self._clock = clock
        self._owed = 1
        """At least so many wait in the store; what a process before this one left is looked for."""
        self._again = float("-inf")

    def assign(self, partition: Partition, *, start: int = 0) -> Assignment:
        """As the store does."""
        return self._store.assign(partition, start=start)

    def positions(self) -> Sequence[Position]:
        """As the store knows them."""
        return self._store.positions()

    def siblings(self, partition: Partition) -> Sequence[Position]:
        """As the store knows them."""
        return self._store.siblings(partition)

    def epochs(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """As the store knows them. Workers ask every few seconds, also while nothing comes: letters that wait leave then, too."""
        self._catch_up()
        return self._store.epochs(partitions)

    def halt(self, partition: Partition, epoch: int, reason: str) -> None:
        """As the store does."""
        self._store.halt(partition, epoch, reason)

    def reserve_parts(self, monitor: str) -> Mapping[str, ReservedPart]:
        """As the store knows them."""
        return self._store.reserve_parts(monitor)

    def forgotten(self) -> frozenset[str]:
        """As the store knows them."""
        return self._store.forgotten()

    def commit(self, commit: Commit) -> Sequence[Pane]:
        """Letters first; a crash in between sends them again under the same ids."""
        self._catch_up()
        if commit.dead_letters:
            commit = replace(commit, dead_letters=self._posted(commit.dead_letters))
        return self._store.commit(commit)

    def _catch_up(self) -> None:
        """What waits goes first, so that the topic's order is about the log's."""
        if self._clock() < self._again:
            return
        self._again = self._clock() + LOOK_SECONDS
        waiting = self._store.unsent(self._most)
        while waiting:
            left = self._send(waiting)
            arrived = {letter.id for letter in waiting} - {letter.id for letter in left}
            self._store.mark_sent(sorted(arrived))
            if left:
                self._owe(len(left))
                self._again = self._clock() + AGAIN_SECONDS
                return
            log.info("dead letters sent late", letters=len(arrived))
            waiting = self._store.unsent(self._most)
        self._owe(0)

    def _posted(self, letters: Sequence[DeadLetter]) -> tuple[DeadLetter, ...]:
        left = letters if self._owed else self._send(letters)
        if not left:
            return tuple(letters)
        if self._owed + len(left) > self._most:
            raise DeliveryError(
                f"the dead-letter topic takes nothing, and {self._owed} letters wait for it already; nothing more is read until it does: "
                "see that its brokers are up, that it exists and that it may be written to",
                retryable=True,
            )
        self._owe(self._owed + len(left))
        missing = {letter.id for letter in left}
        return tuple(replace(letter, sent=letter.id not in missing) for letter in letters)

    def _send(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """In slices, until one does not arrive; returns what is left."""
        for start in range(0, len(letters), SLICE):
            left = self._topic.send(letters[start : start + SLICE])
            if left:
                return [*left, *letters[start + SLICE :]]
        return ()

    def _owe(self, letters: int) -> None:
        if letters and not self._owed:
            self._again = self._clock() + AGAIN_SECONDS
            log.warning("dead-letter topic can't be reached", waiting=letters)
        self._owed = letters
