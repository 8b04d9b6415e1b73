"""One application with something in it, which all that is thrown at the API hits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.access import Access
from service.records import DeadLetter, OutboxItem, Partition, Rejected
from tests.service.api.conftest import NOW, Site, an_alarm, sites

TOKEN = "correct-horse-battery"
"""An admin's, from the configuration: what is thrown may make tokens, after which nothing is open any more."""


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Alarms, a cycle with its batch, items, letters, samples: most ids that a test may guess."""
    making = sites(tmp_path_factory.mktemp("fuzz"))
    site = next(making)(backlog_bytes=100_000_000, access=Access(loopback=True, token=TOKEN))
    site.client.headers["Authorization"] = f"Bearer {TOKEN}"
    site.store.save(*(an_alarm(f"a{number}") for number in range(5)))
    site.store.save(outbox=[OutboxItem(f"o{number}", "alarm.opened", "hook", {}, created=NOW, state="dead") for number in range(3)])
    site.store.add_dead_letters([DeadLetter(Partition("http", "t"), 1, NOW, Rejected("not_json", "no", b"{", 0, "support"))])
    site.client.post("/v1/monitors/support/refresh", json={"actor": "ana"})
    yield site
    making.close()  # type: ignore[attr-defined]  # a generator, whose end closes the stores
