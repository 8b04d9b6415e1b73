"""Reports over HTTP."""

from __future__ import annotations

import threading

from tests.service.api.conftest import Site


def finished(site: Site) -> None:
    """Waits for the report under way."""
    pause = threading.Event()
    while site.service.reporting.under_way is not None:
        pause.wait(0.005)


def test_a_report_is_begun_and_then_found_in_every_format(site: Site) -> None:
    missing = site.client.get("/v1/monitors/support/report")
    assert missing.status_code == 404
    assert "POST /v1/monitors/support/report makes one" in missing.json()["message"]

    begun = site.client.post("/v1/monitors/support/report")
    assert begun.status_code == 202
    assert begun.json()["monitor"] == "support"
    finished(site)

    document = site.client.get("/v1/monitors/support/report").json()
    assert (document["monitor"], document["made"]) == ("support", "2026-03-01T12:00:00Z")
    assert document["sections"][0]["name"] == "drift"
    page = site.client.get("/v1/monitors/support/report", params={"format": "html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert page.text.startswith("<!doctype html>")
    text = site.client.get("/v1/monitors/support/report", params={"format": "markdown"})
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.text.startswith("# Blind spots of support")


def test_monitors_are_ranked_and_those_without_a_report_named(site: Site) -> None:
    site.client.post("/v1/monitors/vectors/report")
    finished(site)
    ranking = site.client.get("/v1/reports").json()
    assert [line["monitor"] for line in ranking["reports"]] == ["vectors"]
    assert (ranking["without"], ranking["under_way"], ranking["failures"]) == (["support"], None, {})


def test_wrong_requests_are_told_what_is_wrong(site: Site) -> None:
    assert site.client.post("/v1/monitors/nobody/report").status_code == 404
    assert site.client.get("/v1/monitors/nobody/report").status_code == 404
    assert site.client.get("/v1/monitors/support/report", params={"format": "pdf"}).status_code == 422


def test_a_second_report_waits_for_the_first(site: Site) -> None:
    site.service.reporting._free.acquire()
    try:
        assert site.client.post("/v1/monitors/support/report").status_code == 409
    finally:
        site.service.reporting._free.release()
