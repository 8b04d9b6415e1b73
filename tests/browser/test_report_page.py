"""The report's page in a real browser: from disk, without network, with and without scripts, in both colour schemes and on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Route

from service.report.ranking import line_of, ranked
from service.report.rendering import render, render_ranking
from tests.service.report.made_up import FULL, MADE

pytestmark = pytest.mark.server("chromium")

MEASURE = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
READABLE, LARGE, DRAWN = 4.5, 3.0, 3.0
"""Contrast that WCAG 2.2 AA asks of text, of large text, and of what has to be seen in a plot."""

Scheme = Literal["light", "dark"]


@dataclass
class Opened:
    """A page, and what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it, a calm one, and the table of both."""
    pages = tmp_path_factory.mktemp("pages")
    (pages / "monitors").mkdir()
    reports = [FULL, replace(FULL, monitor="calm", sections=FULL.sections[1:2])]
    for report in reports:
        (pages / "monitors" / f"{report.monitor}.html").write_text(render(report, "html"), encoding="utf-8")
    (pages / "index.html").write_text(render_ranking(ranked(map(line_of, reports)), "html", now=MADE), encoding="utf-8")
    return pages


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a page from disk where nothing else can be reached."""
    with ExitStack() as stack:

        def open_page(name: str = "monitors/chat.html", *, scheme: Scheme = "light", scripts: bool = True, width: int = 1280) -> Opened:
            context = browser.new_context(
                color_scheme=scheme, java_script_enabled=scripts, offline=True, viewport={"width": width, "height": 900}
            )
            stack.callback(context.close)
            context.route("**/*", _from_disk)
            opened = Opened(context.new_page())
            opened.page.on("request", lambda request: opened.requests.append(request.url))
            opened.page.on("console", lambda message: opened.complaints.append(message.text))
            opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            opened.page.goto((folder / name).as_uri())
            return opened

        yield open_page


def _from_disk(route: Route) -> None:
    if route.request.url.startswith("file:"):
        route.continue_()
    else:
        route.abort()


@pytest.mark.parametrize("name", ["monitors/chat.html", "index.html"])
def test_page_opens_from_disk_and_asks_for_nothing_else(visit: Callable[..., Opened], folder: Path, name: str) -> None:
    opened = visit(name)
    assert opened.requests == [(folder / name).as_uri()]
    assert opened.complaints == []
    assert opened.page.evaluate("document.querySelectorAll('script, img, iframe, object, embed').length") == 0
    assert opened.page.evaluate("getComputedStyle(document.body).margin") == "0px", "the page's own style is not in force"


def test_tables_and_plots_are_there_without_scripts(visit: Callable[..., Opened]) -> None:
    page = visit(scripts=False).page
    assert page.locator("#drift table").count() == 1
    assert page.locator("#drift tbody tr").count() == 3
    assert page.locator("svg.plot").count() == 4
    for picture in page.locator("svg.plot").all():
        box = picture.bounding_box()
        assert box
        assert box["width"] > 300
        assert box["height"] > 100


def test_contents_lead_to_sections_without_scripts(visit: Callable[..., Opened]) -> None:
    page = visit(scripts=False).page
    page.locator("nav a", has_text="Performance").click()
    assert page.url.endswith("#performance")


def test_ranking_leads_to_the_monitors_page(visit: Callable[..., Opened]) -> None:
    page = visit("index.html", scripts=False).page
    page.locator("tbody a").first.click()
    assert page.locator("h1").inner_text() == "chat"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["monitors/chat.html", "index.html"])
def test_everything_can_be_read_in_both_colour_schemes(visit: Callable[..., Opened], name: str, scheme: Scheme) -> None:
    measured = visit(name, scheme=scheme).page.evaluate(MEASURE)
    assert len(measured["texts"]) > 15
    assert _faint(measured["texts"]) == []
    assert [shape for shape in measured["shapes"] if shape["contrast"] < DRAWN] == []


def test_the_schemes_differ_and_paper_is_light(visit: Callable[..., Opened]) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = visit(scheme="dark").page
    assert visit(scheme="light").page.evaluate(colour) != dark.evaluate(colour)
    dark.emulate_media(media="print")
    assert dark.evaluate(colour) == "rgb(255, 255, 255)"
    assert not dark.locator("nav").is_visible()
    assert _faint(dark.evaluate(MEASURE)["texts"]) == []


def test_nothing_sticks_out_of_a_narrow_window(visit: Callable[..., Opened]) -> None:
    page = visit(width=360).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_whoever_can_not_see_is_told_what_there_is(visit: Callable[..., Opened]) -> None:
    page = visit().page
    names = [picture.get_attribute("aria-label") for picture in page.locator("svg.plot").all()]
    assert names[1:3] == ["Confusion", "Calibration"]
    assert page.evaluate("[...document.querySelectorAll('th')].every(head => head.scope)")
    assert page.evaluate("document.documentElement.lang") == "en"


def _faint(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [text for text in texts if text["contrast"] < (LARGE if text["large"] else READABLE)]
