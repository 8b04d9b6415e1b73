"""Reports as text: readable, the same in every format, and never more than text."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.report import ReportView
from service.records import Measured
from service.report.parts import Bars, Column, Figure, Lines, Matrix, Missing, Plot, Report, Standing, Table, Unit
from service.report.ranking import Line, line_of, ranked
from service.report.rendering import FORMATS, Format, render, render_ranking, svg
from service.report.rendering.html_page import POLICY
from service.report.rendering.written import written
from tests.service.report.made_up import DRIFT, EMPTY, FULL, HOSTILE, LEAKAGE, MADE, QUALITY

ALONE = {"meta", "br"}
FRAME = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "div",
    "nav",
    "main",
    "header",
    "section",
    "aside",
    "footer",
    "figure",
    "figcaption",
}
WORDS = {"ol", "ul", "li", "a", "p", "h1", "h2", "h3", "span", "code", "br", "dl", "dt", "dd", "small", "strong"}
TABLES = {"table", "caption", "thead", "tbody", "tr", "th", "td"}
PLOTS = {"svg", "path", "rect", "circle", "text", "g"}


class Reader(HTMLParser):
    """What a page is made of; fails on tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ALONE:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page() -> str:
    return render(FULL, "html")


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


# --- the page ------------------------------------------------------------------------------------------------------


def test_page_is_made_of_known_tags_and_runs_nothing(read: Reader) -> None:
    assert {tag for tag, _ in read.tags} <= FRAME | WORDS | TABLES | PLOTS
    names = {name for _, attributes in read.tags for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    assert not names & {"style", "src", "srcset", "action"}
    assert all(attributes["href"] and attributes["href"][0] == "#" for tag, attributes in read.tags if tag == "a")


def test_page_shows_hostile_text_as_it_came_without_what_steers(read: Reader) -> None:
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in read.text
    assert not re.search("[\u202e\x1b\x00]", read.text)


def test_page_loads_nothing_and_allows_only_its_own_style(page: str, read: Reader) -> None:
    assert not re.search(r"https?:|url\(|@import", page)
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert POLICY.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in [attributes for _, attributes in read.tags]


def test_contents_lead_to_every_section(read: Reader) -> None:
    ids = {attributes["id"] for tag, attributes in read.tags if tag == "section"}
    links = {attributes["href"] for tag, attributes in read.tags if tag == "a"}
    assert {f"#{name}" for name in ids} == links == {"#first", *(f"#{section.name}" for section in FULL.sections)}


def test_contents_show_how_each_section_stands(page: str) -> None:
    contents = page.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r'aria-label="([^"]*)" role="img"', contents) == [section.standing.value for section in FULL.sections]


def test_what_has_to_be_done_stands_on_top_most_urgent_first(page: str) -> None:
    top = page.partition('<section id="first">')[2].partition("</section>")[0]
    assert top.index("driftgate explain a1") < top.index("Look at locale=de.")


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_where_nothing_is_asked_what_is_not_known_is_named(form: Format) -> None:
    assert "Nothing has to be done." in render(replace(FULL, sections=(QUALITY,)), form)
    assert "Nothing, as far as is known. Not known: leakage." in render(replace(FULL, sections=(QUALITY, LEAKAGE)), form)


def test_standing_is_a_word(read: Reader) -> None:
    assert all(str(standing) in read.text for standing in Standing)


@pytest.mark.parametrize("form", FORMATS)
def test_report_without_sections_can_be_read(form: str) -> None:
    assert "quiet" in render(EMPTY, form)  # type: ignore[arg-type]  # one of FORMATS


# --- Markdown ------------------------------------------------------------------------------------------------------


def test_markdown_is_free_of_markup_that_came_from_outside() -> None:
    text = re.sub(r"(?<!\\)`[^`\n]+`", "", render(FULL, "markdown"))  # what stands in a code span is no markup
    assert "alert" in text
    assert not re.search(r"(?<!\\)[<>]", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search("[\u202e\x1b\x00]", text)


LIVE = ("@team", "a@b.example", "see #12", "group!7", "https://evil.example/x", "WWW.evil.example", "GH-12", "`@a|b", "\\@a")


@pytest.mark.parametrize("text", LIVE)
def test_markdown_notifies_nobody_and_links_nowhere(text: str) -> None:
    drift = replace(
        DRIFT, says=f"Much on {text}.", todo=f"Look at {text}.", missing=(Missing(text, text, text),), plots=(Bars(text, {text: 0.5}),)
    )
    drift = replace(drift, tables=(Table(text, (Column(text),), ((text,),)),), figures=(Figure(text, 1.0),))
    page = render(replace(FULL, monitor=text, sections=(drift,)), "markdown") + render_ranking(
        [Line(text, MADE, 0.1, Standing.ACT, text, text)], "markdown", now=MADE
    )
    shown = re.sub(r"\]\([^)]*\)", "]", re.sub(r"(?<!\\)`[^`\n]+`", "", page))
    assert not re.search(r"@\w|#\d|!\d|://|www\.|gh-\d", shown, re.IGNORECASE)
    assert page.replace("\u2060", "").count(text.replace("\\", "\\\\").replace("`", "\\`").replace("|", "\\|")) >= 10


def test_an_id_can_be_copied_out_of_markdown() -> None:
    drift = replace(DRIFT, tables=(Table("Rows", (Column("row"),), (("ann@example.org#3",),)),))
    assert "| `ann@example.org#3` |" in render(replace(FULL, sections=(drift,)), "markdown")


def test_markdown_tables_are_whole() -> None:
    for table in _tables(render(FULL, "markdown")):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def _tables(text: str) -> Iterator[list[str]]:
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            yield lines


def test_what_can_not_be_told_is_named_with_its_remedy() -> None:
    for text in (render(FULL, "markdown"), Reader(render(FULL, "html")).text):
        assert "golden set" in text
        assert "driftgate dataset add --monitor chat --role golden --input FILE" in text


# --- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [FULL, EMPTY], ids=lambda report: report.monitor)
def test_json_is_what_the_api_describes(report: Report) -> None:
    document = json.loads(render(report, "json"))
    assert ReportView.model_validate(document).model_dump(mode="json") == document


def test_json_keeps_values_and_says_null_for_what_is_not_known() -> None:
    drift = json.loads(render(FULL, "json"))["sections"][0]
    assert [figure["value"] for figure in drift["figures"]] == [
        1.0,
        {"estimate": 0.12, "low": 0.1, "high": 0.15},
        None,
        {"estimate": 0.1, "low": None, "high": None},
    ]
    assert drift["tables"][0]["rows"][1] == [HOSTILE, None, None, 40_000, 0.5]
    assert drift["tables"][0]["rows"][0][2] == "2026-03-01T12:00:00Z"


# --- all monitors --------------------------------------------------------------------------------------------------


def test_monitors_are_ranked_by_what_needs_doing_first() -> None:
    calm, late = replace(FULL, monitor="calm", sections=FULL.sections[1:2]), replace(FULL, monitor="late", sections=FULL.sections[3:])
    unknown = replace(FULL, monitor="unknown", sections=FULL.sections[2:3])
    lines = ranked(map(line_of, (calm, EMPTY, late, unknown, FULL)))
    assert [line.monitor for line in lines] == ["chat", "late", "quiet", "unknown", "calm"]
    assert lines[1] == Line("late", MADE, 0.03, Standing.WATCH, "Performance", "Look at locale=de.")
    assert lines[-1].todo == "Nothing stands out."


def test_ranking_leads_to_the_pages_beside_it() -> None:
    lines = [line_of(FULL)]
    page = Reader(render_ranking(lines, "html", now=MADE))
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ["monitors/chat.html"]
    assert "](monitors/chat.md)" in render_ranking(lines, "markdown", now=MADE)
    assert json.loads(render_ranking(lines, "json", now=MADE))["monitors"][0]["urgency"] == 0.12


# --- numbers and plots ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "unit", "shown"),
    [
        (None, Unit.SHARE, "–"),
        (math.nan, Unit.PLAIN, "–"),
        (math.inf, Unit.COUNT, "–"),
        (0.123, Unit.SHARE, "12.3 %"),
        (12_345, Unit.COUNT, "12,345"),
        (90.0, Unit.SECONDS, "1.5 min"),
        (MADE, Unit.TIME, "2026-03-01 12:00:00Z"),
        (7.0, Unit.PLAIN, "7"),
        (0.01234, Unit.PLAIN, "0.0123"),
        ("two\nlines", Unit.SHARE, "two lines"),
        (Measured(0.12, 0.1, 0.15), Unit.SHARE, "12.0 % (10.0 to 15.0)"),
        (Measured(12.0, math.nan, math.nan), Unit.COUNT, "12"),
    ],
)
def test_cells_as_people_read_them(cell: str | float | Measured | None, unit: Unit, shown: str) -> None:
    assert written(cell, unit) == shown


numbers = st.floats(width=32)
names = st.text(max_size=40)
bars = st.builds(
    Bars, names, st.dictionaries(names, numbers | st.builds(Measured, numbers, numbers, numbers), max_size=5), st.sampled_from(Unit)
)
lines = st.builds(
    Lines,
    names,
    names,
    names,
    st.dictionaries(names, st.lists(st.tuples(numbers, numbers), max_size=4).map(tuple), max_size=6),
    st.booleans(),
)
matrices = st.integers(0, 4).flatmap(
    lambda n: st.builds(
        Matrix,
        names,
        st.tuples(*[names] * n),
        st.tuples(*[names] * n),
        st.tuples(*[st.tuples(*[st.integers(0, 10**9)] * n)] * n),
    )
)


@given(bars | lines | matrices)
def test_plots_draw_whatever_comes(drawn: Plot) -> None:
    picture = svg.plot(drawn)
    Reader(picture)
    places = re.findall(r' (?:d|x|y|cx|cy|width|height|viewBox)="([^"]*)"', picture)
    assert places
    assert not [place for place in places if re.search("nan|inf|e[+-]", place)]
