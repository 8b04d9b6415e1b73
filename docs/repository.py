"""What pages link to outside of docs/ is on the site too, so that links hold in both places: a hook of MkDocs (mkdocs.yml)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "repository"
LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?=[)#])")
LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".toml": "toml", ".sh": "sh"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file that a page leads to, and for those that such a page leads to."""
    waiting = [(file.src_uri, file.content_string) for file in files.documentation_pages()] + [("", _named(config))]
    while waiting:
        page, text = waiting.pop()
        for origin in _outside(text, _origin(page)):
            if files.get_file_from_path(_page(origin)) is None:
                shown = _shown(origin)
                files.append(File.generated(config, _page(origin), content=shown))
                waiting.append((_page(origin), shown))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads each link to the page that its file has on the site."""
    del config, files
    here, origin = page.file.src_uri, _origin(page.file.src_uri)

    def led(match: re.Match[str]) -> str:
        path = _joined(origin, match["path"])
        inside = path.removeprefix("docs/") if path.startswith("docs/") else _page(path)
        return posixpath.relpath(inside, posixpath.dirname(here)) if (ROOT / path).exists() else match[0]

    return LINK.sub(led, markdown)


def _named(config: MkDocsConfig) -> str:
    """What the navigation names of the repository, as links."""
    return " ".join(f"](../{path})" for path in re.findall(rf"'{FOLDER}/([^']+)'", repr(config.nav)))


def _outside(text: str, origin: str) -> Iterator[str]:
    found = (_joined(origin, match["path"]) for match in LINK.finditer(text))
    return (path for path in found if not path.startswith(("docs/", "..")) and (ROOT / path).exists())


def _joined(origin: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _page(origin: str) -> str:
    """Where the site has it."""
    if (ROOT / origin).is_dir():
        return f"{FOLDER}/{origin}/index.md"
    return f"{FOLDER}/{origin}" + ("" if origin.endswith(".md") else ".md")


def _origin(page: str) -> str:
    """Of a page of the site: its file in the repository."""
    if not page.startswith(f"{FOLDER}/"):
        return f"docs/{page or 'index.md'}"
    path = page.removeprefix(f"{FOLDER}/")
    return path if (ROOT / path).is_file() else path.removesuffix(".md")


def _shown(origin: str) -> str:
    path = ROOT / origin
    if path.is_dir():
        return "\n".join([f"# {origin}\n", *(f"- [{each.name}]({each.name})" for each in sorted(path.iterdir()))])
    text = path.read_text(encoding="utf-8")
    return text if origin.endswith(".md") else f"# {path.name}\n\n`{origin}`\n\n`````{LANGUAGES.get(path.suffix, 'text')}\n{text}`````\n"
