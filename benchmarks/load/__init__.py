"""Small samples over HTTP to `driftgate serve`, beside a bare FastAPI route that parses the same body: how many a second, how long each
takes at 60 % of that, whether any is lost, and what it does with more than it can take.

The generator is a process of its own. `LOAD_SECONDS` is how long the 60 % last, 60 by default.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import yaml

from benchmarks.figures import Figure, Progress
from benchmarks.load.generator import Came, Load
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.records import Sample
from service.reference import Origin, References
from service.reference_rows import embed_rows
from service.settings import MonitorSettings

SECONDS = float(os.environ.get("LOAD_SECONDS", "60"))
MOST_SECONDS, OVER_SECONDS = 20.0, 20.0
SHARE, SLOWER, GROWTH = 0.6, 10.0, 1.1
"""Bars: of the largest rate that is asked; of the bare route's p99; of memory while more comes than fits."""
CONNECTIONS, FLOOD = 32, 600
DIMENSION, ROWS = 16, 600
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    process: subprocess.Popen[str]
    port: int
    path: str

    def load(self, seconds: float, *, name: str, connections: int = CONNECTIONS, rate: float = 0.0) -> Came:
        """Sends from another process."""
        load = Load(self.port, self.path, seconds, connections, name, rate)
        given = msgspec.json.encode(asdict(load)).decode()
        done = subprocess.run([sys.executable, "-m", "benchmarks.load.generator", given], check=True, capture_output=True)
        return msgspec.json.decode(done.stdout, type=Came)

    def taken(self) -> int:
        """Samples that are counted."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/monitors/load", timeout=30) as answer:
            return int(json.load(answer)["samples"])

    def resident(self) -> int:
        """Bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def run(progress: Progress) -> Sequence[Figure]:
    """In turns on the same machine, so that what else it does slows both."""
    with TemporaryDirectory(prefix="driftgate-bench-") as path, bare() as route, driftgate(Path(path)) as gate:
        progress("how many a second")
        for each in (route, gate):
            each.load(2.0, name="warm")
        most = {"bare": route.load(MOST_SECONDS, name="most"), "driftgate": gate.load(MOST_SECONDS, name="most")}
        rate = SHARE * most["driftgate"].of(202) / most["driftgate"].elapsed
        progress(f"{rate:.0f} a second for {SECONDS:g} s, on each")
        calm = route.load(SECONDS, name="calm", rate=rate)
        before = settled(gate)
        steady = gate.load(SECONDS, name="steady", rate=rate)
        counted = settled(gate) - before
        progress("more than it can take")
        resident = [gate.resident()]
        flood = gate.load(OVER_SECONDS / 2, name="flood", connections=FLOOD)
        resident.append(gate.resident())
        again = gate.load(OVER_SECONDS / 2, name="again", connections=FLOOD)
        resident.append(gate.resident())
        after = settled(gate) - before - counted
        return [
            Figure("load average of the last five minutes, cores", f"{os.getloadavg()[1]:.1f}, {os.cpu_count()}"),
            *_rates(most, rate),
            *_steady(calm, steady, counted),
            *_over((flood, again), resident, after),
        ]


def _rates(most: dict[str, Came], rate: float) -> Iterator[Figure]:
    for name, came in most.items():
        yield Figure(f"{name}: requests a second, {CONNECTIONS} connections", f"{came.of(202) / came.elapsed:,.0f}")
    yield Figure(f"{100 * SHARE:.0f} % of driftgate's", f"{rate:,.0f} a second")


def _steady(calm: Came, steady: Came, counted: int) -> Iterator[Figure]:
    yield Figure("bare route at that rate: median, p99, worst", _times(calm))
    yield Figure("driftgate: median, p99, worst", _times(steady))
    ratio = steady.p99 / calm.p99
    yield Figure("driftgate's p99 over the bare route's", f"{ratio:.1f}", f"≤ {SLOWER:g}", ratio <= SLOWER)
    refused = steady.sent - steady.of(202)
    yield Figure(
        f"of {steady.sent:,} samples: refused, lost",
        f"{refused}, {steady.of(202) - counted}",
        "0, 0",
        not refused and counted == steady.sent,
    )


def _over(floods: Sequence[Came], resident: Sequence[int], counted: int) -> Iterator[Figure]:
    statuses = {status: sum(came.of(status) for came in floods) for status in (202, 429, 503)}
    others = sum(came.sent for came in floods) - sum(statuses.values())
    told = ", ".join(f"{count:,} × {status}" for status, count in statuses.items())
    refused = statuses[429] + statuses[503]
    unsaid = sum(came.without_retry for came in floods)
    yield Figure(
        f"{FLOOD} connections that do not wait",
        f"{told}, {others} others",
        "429 or 503 with Retry-After alone",
        bool(refused) and not others + unsaid,
    )
    yield Figure("of what was accepted then: lost", f"{statuses[202] - counted}", "0", counted == statuses[202])
    growth = resident[-1] / resident[1]
    sizes = " → ".join(f"{size / 1e6:.0f} MB" for size in resident)
    yield Figure("memory before, half-way, at the end", sizes, f"second half ≤ {GROWTH:g} × the first", growth <= GROWTH)


def _times(came: Came) -> str:
    return ", ".join(f"{1e3 * seconds:.1f} ms" for seconds in (came.p50, came.p99, came.worst))


def settled(gate: Served) -> int:
    """What is counted once nothing more comes."""
    known, since, deadline = gate.taken(), time.monotonic(), time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < min(since + 3.0, deadline):
        time.sleep(0.5)
        now = gate.taken()
        if now != known:
            known, since = now, time.monotonic()
    return known


@contextmanager
def bare() -> Iterator[Served]:
    """The route that does nothing."""
    with _started([sys.executable, "-m", "benchmarks.load.bare"]) as process:
        yield Served(process, int(process.stdout.readline() if process.stdout else 0), "/samples")


@contextmanager
def driftgate(folder: Path) -> Iterator[Served]:
    """The whole service in one process, with a reference, so that what comes is decided on."""
    monitor = {"name": "load", "embedder": {"input": "none", "dimension": DIMENSION}, "detection": {"accept_supported": True}}
    config = {"directory": str(folder), "server": {"port": 0}, "access": {"requests_per_second": 100_000}, "monitors": [monitor]}
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    settings, embedder = MonitorSettings.model_validate(monitor), VectorEmbedder(DIMENSION, normalize=False)
    rows = np.random.default_rng(0).uniform(-1, 1, (ROWS, DIMENSION)).astype(np.float32)
    samples = [Sample("load", f"r{number}", float(number), row) for number, row in enumerate(rows)]
    References(folder / "references").build(settings, embed_rows(samples, embedder), Origin(embedder.fingerprint, 0.0))
    command = [str(Path(sys.executable).with_name("driftgate")), "serve", "--config", str(folder / "driftgate.yaml")]
    with _started(command, folder / "log") as process:
        yield Served(process, _port(folder / "log", process), "/v1/monitors/load/samples")


def _port(log: Path, process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8"))
        if found:
            served = Served(process, int(found.group(1)), "")
            served.taken()
            return served.port
        time.sleep(0.2)
    raise TimeoutError(log.read_text(encoding="utf-8")[-2_000:])


@contextmanager
def _started(command: Sequence[str], log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    output = subprocess.PIPE if log is None else log.open("w", encoding="utf-8")
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL if log is None else subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)
        if not isinstance(output, int):
            output.close()
