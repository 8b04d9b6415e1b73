"""What the installation's metrics say, for whoever has no server to ask."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry

from service.app import metering
from service.app.installation import CONTROLLER, Installation
from service.leading import Leading
from service.metrics import Metrics, Role, exposition
from service.records import Fence


class _Looking(Leading):
    """Tells what the leader tells, and never leads."""

    def fence(self) -> Fence | None:
        """Nothing is written by it."""
        return Fence(CONTROLLER, 0)


def figures(installation: Installation) -> str:
    """The leader's part of the metrics, as text."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, installation.names, version=version("driftgate"), role=Role.LEADER)
    looking = _Looking(installation.store, CONTROLLER, "support", installation.settings.roles.lease_seconds)
    metering.of_installation(metrics, installation, looking, dict)
    text, _ = exposition(registry, "text/plain")
    return text.decode()
