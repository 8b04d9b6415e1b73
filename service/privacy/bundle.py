"""What helps those who help, in one archive: how an installation is set up and how it stands, without a payload and without a secret.

All of it is named here: nothing comes along because it lies beside something.
"""

from __future__ import annotations

import io
import json
import platform
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.errors import ArtefactError
from service.pages import paged
from service.ports import Store
from service.records import Alarm, AnnotationBatch, Delivery, Position, RefreshCycle
from service.records.erasure import Forgotten
from service.settings import Settings

REDACTED = "[redacted]"

_LIBRARIES = ("driftgate", "numpy", "scipy", "onnxruntime", "fastapi", "uvicorn", "pydantic", "msgspec", "redis", "kafka-python")
_COUNTED = (Alarm, AnnotationBatch, RefreshCycle, Delivery, Forgotten)
_LINES, _MOST_CYCLES = 2_000, 100

_SECRET = re.compile(r"token|secret|password|authorization|cookie|signature|credential|api_key|routing_key", re.IGNORECASE)
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_SEGMENT = re.compile(r'\b((?:segment|tag|value)=")[^"]*"')


def write(output: Path, parts: Mapping[str, str], *, now: float) -> None:
    """An archive of these files; ArtefactError where it can't be written."""
    made = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    index = json.dumps({"made": made, "files": sorted(parts), "holds": "no payloads of samples, no secrets"}, indent=2)
    try:
        with tarfile.open(output, "w:gz") as archive:
            for name, text in {"index.json": index, **parts}.items():
                content = text.encode(errors="replace")
                entry = tarfile.TarInfo(f"driftgate-support/{name}")
                entry.size, entry.mtime = len(content), int(now)
                archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise ArtefactError(f"{output}: can't be written ({error.strerror or error})") from error


def versions() -> Mapping[str, Any]:
    """Of what is installed."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
    }


def settings_of(settings: Settings) -> Mapping[str, Any]:
    """The configuration in force; addresses without what may be a secret in them."""
    document: Mapping[str, Any] = _clean("", settings.model_dump(mode="json"))
    return document


def state_of(store: Store, monitors: Iterable[str], *, now: float) -> Mapping[str, Any]:
    """How far everything is: numbers, states and times."""
    return {
        "monitors": {name: _monitor(store, name) for name in monitors},
        "partitions": [_partition(each) for each in store.positions()],
        "entities": {kind.__name__: {" ".join(key): count for key, count in store.tally(kind).items()} for kind in _COUNTED},
        "outbox": _outbox(store, now),
        "dead_letters": dict(Counter(f"{each.rejected.monitor or ''} {each.rejected.reason}" for each in paged(store.dead_letters))),
        "cycles": [_cycle(each, now) for each in store.find(RefreshCycle, limit=_MOST_CYCLES)],
    }


def metrics_of(text: str) -> str:
    """An exposition in which segments are not named: tags of samples are their senders' business."""
    return _SEGMENT.sub(rf'\1{REDACTED}"', text)


def logs_of(folder: Path, most: int = _LINES) -> Mapping[str, str]:
    """The last lines of each process that wrote here."""
    found = sorted(folder.glob("*.log*")) if folder.is_dir() else []
    return {f"logs/{path.name}": _tail(path, most) for path in found}


def findings_of(findings: Iterable[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """What `doctor` says, its addresses cleaned likewise."""
    return [{name: _clean(name, value) for name, value in finding.items()} for finding in findings]


def cleaned(text: str) -> str:
    """A message, its addresses likewise."""
    return _ADDRESS.sub(lambda found: _host(found[0]), text)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _clean(key, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(name, each) for each in value]
    if isinstance(value, str) and _SECRET.search(name) and not name.endswith(("_file", "_files", "_header")):
        return REDACTED
    return cleaned(value) if isinstance(value, str) else value


def _host(address: str) -> str:
    """Where an address leads, without what stands before or after."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" + (f"/{REDACTED}" if parts.path.strip("/") or parts.query else "")


def _monitor(store: Store, name: str) -> Mapping[str, Any]:
    status = store.status(name)
    decided, checkpoint, _ = store.decided(name)
    numbers = {key: value for key, value in status.items() if isinstance(value, int | float)}
    return {
        "samples": store.samples_taken(name),
        "decided": decided,
        "checkpoint": checkpoint,
        "open_panes": len(store.open_panes(name)),
        "streams": len(status.get("streams", ())),
        "reserve": {part.partition("=")[0]: each.rows for part, each in store.reserve_parts(name).items()},
        **numbers,
    }


def _partition(position: Position) -> Mapping[str, Any]:
    return {
        "partition": str(position.partition),
        "offset": position.offset,
        "epoch": position.epoch,
        "time": position.time,
        "lost": position.lost,
        "stopped": bool(position.stopped),
        "retired": position.retired,
    }


def _outbox(store: Store, now: float) -> Sequence[Mapping[str, Any]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    oldest: dict[tuple[str, str, str], float] = {}
    for item in paged(store.outbox):
        key = item.kind, item.destination, item.state
        counts[key] += 1
        oldest[key] = max(oldest.get(key, 0.0), now - item.created)
    names = ("kind", "destination", "state")
    return [{**dict(zip(names, key, strict=True)), "items": count, "oldest_seconds": round(oldest[key])} for key, count in counts.items()]


def _cycle(cycle: RefreshCycle, now: float) -> Mapping[str, Any]:
    return {
        "id": cycle.id,
        "monitor": cycle.monitor,
        "state": cycle.state.value,
        "attempt": cycle.attempt,
        "age_seconds": round(now - cycle.created),
        "in_state_seconds": round(now - cycle.entered),
    }


def _tail(path: Path, most: int) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-most:]
    return "\n".join(map(cleaned, lines)) + "\n"
