"""What is kept of a monitor's stream, over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.records import Partition, Pooled, Reservation, Reserved


def row(n: int, *, label: str | None = None, version: int = 1) -> Pooled:
    embedding = np.array([1.0, n], np.float16)
    return Pooled("support", f"m-{n}", 1_772_366_400.0 + n, Partition("http", "t"), n, None, {}, None, label, embedding, 0.1 * n, version)


def test_a_pool_is_shown_by_its_parts(make_site: Any) -> None:
    site = make_site()
    empty = site.client.get("/v1/monitors/support/pool").json()
    assert (empty["rows"], empty["parts"], empty["recent_begins"], empty["reserve_room"]) == (0, [], None, 4_000)

    rows = (
        Reserved(row(1), {"uniform": 1.0, "segment:locale=de": 2.0}, 0.0, 5),
        Reserved(row(2), {"uniform": 0.5}, 0.0),
        Reserved(row(3, label="b", version=2), {"failure": 4.0}, 0.0),
    )
    site.store.keep_reserved(Reservation("support", rows, {"uniform": 9}, 1_209_600.0))
    found = site.client.get("/v1/monitors/support/pool").json()
    assert (found["rows"], found["samples"], found["versions"]) == (3, 7, {"1": 2, "2": 1})
    failure, uniform, segment = found["parts"]
    assert (uniform["part"], uniform["rows"], uniform["room"], uniform["samples"]) == ("uniform", 2, 1_200, 6)
    assert (uniform["oldest"], uniform["newest"]) == ("2026-03-01T12:00:01Z", "2026-03-01T12:00:02Z")
    assert (segment["part"], segment["room"]) == ("segment:locale=de", None)
    assert (failure["part"], failure["labelled"], round(failure["novelty"], 3)) == ("failure", 1, 0.3)


def test_a_pool_of_no_monitor_is_not_found(make_site: Any) -> None:
    assert make_site().client.get("/v1/monitors/none/pool").status_code == 404
