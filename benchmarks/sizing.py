"""What each process of an installation holds and takes: what resource requests are made of.

One monitor with a reference of 4,000 rows, and 3,000 samples over HTTP, a hundred a request: texts of the demo's chat through MiniLM, and
vectors of 384. First the three roles over Kafka and Redis, then `driftgate serve`; what building the reference took, and what lies on disk.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from benchmarks.figures import Figure, Progress
from benchmarks.real_servers import RedisWork, kafka_broker, processor_seconds, redis_server
from benchmarks.soak import driftgate, resident, role
from service.demo.messages import Traffic
from service.model_build import cached_minilm
from tests.servers.process import free_port

ROWS, SAMPLES, REQUEST = 4_000, 3_000, 100
DIMENSION = 384
MONITOR = "sized"
PATIENCE_SECONDS = 180.0
CACHE = Path(__file__).parents[1] / ".cache"


@dataclass(frozen=True, slots=True)
class Kind:
    """What comes in, and the embedder that it needs."""

    name: str
    embedder: Mapping[str, Any]
    draw: Callable[[int], Sequence[Mapping[str, Any]]]


def run(progress: Progress) -> Sequence[Figure]:
    """Each kind in a folder of its own."""
    rng, now = np.random.default_rng(5), time.time()
    traffic = Traffic(rng)

    def texts(count: int) -> list[dict[str, Any]]:
        return [{"id": said.id, "text": said.text} for said in traffic.draw(count, start=now)]

    def vectors(count: int) -> list[dict[str, Any]]:
        rows = np.round(rng.normal(size=(count, DIMENSION)), 5).tolist()
        return [{"id": f"s{rng.integers(2**62)}", "vector": row} for row in rows]

    kinds = (
        Kind("texts, MiniLM", {"model": str(cached_minilm(CACHE))}, texts),
        Kind(f"vectors of {DIMENSION}", {"input": "none", "dimension": DIMENSION}, vectors),
    )
    return [figure for kind in kinds for figure in _of(kind, progress)]


def _of(kind: Kind, progress: Progress) -> Iterator[Figure]:
    good, samples = kind.draw(ROWS), kind.draw(SAMPLES)
    with TemporaryDirectory(prefix="driftgate-bench-") as path:
        folder = Path(path)
        (folder / "good.jsonl").write_text("\n".join(map(json.dumps, good)), encoding="utf-8")
        progress(f"{kind.name}: the reference")
        yield _learn(kind, folder)
        progress(f"{kind.name}: three roles")
        yield from _roles(kind, folder, samples)
        progress(f"{kind.name}: one process")
        yield from _serve(kind, folder, samples)


def _learn(kind: Kind, folder: Path) -> Figure:
    """The command as a user runs it, and what that process took."""
    command = [driftgate(), "reference", "build", "--config", str(_configure(kind, folder, {})), "--monitor", MONITOR]
    process = subprocess.Popen([*command, "--input", str(folder / "good.jsonl")], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"`driftgate reference build` ended with {os.waitstatus_to_exitcode(status)}")
    process.returncode = 0
    return Figure(f"{kind.name}: a reference of {ROWS:,} rows", _peak(used))


def _peak(used: resource.struct_rusage) -> str:
    return f"{used.ru_maxrss / 1024:.0f} MB at most, {used.ru_utime + used.ru_stime:.0f} s of one core"


def _roles(kind: Kind, folder: Path, samples: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    ports = {name: free_port() for name in ("worker", "controller", "api")}
    with kafka_broker() as kafka, redis_server() as redis, ExitStack() as stack:
        kafka.create_topics({"driftgate-ingest": 4, "driftgate-dead-letters": 1})
        before, processes = RedisWork.of(redis), {}
        for name, port in ports.items():
            config = _configure(kind, folder, {"kafka": {"brokers": [kafka.bootstrap]}, "redis": {"url": redis.url}}, port=port)
            processes[name] = stack.enter_context(role(name, config, folder))
            _ready(port)
        _send(ports["api"], samples)
        for name, process in processes.items():
            yield Figure(f"{kind.name}: {name}", _held(process))
        yield Figure(f"{kind.name}: Redis", f"{RedisWork.of(redis).since(before).memory / 2**20:.1f} MB more than empty")


def _serve(kind: Kind, folder: Path, samples: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    port = free_port()
    with role("serve", _configure(kind, folder, {}, port=port), folder) as process:
        _ready(port)
        _send(port, samples)
        yield Figure(f"{kind.name}: serve", _held(process))
    size = sum(file.stat().st_size for file in (folder / "state").rglob("*") if file.is_file())
    yield Figure(f"{kind.name}: directory", f"{size / 2**20:.0f} MB: reference, {SAMPLES:,} samples in log and pool, panes")


def _configure(kind: Kind, folder: Path, servers: Mapping[str, Any], *, port: int = 0) -> Path:
    """A file of its own for each process: one that is running reads it anew when it changes."""
    monitor = {"name": MONITOR, "embedder": dict(kind.embedder), "detection": {"run_length": 20_000}}
    document = {"directory": str(folder / "state"), "server": {"port": port}, **servers, "monitors": [monitor]}
    path = folder / f"driftgate-{port}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _ready(port: int) -> None:
    """Until the role says that it can work."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _send(port: int, samples: Sequence[Mapping[str, Any]]) -> None:
    """Through the API, then until all are counted."""
    address = f"http://127.0.0.1:{port}/v1/monitors/{MONITOR}"
    for begins in range(0, len(samples), REQUEST):
        body = json.dumps({"samples": samples[begins : begins + REQUEST]}).encode()
        request = urllib.request.Request(f"{address}/samples", data=body, headers={"content-type": "application/json"})  # noqa: S310 - to the process that was started here
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - the same
    end, taken = time.monotonic() + PATIENCE_SECONDS, -1
    while taken < len(samples) and time.monotonic() < end:
        time.sleep(1.0)
        with urllib.request.urlopen(address, timeout=30) as answer:
            taken = int(json.load(answer)["samples"])


def _held(process: subprocess.Popen[bytes]) -> str:
    return f"{resident(process) / 2**20:.0f} MB, {processor_seconds(process.pid):.1f} s of one core, its start included"
