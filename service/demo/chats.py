"""The demo's messages as an endless live stream: in conversations, with ids that no other run has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.demo.messages import Message, Mix, Traffic

GOES_ON = 0.6
"""How often a customer writes again in the same conversation."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way: what keys it, and the sample as JSON takes it."""

    conversation: str
    body: Mapping[str, object]

    @property
    def record(self) -> tuple[str, bytes]:
        """Key and value of a Kafka record."""
        return self.conversation, json.dumps(self.body, ensure_ascii=False).encode()


class Chats:
    """Who writes from the same locale about the same product goes on in the open conversation, or begins the next."""

    def __init__(self, rng: np.random.Generator, *, run: str) -> None:
        """`run` begins every id: a second run's samples must not be taken for repetitions of the first's."""
        self._rng = rng
        self._run = run
        self._traffic = Traffic(rng)
        self._open: dict[tuple[tuple[str, str], ...], str] = {}
        self._begun = 0

    def draw(self, count: int, *, mix: Mix) -> Sequence[Sent]:
        """The next messages; without a time, as they are sent at once and the log says when."""
        return [self._sent(message) for message in self._traffic.draw(count, start=0.0, mix=mix)]

    def _sent(self, message: Message) -> Sent:
        conversation = self._conversation(message)
        body = {
            "id": f"{self._run}-{message.id.removeprefix('chat-')}",
            "conversation": conversation,
            "text": message.text,
            "segments": dict(message.segments),
        }
        return Sent(conversation, body)

    def _conversation(self, message: Message) -> str:
        customer = tuple(sorted(message.segments.items()))
        if customer not in self._open or self._rng.random() >= GOES_ON:
            self._begun += 1
            self._open[customer] = f"{self._run}-c{self._begun:05d}"
        return self._open[customer]
