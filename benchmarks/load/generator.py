"""`python -m benchmarks.load.generator JSON`: a process of its own that sends small requests and tells what came of them as JSON.

With a rate it sends at its moments, whether or not the server keeps up, and counts a request's time from the moment at which it was due:
a server that stalls delays all that should have come meanwhile. Without one each connection sends as soon as it has its answer.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import numpy as np

_DIMENSION = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent where."""

    port: int
    path: str
    seconds: float
    connections: int
    name: str
    """What ids begin with: a sample counts once."""
    rate: float = 0.0
    """Requests a second; 0: as fast as it goes."""


@dataclass(frozen=True, slots=True)
class Came:
    """What came of it; seconds."""

    sent: int
    statuses: Mapping[str, int]
    """`broken` for connections that were closed."""
    elapsed: float
    p50: float
    p99: float
    worst: float
    without_retry: int
    """Refusals that do not say when to come again."""

    def of(self, status: int) -> int:
        return self.statuses.get(str(status), 0)


@dataclass(slots=True)
class _Tally:
    statuses: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    without_retry: int = 0


def main() -> None:
    """One load."""
    load = msgspec.json.decode(sys.argv[1], type=Load)
    print(msgspec.json.encode(asyncio.run(_sent(load))).decode(), flush=True)


async def _sent(load: Load) -> Came:
    tally, numbers, began = _Tally(), iter(range(2**31)), time.perf_counter()
    due = _moments(load, began)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.connections):
            tasks.create_task(_connection(load, numbers, due, tally))
    times = np.array(tally.times or [np.nan])
    return Came(
        sent=sum(tally.statuses.values()),
        statuses=dict(tally.statuses),
        elapsed=time.perf_counter() - began,
        p50=float(np.quantile(times, 0.5)),
        p99=float(np.quantile(times, 0.99)),
        worst=float(times.max()),
        without_retry=tally.without_retry,
    )


def _moments(load: Load, began: float) -> Iterator[float]:
    """When requests are due, until the time is over."""
    if load.rate:
        yield from (began + n / load.rate for n in range(int(load.seconds * load.rate)))
        return
    while (now := time.perf_counter()) < began + load.seconds:
        yield now


async def _connection(load: Load, numbers: Iterator[int], due: Iterator[float], tally: _Tally) -> None:
    while True:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
            try:
                await _requests(load, numbers, due, tally, (reader, writer))
            finally:
                writer.close()
            return
        tally.statuses["broken"] += 1


async def _requests(
    load: Load, numbers: Iterator[int], due: Iterator[float], tally: _Tally, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    reader, writer = streams
    for moment in due:
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        writer.write(request(load.path, f"{load.name}-{next(numbers)}"))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_length(head))
        tally.times.append(time.perf_counter() - moment)
        status = head[9:12].decode()
        tally.statuses[status] += 1
        tally.without_retry += status in {"429", "503"} and b"retry-after" not in head.lower()


def request(path: str, id: str) -> bytes:
    """A sample of a hundred bytes or two."""
    vector = ",".join(f"{hash((id, n)) % 2_000 / 1_000 - 1:.3f}" for n in range(_DIMENSION))
    body = f'{{"id":"{id}","vector":[{vector}]}}'.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0] or b"0")


if __name__ == "__main__":
    main()
