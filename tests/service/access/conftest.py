"""A store, clocks that stand still, and a gate before both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from service.access import Access, tokens
from service.access.gate import Asked, Gate
from service.access.lookups import Lookups
from service.adapters.sqlite import SqliteStore
from service.records import Role

NOW = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""


@dataclass
class Time:
    """Both clocks at once."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Door:
    """A gate with its insides."""

    gate: Gate
    store: SqliteStore
    time: Time
    lookups: Lookups

    def mint(self, role: Role = Role.ADMIN, **options: Any) -> tokens.Minted:
        return tokens.mint(self.store, tokens.Wanted(name=f"a {role}", role=role, **options), by="ana", now=self.time.now)


MakeDoor = Callable[..., Door]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    kept = SqliteStore(":memory:")
    yield kept
    kept.close()


@pytest.fixture
def make_door(store: SqliteStore) -> MakeDoor:
    def make(access: Access | None = None, *, most: int = 10_000) -> Door:
        time = Time()
        lookups = Lookups(store, most=most, tick=time)
        gate = Gate(access or Access(loopback=False, key=bytes(32)), lookups, clock=time, tick=time)
        return Door(gate, store, time, lookups)

    return make


@pytest.fixture
def door(make_door: MakeDoor) -> Door:
    """Off loopback, without a configured token."""
    return make_door()


def asked(method: str = "GET", path: str = "/v1/alarms", *, token: str = "", address: str = "10.1.2.3", **headers: str) -> Asked:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(method, path, named | ({"authorization": f"Bearer {token}"} if token else {}), address)
