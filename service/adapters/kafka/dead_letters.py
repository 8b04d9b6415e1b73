"""Dead letters in a topic, with the headers that Kafka Connect gives its own: the widest tooling reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TypeAlias

import structlog
from kafka.errors import InvalidTimestampError

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.writing import TOO_LARGE, Message, Writer
from service.errors import DriftgateError
from service.ports import Blobs
from service.records import KEPT_BYTES, DeadLetter, Original

Headers: TypeAlias = tuple[tuple[str, bytes], ...]

CONNECT = "__connect.errors."
OWN = "__driftgate.errors."

KEPT_KEY = 1_000
"""Bytes of a key that are kept where a letter is too large."""

KEPT_HEADERS = 2_000
"""Bytes of all names and values of headers, likewise."""

log = structlog.get_logger()


class KafkaDeadLetters:
    """The original's key, value, headers and time, and after them why. Of one that is too large for the topic the value goes to a blob,
    and the letter holds the beginning of each."""

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
        original = letter.original or Original(None, None)
        headers = (*original.headers, *reasons(letter))
        return Message(self._topic, _value(letter), original.key, headers, _time(letter))

    def _mended(self, letter: DeadLetter) -> Message:
        """Under today's date, as the topic takes no other; of a large one the beginning, and where the whole of it is kept."""
        whole = self._whole(letter)
        original, value = letter.original or Original(None, None), whole.value
        key, headers = original.key, _first_of(original.headers)
        told = {"original.timestamp": str(int(_time(letter) * 1000))}
        if len(value) > KEPT_BYTES:
            address = self._blobs.put(value) if self._blobs else None
            told |= {"original.bytes": str(len(value)), **({"original.blob": address} if address else {})}
        if key is not None and len(key) > KEPT_KEY:
            told["original.key.bytes"] = str(len(key))
            key = key[:KEPT_KEY]
        if len(headers) < len(original.headers):
            told["original.headers"] = str(len(original.headers))
        return replace(whole, value=value[:KEPT_BYTES], key=key, headers=(*headers, *reasons(letter), *_headers(OWN, told)), time=0.0)


def _first_of(headers: Headers) -> Headers:
    """As many as `KEPT_HEADERS` has room for."""
    sizes = accumulate(len(name.encode()) + len(value) for name, value in headers)
    return headers[: sum(size <= KEPT_HEADERS for size in sizes)]


def reasons(letter: DeadLetter) -> Headers:
    """Where it stood and why it could not be used. They follow the original's own, as those of Connect do: of two letters about one
    record the later one counts."""
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


def _headers(prefix: str, values: Mapping[str, str]) -> Headers:
    return tuple((prefix + name, value.encode()) for name, value in values.items())


def _value(letter: DeadLetter) -> bytes:
    """A tombstone is told by its reason: a record without key and value can't be written."""
    if letter.original is None:
        return letter.rejected.original
    return letter.original.value or b""


def _time(letter: DeadLetter) -> float:
    return letter.original.time if letter.original else letter.time
