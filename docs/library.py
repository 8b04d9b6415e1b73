"""Writes docs/library.md from the docstrings of `detectors`: `python docs/library.py` (a test keeps the two in step)."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

PAGE, MODULES = Path(__file__).with_suffix(".md"), Path(__file__).with_name("library-modules.md")
PACKAGE = Path(__file__).resolve().parents[1] / "detectors"
WIDTH = 100

OF_PACKAGE = """\
# The library

<!-- Written by docs/library.py from the docstrings of detectors; edit those. -->

`detectors` is the numerical half of driftgate, usable alone: numpy and scipy in, numbers out; no files, no clock, no service. Rows are
float32 arrays of shape (n, d); `rng` and `seed` make every result repeatable. [How detection works](detection.md) tells of the method.

Here is what the package offers by its own name; [the modules](library-modules.md) have the rest.

*Checked by the tests, not run: signatures. The examples are run where they stand in the code, with `np` for numpy.*
"""
OF_MODULES = """\
# The library's modules

<!-- Written by docs/library.py from the docstrings of detectors; edit those. -->

Module by module what [the library](library.md) is made of: each part is usable alone.

*Checked by the tests, not run: signatures. The examples are run where they stand in the code, with `np` for numpy.*
"""


def render() -> dict[Path, str]:
    """Both pages: what the package offers by its own name, and every module."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    package = trees.pop(PACKAGE / "__init__.py")
    own = {name.name for node in package.body if isinstance(node, ast.ImportFrom) for name in node.names}
    named, rest = dict[str, ast.ClassDef | ast.FunctionDef](), [OF_MODULES]
    for path, tree in trees.items():
        offered = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and _public(node.name)]
        named |= {node.name: node for node in offered if node.name in own}
        rest += _module(path, tree, [node for node in offered if node.name not in own])
    order = sorted(named.values(), key=lambda node: (node.name != "DriftScan", node.name.lower()))
    first = [OF_PACKAGE, *_told(package), *(part for node in order for part in _described(node, level="##"))]
    return {PAGE: "\n".join(first), MODULES: "\n".join(rest)}


def _module(path: Path, tree: ast.Module, offered: list[ast.ClassDef | ast.FunctionDef]) -> Iterator[str]:
    if offered or path.name == "__init__.py":
        yield f"## {'.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts).removesuffix('.__init__')}\n"
        yield from _told(tree)
    for node in offered:
        yield from _described(node, level="###")


def _described(node: ast.ClassDef | ast.FunctionDef, level: str) -> Iterator[str]:
    yield f"{level} {node.name}\n"
    if isinstance(node, ast.ClassDef):
        yield from _class(node, level + "#")
    else:
        yield from _function(node)


def _class(node: ast.ClassDef, level: str) -> Iterator[str]:
    start = next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
    if start is not None:
        yield f"```python\n{_call(start)}\n```\n"
    yield from _told(node)
    fields = list(_fields(node))
    if fields:
        yield "| field | type | |\n|---|---|---|"
        yield from (f"| `{name}` | `{kind}` | {meaning} |" for name, kind, meaning in fields)
        yield ""
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and _public(each.name):
            yield f"{level} {node.name}.{each.name}\n"
            yield from _function(each)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """Of a record: name, type and what stands below it."""
    for each, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and _public(each.target.id):
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield each.target.id, _escaped(ast.unparse(each.annotation)), _escaped(" ".join(str(said).split()))


def _function(node: ast.FunctionDef) -> Iterator[str]:
    marks = {ast.unparse(each) for each in node.decorator_list}
    if marks & {"property", "cached_property"}:
        yield f"`{ast.unparse(node.returns)}`\n" if node.returns else ""
    else:
        yield f"```python\n{_call(node)}\n```\n"
    yield from _told(node)


def _call(node: ast.FunctionDef) -> str:
    """Without `self`; one parameter a line where one line is too short."""
    words = [_argument(each, default) for each, default in _positional(node.args)]
    if node.args.vararg:
        words.append(f"*{node.args.vararg.arg}")
    elif node.args.kwonlyargs:
        words.append("*")
    words += [_argument(each, default) for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    back = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    line = f"def {node.name}({', '.join(words)}){back}: ..."
    return line if len(line) <= WIDTH else f"def {node.name}(\n" + "".join(f"    {word},\n" for word in words) + f"){back}: ..."


def _positional(given: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    every = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(every) - len(given.defaults)) + list(given.defaults)
    return ((each, default) for each, default in zip(every, defaults, strict=True) if each.arg not in ("self", "cls"))


def _argument(given: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(given.annotation)}" if given.annotation else ""
    return f"{given.arg}{kind}" + (f" = {ast.unparse(default)}" if default is not None else "")


def _told(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    """A docstring in numpy's form as Markdown: sections are words in bold, formulae and examples stand as they are."""
    text = ast.get_docstring(node)
    if not text:
        return
    parts = re.split(r"^([A-Z][a-z]+)\n-{3,}\n", inspect.cleandoc(text) + "\n", flags=re.MULTILINE)
    yield from _blocks(parts[0])
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        yield f"**{title}**\n"
        yield from _defined(body) if title in ("Parameters", "Attributes", "Returns") else _blocks(body)


def _defined(body: str) -> Iterator[str]:
    """`name` on a line of its own, what it means indented below: a list."""
    entries = re.split(r"\n(?=\S)", body.strip())
    for entry in entries:
        name, _, meaning = entry.partition("\n")
        yield f"- `{name.strip()}`: {' '.join(meaning.split())}" if meaning else f"- {name}"
    yield ""


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs; what is indented below one is a formula, what begins with >>> an example."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.lstrip().startswith(">>>"):
            yield f"```pycon\n{inspect.cleandoc(block)}\n```\n"
        elif block.startswith(" "):
            yield f"```text\n{inspect.cleandoc(block)}\n```\n"
        elif block.strip():
            yield block.strip() + "\n"


def _public(name: str) -> bool:
    return not name.startswith("_")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for page, text in render().items():
        page.write_text(text, encoding="utf-8")
