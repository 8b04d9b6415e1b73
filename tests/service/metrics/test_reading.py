"""What is read at each scrape: by the leader alone, not in vain twice, and never at the cost of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from prometheus_client import CollectorRegistry

from service.errors import UnavailableError
from service.metrics import Metrics, Role, inventory
from service.metrics.exposition import Scrape
from service.metrics.reading import SPARING, Readings

Values = Callable[[], Mapping[tuple[str, ...], float]]


def test_what_belongs_to_the_installation_is_told_by_whoever_leads(metrics: Metrics, values: Values) -> None:
    leads = False
    metrics.led_by(lambda: leads)
    metrics.shows(inventory.SILENCES, lambda: {(): 3.0})
    metrics.shows(inventory.LEADS, lambda: {(): float(leads)})
    assert ("silences",) not in values()
    assert values()["leader",] == 0
    leads = True
    assert (values()["silences",], values()["leader",]) == (3, 1)
    leads = False
    assert ("silences",) not in values()


def test_known_label_values_stand_at_0(metrics: Metrics, values: Values) -> None:
    metrics.shows(inventory.ALARMS, lambda: {("chat", "open", "critical"): 2.0})
    found = values()
    assert found["alarms", "chat", "critical", "open"] == 2
    assert found["alarms", "chat", "warning", "open"] == found["alarms", "mail", "critical", "acknowledged"] == 0


def test_a_dear_answer_stands_for_a_while() -> None:
    now, asked = [0.0], 0

    def dear() -> Mapping[tuple[str, ...], float]:
        nonlocal asked
        asked += 1
        now[0] += 2.0
        return {(): float(asked)}

    readings = Readings(list, clock=lambda: now[0])
    readings.add(lambda: ((inventory.SILENCES, labels, value) for labels, value in dear().items()), [inventory.SILENCES])

    def scraped() -> float:
        (family,) = readings.collect()
        return float(family.samples[0].value)

    assert (scraped(), scraped()) == (1, 1)
    now[0] += SPARING * 2.0
    assert (scraped(), scraped()) == (2, 2)
    readings.leads = lambda: False
    assert list(readings.collect()) == []
    readings.leads = lambda: True
    assert scraped() == 3, "who leads again asks anew"


def test_a_store_that_is_away_takes_nothing_else_with_it(metrics: Metrics, values: Values) -> None:
    asked: list[str] = []

    def away() -> Mapping[tuple[str, ...], float]:
        asked.append("first")
        raise UnavailableError("the store has not answered")

    def next_one() -> Mapping[tuple[str, ...], float]:
        asked.append("second")
        return {(): 1.0}

    metrics.shows(inventory.SILENCES, away)
    metrics.shows(inventory.BLOB_BYTES, next_one)
    metrics.received("chat", 2)
    assert values()["samples_received_total", "chat"] == 2
    assert asked == ["first"], "the others would wait for the same store"


def test_series_are_counted_and_cut_by_whole_metrics(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry, [f"m{n}" for n in range(30)], version="1", role=Role.WORKER)
    whole = {family.name: family for family in Scrape(registry).collect()}
    shown = sum(len(family.samples) for family in whole.values())
    assert whole["driftgate_series"].samples[0].value == shown
    assert whole["driftgate_series_left_out"].samples[0].value == 0
    cut = {family.name: family for family in Scrape(registry, cap=shown - 100).collect()}
    left = sum(len(family.samples) for family in cut.values())
    assert cut["driftgate_series"].samples[0].value == left <= shown - 100
    assert cut["driftgate_series_left_out"].samples[0].value == shown - left
    assert "driftgate_store_seconds" in cut
    gone = whole.keys() - cut.keys()
    assert gone
    assert all("monitor" in whole[name].samples[0].labels for name in gone)
    metrics.watch([])
    assert {family.name: family for family in Scrape(registry, cap=shown - 100).collect()}["driftgate_series_left_out"].samples[
        0
    ].value == 0


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_no_created_series_in_any_format(metrics: Metrics, registry: CollectorRegistry, accept: str) -> None:
    from service.metrics import exposition

    metrics.received("chat", 1)
    text, content_type = exposition(registry, accept)
    assert b"_created" not in text
    assert b"driftgate_samples_received_total" in text
    assert content_type.startswith("application/openmetrics-text" if accept else "text/plain")
