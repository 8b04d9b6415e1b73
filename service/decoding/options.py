"""What a monitor's samples may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from service.records import Payload
from service.redaction import NOTHING, Redaction
from service.settings import MonitorSettings

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What a sample may be. `check` is the embedder's; `image_root` allows paths below it; `max_ahead` None takes any time."""

    classes: tuple[str, ...] = ()
    check: Callable[[Payload], None] | None = None
    image_root: Path | None = None
    max_ahead: float | None = DAY
    max_bytes: int = 16_000_000
    max_text_bytes: int = 1_000_000
    document: Callable[[Any], Mapping[str, Any]] | None = None
    """Reads JSON of another shape as a sample."""
    redaction: Redaction = NOTHING
    """What every sample passes, and what could not be used."""

    @classmethod
    def of(cls, monitor: MonitorSettings, check: Callable[[Payload], None] | None = None) -> Self:
        """As the monitor's settings say."""
        redaction = Redaction.of(monitor.privacy)
        return cls(classes=monitor.classes, check=check, max_text_bytes=monitor.embedder.max_text_bytes, redaction=redaction)
