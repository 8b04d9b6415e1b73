"""What is read at each scrape, and that what a process has no part in has no series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.adapters.sqlite import SqliteStore
from service.gauges import FeedFigures, ProcessFigures
from service.metrics import exposition
from service.records import Commit, Decision, Partition

Values = Callable[[], dict[tuple[str, ...], float]]
LOG, OTHER = Partition("chat", "a", 0), Partition("chat", "a", 1)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def values(registry: CollectorRegistry) -> Values:
    """Scrapes: (name, label values) → value."""

    def scrape() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(exposition(registry, "")[0].decode())
        return {(s.name.removeprefix("driftgate_"), *s.labels.values()): s.value for family in families for s in family.samples}

    return scrape


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def test_how_well_monitors_see_and_how_far_partitions_are(store: SqliteStore, registry: CollectorRegistry, values: Values) -> None:
    registry.register(FeedFigures(store, lambda: ["chat", "mail"]))
    assert values() == {}
    store.decide(Decision("chat", 0, 0, state=msgspec.json.encode({"feed": {"lost_share": 0.34, "blind": True}})))
    store.assign(LOG)
    store.commit(Commit(LOG, 1, 0, 12, 0.0, lost=7))
    store.assign(OTHER)
    store.halt(OTHER, 1, "the log ends at 5")
    assert values() == {
        ("input_loss_ratio", "chat"): 0.34,
        ("monitor_blind", "chat"): 1,
        ("records_lost_total", "chat"): 7,
        ("partition_stopped", "chat"): 1,
    }
    store.reset(OTHER, 5)
    assert values()["partition_stopped", "chat"] == 0


def test_what_a_process_has_no_part_in_has_no_series(registry: CollectorRegistry, values: Values) -> None:
    registry.register(ProcessFigures())
    assert values() == {}


def test_a_process_tells_of_itself(registry: CollectorRegistry, values: Values) -> None:
    registry.register(ProcessFigures(lag=lambda: {LOG: 3, OTHER: 4}, leads=lambda: True, unsent=lambda: 2, blobs=lambda: (4_096, 1)))
    assert values() == {
        ("consumer_lag_records", "chat"): 7,
        ("leader",): 1,
        ("dead_letters_unsent",): 2,
        ("blob_bytes",): 4_096,
        ("blobs_refused_total",): 1,
    }
