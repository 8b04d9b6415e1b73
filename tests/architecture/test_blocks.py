"""Every block of code on the pages is known for what it is, and checked as such."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES
from tests.architecture.blocks import ACTING, COMMANDS, GENERATED, PAGES, ROOT, Block, blocks, commands, every
from tests.architecture.test_commands import wrong
from tests.architecture.test_source import none

LANGUAGES = {*COMMANDS, "yaml", "json", "python", "pycon", "promql", "text"}
"""`text` is for drawings, output and formats: nothing is looked for in it. promql: test_alerts.py."""


def named(text: str) -> set[str]:
    return set(re.findall(r"\S+", text))


SHELL = named(
    ". cat cd cp date echo env export false grep head kill ls mkdir mv sed seq sha256sum sleep sort source tail tar test tr true wc"
)
TOOLS = named("amtool argo aws buildah docker git jq k6 kubectl openssl podman promtool redis-cli sqlite3 syft uv")
KAFKA = {f"kafka-{name}.sh" for name in ("acls", "configs", "console-producer", "consumer-groups", "topics")}
OWN = {"driftgate", "curl", "make", "python", "python3", "pip", "helm", ".ci/run"}
KNOWN = SHELL | TOOLS | KAFKA | OWN
"""Programs that commands may begin with; a new one is added here, with a check of its own where one can be had."""


def test_code_is_fenced_and_says_what_it_is() -> None:
    every_block = [block for page in PAGES for block in blocks(page)]
    none(f"{block}: indented; put it between fences that name a language" for block in every_block if block.indented)
    none(
        f"{block}: {block.language or 'no language'}; known are {sorted(LANGUAGES)}"
        for block in every_block
        if block.language not in LANGUAGES
    )
    kinds = Counter(block.language for block in every_block)
    assert min(kinds[kind] for kind in LANGUAGES) > 0, kinds
    assert kinds["sh"] > 250, kinds


def test_commands_are_run_or_the_page_says_why_not() -> None:
    none(f"{block}: neither `<!-- run -->` nor a note `*Checked by the tests, not run: …*`" for block in every(*ACTING) if not block.mark)


def test_no_command_hides_in_a_drawing() -> None:
    command = re.compile(rf"^(?:\$ )?(?:{'|'.join(re.escape(name) for name in KNOWN - SHELL)}) ", re.MULTILINE)
    none(f"{block}: {found[0]!r} is a command: sh" for block in every("text") if (found := command.search(block.text)))


def test_shell_is_shell() -> None:
    scripts = every(*COMMANDS)
    if refused("\n".join(block.script for block in scripts)):
        none(f"{block}: {why}" for block in scripts if (why := refused(block.script)))


def refused(script: str) -> str:
    """Why bash would not begin it."""
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr


def test_commands_begin_with_programs_that_are_known() -> None:
    none(
        f"{block}: {words[0]}"
        for block in every(*COMMANDS)
        for words in commands(block.script)
        if Path(words[0]).name not in KNOWN and words[0] not in KNOWN
    )


@cache
def typed(program: str) -> list[tuple[Block, list[str]]]:
    """(where, its arguments) of each command of a program."""
    return [
        (block, words[1:])
        for block in every(*COMMANDS)
        for words in commands(block.script)
        if words[0] == program or (Path(words[0]).name == program and "/" in words[0])
    ]


def test_driftgate_takes_what_is_typed() -> None:
    assert len(typed("driftgate")) > 200
    none(
        f"{block}: driftgate {shlex.join(words)}: {why}"
        for block, words in typed("driftgate")
        if (why := wrong(shlex.join(words)) if words != ["--version"] else "")
    )


def test_make_has_what_is_typed() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = [(block, word) for block, words in typed("make") for word in words if "=" not in word and not word.startswith("-")]
    assert len(asked) >= 5
    none(f"{block}: make {word}" for block, word in asked if word not in targets)


def test_benchmarks_that_are_typed_exist() -> None:
    asked = [(block, words[2:]) for name in ("python", "python3") for block, words in typed(name) if words[:2] == ["-m", "benchmarks"]]
    assert len(asked) >= 3
    none(f"{block}: {names}" for block, names in asked if not set(names) <= set(NAMES))


def test_extras_that_are_typed_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        (block, extra)
        for program in ("pip", "uv")
        for block, words in typed(program)
        for found in re.findall(r"\[([a-z0-9,]+)\]", shlex.join(words))
        for extra in found.split(",")
    ]
    asked += [(block, after) for block, words in typed("uv") for word, after in pairwise(words) if word == "--extra"]
    none(f"{block}: [{extra}]" for block, extra in asked if extra not in project["optional-dependencies"])


def test_python_compiles() -> None:
    for block in every("python"):
        compile(block.text, str(block), "exec", dont_inherit=True)


def test_sessions_are_examples_that_the_tests_of_the_library_run() -> None:
    assert {block.page.name for block in every("pycon")} <= GENERATED
    assert all(doctest.DocTestParser().get_examples(block.text) for block in every("pycon"))


def test_json_is_json() -> None:
    for block in every("json"):
        try:
            json.loads(block.text)
        except ValueError as error:
            pytest.fail(f"{block}: {error}")
