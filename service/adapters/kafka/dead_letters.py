"""Dead letters in a topic, with the headers that Kafka Connect gives its own: the widest tooling reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.writing import TOO_LARGE, Message, Writer
from service.errors import DriftgateError
from service.ports import Blobs
from service.records import KEPT_BYTES, DeadLetter

CONNECT = "__connect.errors."
OWN = "__driftgate.errors."

log = structlog.get_logger()


class KafkaDeadLetters:
    """The original's key, value, headers and time, and beside them why. One that is too large for the topic goes to a blob."""

    def __init__(self, cluster: Cluster, topic: str, blobs: Blobs | None = None, *, seconds: float = 5.0) -> None:
        self._topic = topic
        self._blobs = blobs
        self._writer = Writer(cluster, seconds=seconds)

    def send(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """Returns those that have not arrived."""
        left, reason = self._try(letters, self._whole)
        if left and isinstance(reason, TOO_LARGE):
            left, reason = self._try(left, self._cut)
        if left:
            log.warning("dead letters not sent", topic=self._topic, letters=len(left), reason=f"{reason!s:.300}")
        return left

    def close(self) -> None:
        """Lets go of the brokers."""
        self._writer.close()

    def _try(
        self, letters: Sequence[DeadLetter], message: Callable[[DeadLetter], Message]
    ) -> tuple[Sequence[DeadLetter], Exception | None]:
        """Those that have not arrived, and why; first of all, that they are too large."""
        try:
            outcomes = self._writer.write([message(letter) for letter in letters])
        except DriftgateError as error:
            return letters, error
        failed = [(letter, error) for letter, error in zip(letters, outcomes, strict=True) if error is not None]
        failed.sort(key=lambda each: not isinstance(each[1], TOO_LARGE))
        return [letter for letter, _ in failed], failed[0][1] if failed else None

    def _whole(self, letter: DeadLetter) -> Message:
        return self._message(letter, _value(letter), ())

    def _cut(self, letter: DeadLetter) -> Message:
        """The beginning of the original, and where the whole of it is kept."""
        value = _value(letter)
        if len(value) <= KEPT_BYTES:
            return self._whole(letter)
        address = self._blobs.put(value) if self._blobs else None
        told = {"original.bytes": str(len(value)), **({"original.blob": address} if address else {})}
        return self._message(letter, value[:KEPT_BYTES], _headers(OWN, told))

    def _message(self, letter: DeadLetter, value: bytes, more: tuple[tuple[str, bytes], ...]) -> Message:
        original = letter.original
        kept = original.headers if original else ()
        there = {name for name, _ in kept}
        added = tuple(header for header in (*reasons(letter), *more) if header[0] not in there)
        return Message(self._topic, value, original.key if original else None, (*kept, *added), original.time if original else letter.time)


def reasons(letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """Where it stood and why it could not be used."""
    rejected = letter.rejected
    connect = {
        "topic": letter.partition.topic,
        "partition": str(letter.partition.number),
        "offset": str(letter.offset),
        "connector.name": "driftgate",
        "task.id": "0",
        "stage": rejected.stage,
        "class.name": f"driftgate.{rejected.stage.lower()}",
        "exception.class.name": f"driftgate.{rejected.reason}",
        "exception.message": rejected.message,
        "exception.stacktrace": "",
    }
    own = {"id": letter.id, "index": str(rejected.index), **({"monitor": rejected.monitor} if rejected.monitor else {})}
    return (*_headers(CONNECT, connect), *_headers(OWN, own))


def _headers(prefix: str, values: dict[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((prefix + name, value.encode()) for name, value in values.items())


def _value(letter: DeadLetter) -> bytes:
    """A tombstone is told by its reason: a record without key and value can't be written."""
    if letter.original is None:
        return letter.rejected.original
    return letter.original.value or b""
