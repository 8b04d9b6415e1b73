"""An installation per test, on a Redis of its own, beside a feed and a receiver; and how long the storm lasts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from tests.chaos.receiver import Inbox, receiving
from tests.chaos.site import Process, Site
from tests.chaos.traffic import Feed
from tests.servers.fixtures import StartRedis
from tests.servers.kafka_server import KafkaServer

LONG = os.environ.get("CHAOS") == "long"
SEED = int(os.environ.get("CHAOS_SEED", "20261121"))

MakeSite: TypeAlias = Callable[..., Site]
"""Takes the number of partitions, and what begins its state where this driftgate does not."""


@dataclass(frozen=True, slots=True)
class Storm:
    """When what is done to an installation is done."""

    rng: np.random.Generator
    blows: int

    def shuffled(self, processes: Sequence[Process]) -> Sequence[Process]:
        """In any order."""
        return [processes[int(place)] for place in self.rng.permutation(len(processes))]

    def strike(self, feed: Feed, blow: Callable[[], object]) -> None:
        """Repeats a blow at random moments; half-way the traffic drifts."""
        for number in range(self.blows):
            if number == self.blows // 2:
                feed.drift()
            time.sleep(self.rng.uniform(0.2, 3.0))
            blow()


@pytest.fixture
def storm() -> Storm:
    """The same moments each time, as far as a machine repeats itself."""
    return Storm(np.random.default_rng(SEED), blows=25 if LONG else 4)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def make_site(kafka_broker: KafkaServer, start_redis: StartRedis, inbox: Inbox, tmp_path: Path) -> Iterator[MakeSite]:
    made: list[Site] = []

    def make(partitions: int, begin: Callable[[Site], object] | None = None) -> Site:
        made.append(Site(tmp_path, kafka_broker, start_redis(), partitions=partitions, inbox=inbox, begin=begin))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Of four partitions."""
    return make_site(4)
