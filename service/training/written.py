"""The record of a run: all that decides what comes out, so that it can be repeated and, where it can't, be said why."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from service.artefacts import replace_text
from service.errors import InputError

FORMAT = 1
LARGEST = 16_000_000
"""Bytes of a record that is read."""

_LIBRARIES = ("torch", "numpy", "scipy", "onnx", "onnxruntime", "tokenizers")
_CODE = ("service/training", "detectors/selection")
"""What the result depends on, below the folder that holds the packages."""
_ROOT = Path(__file__).resolve().parents[2]


def environment(threads: int, lock: Path | None) -> dict[str, Any]:
    """Code, libraries and machine; `lock`: the lock file that they were installed by, where there is one."""
    return {
        "driftgate": version("driftgate"),
        "code": _digest(sorted(path for folder in _CODE for path in (_ROOT / folder).glob("*.py"))),
        "lock": sha256(lock) if lock is not None else "",
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _machine(),
        "threads": threads,
    }


def lock_file() -> Path | None:
    """The project's own, where the program runs from a checkout of it."""
    found = _ROOT / "uv.lock"
    return found if found.is_file() else None


def sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """As JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_record(path: Path) -> Mapping[str, Any]:
    """InputError unless it is one of these."""
    try:
        if path.stat().st_size > LARGEST:
            raise InputError("file", f"{path}: larger than the {LARGEST:,} bytes that the record of a run may have")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("file", f"{path}: can't be read as the record of a run: {error}") from error
    return checked(found, str(path))


def checked(found: object, where: str) -> Mapping[str, Any]:
    """A record that this trainer wrote; InputError for any other."""
    if not isinstance(found, Mapping) or found.get("format") != FORMAT or found.get("trainer") != "driftgate":
        raise InputError("run", f"{where}: no record of `driftgate train` in format {FORMAT}; only what that made can be made again")
    return found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In plain words, what is another environment than then."""
    named = {
        "driftgate": "version of driftgate",
        "code": "code of the trainer",
        "lock": "lock file",
        "python": "version of Python",
        "platform": "platform",
        "processor": "processor",
        "threads": "number of threads",
    }
    found = [
        f"another {words}: {_shown(before, key)}, now {_shown(now, key)}" for key, words in named.items() if before.get(key) != now.get(key)
    ]
    then, there = before.get("libraries", {}), now["libraries"]
    differing = [name for name in sorted({*then, *there}) if then.get(name) != there.get(name)]
    return found + [f"another {name}: {then.get(name)}, now {there.get(name)}" for name in differing]


def plain(figures: Any) -> dict[str, Any]:
    """Of a dataclass, without what is not known."""
    return {name: value for name, value in asdict(figures).items() if value is not None}


def _shown(environment: Mapping[str, Any], key: str) -> str:
    return str(environment.get(key) or "none")[:40]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
