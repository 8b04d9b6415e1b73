"""What bringing models into force asks of the installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.monitors import Loaders
from service.settings import EmbedderSettings


class Monitors(Loaders, Protocol):
    """The monitors with what is in force."""

    def inputs(self, settings: EmbedderSettings) -> Sequence[str]:
        """The names under which a model is fed."""

    def version(self, monitor: str) -> int | None:
        """The reference version in force."""

    def bring_into_force(self, monitor: str, version: int) -> None:
        """Accepts a reference version, or goes back to it, with its embedder."""
