"""The policy over HTTP: its versions, and each monitor beside it."""

from __future__ import annotations

from typing import Any


def test_before_a_process_that_decides_has_started_there_is_none(site: Any) -> None:
    answer = site.client.get("/v1/policy")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_the_policy_is_shown_with_its_versions(site: Any) -> None:
    site.service.policies.publish(now=site.service.clock())
    shown = site.client.get("/v1/policy").json()
    assert (shown["version"], shown["settings"]["require"]["golden_rows"]) == (1, 10)
    assert [step["reason"] for step in shown["history"]] == ["declared"]


def test_monitors_stand_beside_it_page_by_page(site: Any) -> None:
    first = site.client.get("/v1/policy/compliance", params={"limit": 1}).json()
    assert first["next"] == "support"
    second = site.client.get("/v1/policy/compliance", params={"cursor": first["next"]}).json()
    assert second["next"] is None
    found = {each["monitor"]: each["unmet"] for page in (first, second) for each in page["monitors"]}
    assert found == {"support": ["golden_rows"], "vectors": ["segments", "golden_rows"]}
    assert all(check["remedy"] for each in second["monitors"] for check in each["checks"])
    assert site.client.get("/v1/policy/compliance", params={"team": "nobody"}).json() == {"monitors": [], "next": None}
