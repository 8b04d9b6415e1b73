"""Random lives of a store over a real Redis."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from service.ports import Store
from tests.contract.conftest import redis_store
from tests.contract.test_store_machine import StoreMachine
from tests.servers.redis_server import RedisServer

MACHINE = settings(max_examples=25, stateful_step_count=40, deadline=None)


@pytest.mark.server("redis-server")
def test_redis_store_machine(redis_server: RedisServer, tmp_path: Path) -> None:
    lives = itertools.count()

    def open_next() -> Store:
        number = next(lives)
        return redis_store(redis_server.url, f"life{number}", tmp_path / str(number))

    run_state_machine_as_test(partial(RedisStoreMachine, open_next), settings=MACHINE)


class RedisStoreMachine(StoreMachine):
    """Each life under a key prefix of its own."""

    def __init__(self, open_next: Callable[[], Store]) -> None:
        super().__init__()
        self._open_next = open_next

    def open(self) -> Store:
        return self._open_next()
