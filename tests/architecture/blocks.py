"""The code on the documentation's pages: what it is, whether it is run, and which commands stand in it.

Every block is fenced and names its language. The comment `<!-- run -->` says that what follows is run, the note `*Checked by the tests,
not run: WHY.*` that it is not; each holds for the rest of its section and the sections below, and the nearest to a block counts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "helm/driftgate/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {f"{name}.md" for name in ("cli", "http-api", "http-schemas", "library", "library-modules", "configuration", "metrics")}
RUN = "<!-- run -->"
NOTE = re.compile(r"\*Checked by the tests, not run: (?P<why>[^*]+)\.\*")
COMMANDS = ("sh", "console")
ACTING = (*COMMANDS, "python")
"""What is run, or says why not."""


@dataclass(frozen=True, slots=True)
class Block:
    """Code of a page. `mark`: "run", why it is not run, or "" where the page does not say; `indented`: without a fence."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    mark: str
    indented: bool = False

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether the page says that it is run."""
        return self.mark == "run"

    @property
    def script(self) -> str:
        """What a shell would be given: of a console what stands behind its prompts."""
        if self.language == "console":
            return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith(("$ ", "> ")))
        return self.text


@cache
def tokens(page: Path) -> list[Token]:
    """A page as GitHub reads it; within paragraphs nothing is looked for."""
    return MarkdownIt("commonmark").enable("table").disable("inline").parse(page.read_text(encoding="utf-8"))


@cache
def blocks(page: Path) -> list[Block]:
    """In order."""
    found, marks = [], {0: ""}
    level = 0
    for token in tokens(page):
        if token.type == "heading_open":
            level = int(token.tag[1])
            marks = {depth: mark for depth, mark in marks.items() if depth < level}
        elif token.type in ("fence", "code_block"):
            found.append(_block(page, token, marks[max(marks)]))
        elif mark := _mark(token):
            marks[level] = mark
    return found


def _mark(token: Token) -> str:
    text = token.content.strip()
    if token.type == "html_block" and text == RUN:
        return "run"
    note = NOTE.fullmatch(text) if token.type == "inline" else None
    return note["why"] if note else ""


def _block(page: Path, token: Token, mark: str) -> Block:
    language, _, rest = token.info.strip().partition(" ")
    title = re.search(r'title="([^"]+)"', rest)
    line = token.map[0] + 1 if token.map else 0
    return Block(page, line, language, title[1] if title else "", token.content, mark, token.type == "code_block")


def every(*languages: str) -> list[Block]:
    """Of all pages, of some languages."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


# --- commands of a shell ---------------------------------------------------------------------------------------------

PART = re.compile(
    r"""(?P<space>[ \t]+|\\\n)
    | (?P<comment>\#[^\n]*)
    | (?P<redirect>\d?(?:<<<|>>|>&|<|>)\d?)
    | (?P<end>&&|\|\||;;|[;|&\n()])
    | (?P<word>(?:'[^']*' | "(?:\\.|[^"\\])*" | \\. | \$\([^()]*\) | \$\{[^}]*\} | [^\s'"\\;|&()<>] )+)""",
    re.VERBOSE | re.DOTALL,
)
HERE = re.compile(r"<<-?\s*'?(\w+)'?([^\n]*)\n.*?^\1$", re.DOTALL | re.MULTILINE)
KEYWORDS = {"for", "while", "until", "do", "done", "if", "then", "else", "elif", "fi", "!", "time", "sudo", "exec", "nohup", "{", "}"}
LOOPS = {"for", "case"}


def commands(script: str) -> Iterator[list[str]]:
    """Each command of a script in its words, those within `$(…)` too; variables set before one, redirections and keywords left out."""
    words: list[str] = []
    after = ""
    for kind, text in [*_parts(HERE.sub(r"\2", script)), ("end", "\n")]:
        if kind == "word" and after != "redirect":
            words.append(text)
            for inner in re.findall(r"\$\(([^()]*)\)", text):
                yield from commands(inner)
        elif kind == "end":
            if said := _said(words):
                yield said
            words = []
        after = kind if kind != "space" else after
    assert not words


def _parts(script: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(script):
        found = PART.match(script, place)
        if found is None:
            raise ValueError(f"no shell: {script[place : place + 40]!r}")
        yield str(found.lastgroup), found[0]
        place = found.end()


def _said(words: Sequence[str]) -> list[str]:
    """The command itself, unquoted."""
    rest = list(words)
    while rest and (rest[0] in KEYWORDS or re.match(r"\w+=", rest[0])):
        if rest.pop(0) in LOOPS:
            return []
    return [part for word in rest for part in (shlex.split(word) or [""])]
