"""Grafana's types and the compiler that checks against them: no server, as Grafana itself comes by no package registry."""

from __future__ import annotations

from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "servers"


def installed() -> Path | None:
    """Where `make servers` has put the packages."""
    return next(iter(sorted(CACHE.glob("grafana-schema-*/node_modules"))), None)
