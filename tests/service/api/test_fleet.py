"""The fleet over HTTP."""

import msgspec

from service.records import Decision
from tests.service.api.conftest import Site


def test_streams_are_listed_with_their_evidence(site: Site) -> None:
    stream = {
        "segment": "all", "regime": "active", "samples": 500, "e_log10": 9.0, "traffic_per_second": 1.0, "alarm": "a1",
        "effect": {"estimate": 0.2, "low": 0.1, "high": 0.3},
    }  # fmt: skip
    site.store.decide(Decision("support", 0, 0, state=msgspec.json.encode({"streams": [stream], "inflation": 1.0})))
    document = site.client.get("/v1/fleet").json()
    assert (document["error"], document["patience_days"], document["outside"]) == (0.1, 30.0, [])
    (found,) = document["streams"]
    assert (found["monitor"], found["stands"], found["alarm"]) == ("support", True, "a1")
    assert round(found["log10_e"], 2) == 2.59
