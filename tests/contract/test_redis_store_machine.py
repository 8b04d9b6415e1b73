"""Random lives of a store over a real Redis."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from service.ports import Store
from tests.contract.conftest import redis_store
from tests.contract.test_store_machine import StoreMachine
from tests.servers.redis_server import RedisServer

FEW = settings(max_examples=25, stateful_step_count=40, deadline=None)


@pytest.mark.server("redis-server")
def test_redis_store_machine(redis_server: RedisServer, tmp_path: Path) -> None:
    """Each life under a key prefix of its own."""
    lives = itertools.count()

    class RedisStoreMachine(StoreMachine):
        def open(self) -> Store:
            number = next(lives)
            return redis_store(redis_server.url, f"life{number}", tmp_path / str(number))

    run_state_machine_as_test(RedisStoreMachine, settings=FEW)
