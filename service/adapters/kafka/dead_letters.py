"""Dead letters in a topic, with the headers that Kafka Connect gives its own: the widest tooling reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from kafka.errors import InvalidTimestampError

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
        failed = self._failed(letters, self._whole)
        odd = {letter.id for letter, error in failed if isinstance(error, (*TOO_LARGE, InvalidTimestampError))}
        if odd:
            others = [each for each in failed if each[0].id not in odd]
            failed = [*others, *self._failed([letter for letter, _ in failed if letter.id in odd], self._mended)]
        if failed:
            log.warning("dead letters not sent", topic=self._topic, letters=len(failed), reason=f"{failed[0][1]!s:.300}")
        return [letter for letter, _ in failed]

    def close(self) -> None:
        """Lets go of the brokers."""
        self._writer.close()

    def _failed(self, letters: Sequence[DeadLetter], message: Callable[[DeadLetter], Message]) -> Sequence[tuple[DeadLetter, Exception]]:
        try:
            outcomes = self._writer.write([message(letter) for letter in letters])
        except DriftgateError as error:
            return [(letter, error) for letter in letters]
        return [(letter, error) for letter, error in zip(letters, outcomes, strict=True) if error is not None]

    def _whole(self, letter: DeadLetter) -> Message:
        return self._message(letter, _value(letter), {})

    def _mended(self, letter: DeadLetter) -> Message:
        """Under today's date, as the topic takes no other; of a large one the beginning, and where the whole of it is kept."""
        value = _value(letter)
        told = {"original.timestamp": str(int(_time(letter) * 1000))}
        if len(value) > KEPT_BYTES:
            address = self._blobs.put(value) if self._blobs else None
            told |= {"original.bytes": str(len(value)), **({"original.blob": address} if address else {})}
        return replace(self._message(letter, value[:KEPT_BYTES], told), time=0.0)

    def _message(self, letter: DeadLetter, value: bytes, more: Mapping[str, str]) -> Message:
        original = letter.original
        kept = original.headers if original else ()
        there = {name for name, _ in kept}
        added = tuple(header for header in (*reasons(letter), *_headers(OWN, more)) if header[0] not in there)
        return Message(self._topic, value, original.key if original else None, (*kept, *added), _time(letter))


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


def _headers(prefix: str, values: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((prefix + name, value.encode()) for name, value in values.items())


def _value(letter: DeadLetter) -> bytes:
    """A tombstone is told by its reason: a record without key and value can't be written."""
    if letter.original is None:
        return letter.rejected.original
    return letter.original.value or b""


def _time(letter: DeadLetter) -> float:
    return letter.original.time if letter.original else letter.time
