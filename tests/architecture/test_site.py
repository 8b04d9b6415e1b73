"""The documentation's site is whole, asks nobody else for anything, and reads as the pages do where the code lies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import markdown  # type: ignore[import-untyped] # comes without types
import pytest
import yaml
from markdown_it import MarkdownIt

from tests.architecture.blocks import PAGES, ROOT
from tests.architecture.test_source import none

pytestmark = pytest.mark.long

ASKED_OF_OTHERS = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc=["']?((?:https?:)?//[^"' >]+)|<link\b[^>]*\bhref=["']?((?:https?:)?//[^"' >]+)"""
)
SHAPES = ("pre", "table", "ul", "ol", "li", "h1", "h2", "h3", "blockquote")


class Loader(yaml.SafeLoader):
    """Of mkdocs.yml, whose functions are left alone."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--quiet", "--strict", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_every_page_is_there(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert {page.relative_to(ROOT / "docs") for page in PAGES if page.is_relative_to(ROOT / "docs")} <= built
    assert (site / "search/search_index.json").exists()


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    asked = [(page, "".join(found)) for page in pages for found in ASKED_OF_OTHERS.findall(page.read_text(encoding="utf-8"))]
    none(f"{page.relative_to(site)}: {address}" for page, address in asked)
    styles = [
        (sheet, found)
        for sheet in site.rglob("*.css")
        for found in re.findall(r"url\(['\"]?(?:https?:)?//[^)]+|@import[^;]+", sheet.read_text(encoding="utf-8"))
    ]
    none(f"{sheet.relative_to(site)}: {found}" for sheet, found in styles)


def test_pages_read_alike_on_the_site_and_where_the_code_lies() -> None:
    """Lists, tables and code are the same to both parsers: blank lines before lists, four spaces for what belongs to an item."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    extensions = [each for each in config["markdown_extensions"] if isinstance(each, str)]
    differ = [(page, there - here, here - there) for page in PAGES for there, here in [shapes(page, extensions)] if there != here]
    none(f"{page.relative_to(ROOT)}: {dict(more)} only where the code lies, {dict(fewer)} only on the site" for page, more, fewer in differ)


def shapes(page: Path, extensions: list[str]) -> tuple[Counter[str], Counter[str]]:
    text = page.read_text(encoding="utf-8")
    there = MarkdownIt("commonmark").enable("table").render(text)
    return counted(there), counted(markdown.markdown(text, extensions=extensions))


def counted(html: str) -> Counter[str]:
    """What a page is made of; paragraphs within lists a parser may leave out."""
    return Counter({name: len(re.findall(rf"<{name}[ >]", html)) for name in SHAPES})
