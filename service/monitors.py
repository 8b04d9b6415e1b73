"""What parts ask of the installation about its monitors: each names the least that it needs, and adds what is its own."""

from __future__ import annotations

from typing import Protocol

from service.ports import Embedder
from service.settings import EmbedderSettings, MonitorSettings


class Monitors(Protocol):
    """Their settings."""

    def effective(self, monitor: str) -> MonitorSettings:
        """The settings with the model that is in force."""


class Embedders(Monitors, Protocol):
    """Their models, too."""

    def embedder(self, monitor: str) -> Embedder:
        """The monitor's embedder in force."""


class Loaders(Embedders, Protocol):
    """And models that are not in force."""

    def load(self, settings: EmbedderSettings) -> Embedder:
        """Any embedder."""
