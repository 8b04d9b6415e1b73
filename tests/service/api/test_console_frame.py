"""The console's frame: where it leads, what surrounds a page, and what it says when something is wrong."""

from __future__ import annotations

import re

from tests.service.api.conftest import Site


def test_the_address_leads_to_the_fleet(site: Site) -> None:
    answer = site.client.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path == "/console/fleet"
    assert "<title>Fleet · driftgate</title>" in answer.text


def test_a_page_brings_its_policy_and_names_all_that_it_loads(site: Site) -> None:
    answer = site.client.get("/console/fleet")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert answer.headers["Cache-Control"] == "no-store"
    loaded = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', answer.text)
    assert loaded
    for address in loaded:
        assert "immutable" in site.client.get(address).headers["Cache-Control"]
    assert not re.search(r"<style|style=|<script(?! src)| on[a-z]+=|https?://", answer.text)


def test_an_address_without_a_page_says_so_on_one(site: Site) -> None:
    answer = site.client.get("/console/<b>nowhere")
    assert answer.status_code == 404
    assert "There is no such thing here" in answer.text
    assert "<b>" not in answer.text
