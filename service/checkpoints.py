"""What a monitor's decisions leave for the next process: one .npz without pickle, of a stated format."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.alarms import Episode, bare
from service.blindness import Sight
from service.budget import Allocation, Exposures
from service.episodes import Traffic
from service.errors import ArtefactError
from service.hours import LogTimes
from service.maintenance import Pause
from service.records import Alarm, Family
from service.truth.keeping import KeptConcept

_FORMAT = 2
"""Goes up with every change to what they hold that a default can't stand in for."""
REMEDY = "run the version that wrote it, or start with another directory: the alarms that it holds open would be lost"


class _Format(msgspec.Struct):
    format: int = 0


class Kept(msgspec.Struct):
    """One stream, beside its detectors' arrays."""

    segment: str
    episodes: dict[Family, Episode]
    traffic: Traffic
    samples: int


class Head(_Format, kw_only=True):
    """All of the monitor that is no array."""

    format: int = _FORMAT
    version: int
    sequence: int
    samples: int
    other_versions: int
    streams: list[Kept]
    alarms: list[Alarm]
    exposures: Exposures
    allocation: Allocation | None
    times: LogTimes
    sight: Sight = msgspec.field(default_factory=Sight)
    pause: Pause = msgspec.field(default_factory=Pause)
    deciding: dict[str, Any] | None = None
    """The settings that decided, None where an older driftgate did."""
    concept: KeptConcept = msgspec.field(default_factory=KeptConcept)


def write(head: Head, arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The monitor and its detectors' arrays; no samples, which are let go of in the store alone."""
    buffer = io.BytesIO()
    shown = msgspec.json.encode(msgspec.structs.replace(head, alarms=list(map(bare, head.alarms))))
    np.savez(buffer, allow_pickle=False, head=np.frombuffer(shown, np.uint8), **arrays)
    return buffer.getvalue()


def read(checkpoint: bytes) -> tuple[Head, dict[str, NDArray[np.generic]]]:
    """What `write` wrote; ArtefactError for anything else."""
    try:
        with np.load(io.BytesIO(checkpoint), allow_pickle=False) as file:
            arrays = dict(file)
        head = arrays.pop("head").tobytes()
        written = msgspec.json.decode(head, type=_Format).format
        if written == _FORMAT:
            return msgspec.json.decode(head, type=Head), arrays
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise ArtefactError(f"a monitor's checkpoint in the store is damaged ({error}); {REMEDY}") from error
    raise ArtefactError(f"a monitor's checkpoint in the store has format {written}, this driftgate reads {_FORMAT}; {REMEDY}")


def below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Those whose name begins so, under the rest of it."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
