"""See the alarm, understand it, mark it: in a real browser, with and without scripts, in both colour schemes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from service.records import AlarmState
from tests.browser.conftest import Console, Scheme, Visit, basics, faint

pytestmark = pytest.mark.server("chromium")

PAGES = (
    "/console/fleet",
    "/console/monitors/chat",
    "/console/monitors/quiet",
    "/console/alarms",
    "/console/silences",
    "/console/alarms/{alarm}",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean_and_can_be_read(visit: Visit, console: Console, scheme: Scheme) -> None:
    for path in PAGES:
        address = path.format(alarm=console.alarm().id)
        opened = visit(address, scheme=scheme)
        opened.check()
        assert faint(opened) == [], address
        basics(opened)
        opened.shot(f"{address.removeprefix('/console/').partition('/')[0]}-{scheme}" if "alarm}" not in path else f"alarm-{scheme}")


def test_an_alarm_is_seen_understood_and_marked_without_scripts(visit: Visit, console: Console) -> None:
    opened = visit("/", scripts=False)
    page = opened.page
    assert page.url.endswith("/console/fleet")
    row = page.locator("tbody tr").first
    assert "drifting" in row.inner_text()
    row.locator("td a").first.click()
    said = page.locator("p.says").inner_text()
    assert said.startswith("In chat")
    assert "new content" in said
    page.goto(f"{console.address}/console/alarms/{console.alarm().id}")
    assert page.locator("svg.band").get_attribute("aria-label", timeout=5_000)
    assert page.locator(".gallery li").count() >= 4
    assert "alien" in page.locator("table", has_text="In which share of the texts").inner_text()
    page.get_by_role("link", name="Say what it is").click()
    page.get_by_label("Note, kept with it").fill("a new product")
    page.get_by_role("button", name="True: it is drift").click()
    assert page.locator("p.notice").inner_text() == "Your verdict is kept; it counts in the ledger."
    assert "a new product" in page.locator("ol.steps").inner_text()
    assert console.alarm().verdict == "true"
    assert console.alarm().state is AlarmState.ACKNOWLEDGED


def test_hostile_texts_are_texts(visit: Visit, console: Console) -> None:
    for path in PAGES:
        opened = visit(path.format(alarm=console.alarm().id))
        opened.check()
        assert "caught" not in opened.page.title()
        assert opened.page.locator("main script, main iframe, main [onerror], main [onmouseover]").count() == 0
        assert opened.page.evaluate("document.documentElement.innerText.includes('\\u202e')") is False
        assert len(opened.page.content()) < 200_000
    assert "49" not in visit("/console/alarms").page.locator("h1").inner_text()


def test_the_keyboard_leads_through_a_page(visit: Visit) -> None:
    page = visit("/console/fleet").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    seen = []
    for _ in range(12):
        seen.append(page.evaluate("document.activeElement.getBoundingClientRect().top + window.scrollY"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Tab")
    assert all(later >= earlier - 40 for earlier, later in pairwise(seen)), "the focus jumps back"


def test_nothing_sticks_out_of_a_narrow_window(visit: Visit, console: Console) -> None:
    for path in PAGES:
        page = visit(path.format(alarm=console.alarm().id), width=360).page
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_stream_is_silenced_and_the_silence_ended(visit: Visit, console: Console) -> None:
    page = visit(f"/console/alarms/{console.alarm().id}#silence").page
    section = page.locator("section[aria-labelledby=silence]")
    section.get_by_label("Why").fill("known since yesterday")
    section.get_by_role("button", name="Silence").click()
    assert "held back" in page.locator("p.notice").inner_text()
    page.get_by_role("link", name="Silences").first.click()
    assert "known since yesterday" in page.locator("tbody tr").first.inner_text()
    page.get_by_role("button", name="End").first.click()
    assert "told again" in page.locator("p.notice").inner_text()


def test_a_monitor_is_paused_and_goes_on(visit: Visit) -> None:
    page = visit("/console/monitors/chat").page
    page.get_by_label("Why").fill("a migration")
    page.get_by_role("button", name="Pause").click()
    assert "Paused until" in page.locator("main").inner_text()
    page.get_by_role("button", name="End the pause").click()
    assert "alarms open again" in page.locator("p.notice").inner_text()


def test_errors_are_said_on_a_page(visit: Visit) -> None:
    opened = visit("/console/alarms/none")
    assert opened.page.locator("h1").inner_text() == "There is no such thing here"
    assert opened.page.evaluate("window.violations") == []
