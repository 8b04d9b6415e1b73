"""The demo's messages as files, for trying commands that read samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from service.demo.messages import DRIFTED, Message, Traffic

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds: `count` messages of the last `days`, drift from the message after `calm` on."""

    count: int
    calm: int
    days: float
    seed: int


def lines(wanted: Written, *, now: float) -> Iterator[str]:
    """One sample a line; ids of different seeds differ, and no time is later than now."""
    pace = wanted.count / (wanted.days * DAY)
    traffic = Traffic(np.random.default_rng(wanted.seed), pace=pace)
    calm = min(wanted.calm, wanted.count)
    start = now - wanted.days * DAY
    messages = traffic.draw(calm, start=start)
    messages += traffic.draw(wanted.count - calm, start=messages[-1].time if messages else start, mix=DRIFTED)
    return (_line(message, wanted.seed, latest=now) for message in messages)


def _line(message: Message, seed: int, *, latest: float) -> str:
    time = datetime.fromtimestamp(min(message.time, latest), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"id": message.id.replace("chat", f"chat-{seed}"), "time": time, "text": message.text, "segments": dict(message.segments)}
    return json.dumps(body, ensure_ascii=False)
