"""House rules that no linter knows, checked on the project's own syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeAlias, TypeGuard

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """A source file with its syntax tree."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def calls(self) -> list[tuple[ast.Call, str]]:
        return [(node, dotted(node.func)) for node in self.nodes if isinstance(node, ast.Call)]

    def functions(self) -> Iterator[Function]:
        return (node for node in self.nodes if isinstance(node, FUNCTION))

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))


def dotted(node: ast.expr) -> str:
    """What is called, as it is written: `np.load`; what is no name shows as a dot."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}"
    return ""


@cache
def module(path: Path) -> Module:
    """Parsed once, whoever asks."""
    return Module(path)


def modules(*packages: str) -> list[Module]:
    return [module(path) for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


SHIPPED = modules("service", "detectors")
EVERYTHING = modules("service", "detectors", "tests", "benchmarks", "docs")


def none(offending: Iterable[str]) -> None:
    """Fails with one line per finding."""
    found = list(offending)
    assert not found, "\n" + "\n".join(found)


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


# --- layout and size -------------------------------------------------------------------------------------------------


def test_top_level_holds_what_the_design_names() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    folders = {name.split("/")[0] for name in listed.stdout.split("\0") if "/" in name}
    assert folders <= {".ci", "benchmarks", "deploy", "detectors", "docs", "helm", "service", "tests"}


def test_modules_are_short() -> None:
    none(f"{m}: {len(m.text.splitlines())} lines" for m in SHIPPED if len(m.text.splitlines()) > 400)


def test_classes_are_short() -> None:
    none(f"{m}: {c.name}: {lines(c)}" for m in SHIPPED for c in m.classes() if lines(c) > 200)


def test_functions_are_short() -> None:
    sizes = [lines(function) for module in SHIPPED for function in module.functions()]
    longest = sorted(((lines(f), f"{m}:{f.lineno} {f.name}") for m in SHIPPED for f in m.functions()), reverse=True)[:5]
    assert np.percentile(sizes, 95) <= 30, longest
    assert max(sizes) <= 60, longest


BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def depth(node: ast.AST, chained: bool = False) -> int:
    """Nested blocks; an `elif` stands at the depth of its `if`, a function inside a function starts anew."""
    below = 0
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*FUNCTION, ast.ClassDef)):
            follows = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
            below = max(below, depth(child, follows))
    return below + (isinstance(node, BLOCKS) and not chained)


def test_nesting_is_shallow() -> None:
    none(f"{m}:{f.lineno} {f.name}" for m in SHIPPED for f in m.functions() if depth(f) > 3)


# --- words -----------------------------------------------------------------------------------------------------------

FORBIDDEN = {"manager", "helper", "helpers", "util", "utils", "processor", "handler", "data", "info", "baseline", "current"}


def named(module: Module) -> Iterator[tuple[int, str]]:
    """Every name that readers meet away from where it is given: all but local variables, which may repeat a library's own word."""
    yield 1, module.path.stem
    for node in module.nodes:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for statement in node.body:
                yield from ((n.lineno, n.id) for n in ast.walk(statement) if is_field(n, statement))


def is_field(node: ast.AST, statement: ast.stmt) -> TypeGuard[ast.Name]:
    return isinstance(statement, (ast.Assign, ast.AnnAssign)) and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


WIRE = {
    "service/api/console/frame.py": "get_route_handler",
    "service/api/schemas.py": "data",
    "service/decoding/cloud_events.py": "read_data",
    "service/report/data_quality.py": "data_quality",
}
"""Words of the formats, which others chose."""


def words(name: str) -> set[str]:
    """In lower case; *data set* is one word."""
    name = re.sub(r"([Dd])ata_?[Ss]et", r"\1ataset", name)
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


@pytest.mark.parametrize(
    ("name", "parts"), [("HTTPRouteTable", {"http", "route", "table"}), ("max_items", {"max", "items"}), ("DataSets", {"datasets"})]
)
def test_words_of_a_name(name: str, parts: set[str]) -> None:
    assert words(name) == parts


def test_names_say_what_things_are() -> None:
    names = [(m, line, name) for m in SHIPPED for line, name in named(m) if WIRE.get(str(m)) != name]
    none(f"{m}:{line} {name}" for m, line, name in names if words(name) & FORBIDDEN or name in {"score", "scores"})


def test_modules_do_not_shadow_libraries() -> None:
    taken = sys.stdlib_module_names | {"numpy", "scipy", "redis", "kafka", "prometheus", "onnx"}
    none(str(m) for m in SHIPPED if m.path.stem in taken and m.path.parent.name in {"service", "detectors", "adapters"})


def undocumented(module: Module) -> Iterator[str]:
    if module.text.strip() and not ast.get_docstring(module.tree):
        yield str(module)
    for node in module.tree.body:
        if not isinstance(node, (*FUNCTION, ast.ClassDef)) or node.name.startswith("_"):
            continue
        values_only = isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Enum") for base in node.bases)
        if not values_only and not ast.get_docstring(node):
            yield f"{module}:{node.lineno} {node.name}"


def test_public_names_are_documented() -> None:
    """Of enumerations the values say it all."""
    none(line for module in SHIPPED for line in undocumented(module))


# --- what may not be called or imported ------------------------------------------------------------------------------


def imported(module: Module) -> Iterator[str]:
    """Top-level packages imported anywhere in the module, inside functions too."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_nothing_read_from_disk_or_network_can_run_code() -> None:
    loaders = re.compile(r"^\s*(?:import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|marshal|shelve)\b", re.MULTILINE)
    none(f"{m}: {found[1]}" for m in EVERYTHING for found in loaders.finditer(m.text))
    runs_code = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load"}
    none(f"{m}:{call.lineno} {name}" for m in SHIPPED for call, name in m.calls if name in runs_code)
    pickled = [
        f"{m}:{c.lineno}"
        for m in SHIPPED
        for c, _ in m.calls
        for k in c.keywords
        if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"
    ]
    none(pickled)


def test_nothing_prints() -> None:
    none(f"{m}:{call.lineno}" for m in SHIPPED for call, name in m.calls if name in {"print", "pprint"})


def swallows_everything(node: ast.AST) -> bool:
    broad = isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    return broad and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))


def test_few_broad_excepts() -> None:
    """An error that nobody named is caught around a step that is tried again, and around a section of a report, for the others' sake."""
    broad = [str(m) for m in SHIPPED for n in m.nodes if swallows_everything(n)]
    assert broad == ["service/patience.py", "service/report/making.py"]


DETECTORS_MAY_IMPORT = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "dataclasses",
    "detectors",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "numpy",
    "scipy",
    "struct",
    "typing",
}


def test_detectors_are_numpy_and_scipy_only() -> None:
    """No input or output, no clock, no service: nothing in this list can reach a file, the network or the time."""
    none(f"{m}: {name}" for m in modules("detectors") for name in imported(m) if name not in DETECTORS_MAY_IMPORT)


def test_detectors_touch_no_file_and_no_global_randomness() -> None:
    outside = re.compile(
        r"open|input|(np|numpy)\.(load|save|savez|savez_compressed|loadtxt|savetxt|fromfile|memmap|genfromtxt)|(np|numpy)\.random\.(?!Generator|default_rng|SeedSequence)\w+"
    )
    none(f"{m}:{call.lineno} {name}" for m in modules("detectors") for call, name in m.calls if outside.fullmatch(name))


def test_time_and_chance_are_parameters() -> None:
    """`now` and `rng` are given: only the outermost parts ask the clock."""
    asked = {"time.time", "datetime.now", "datetime.datetime.now", "datetime.utcnow", "random.random", "np.random.seed"}
    outermost = ("service/cli", "service/app", "service/api", "service/adapters", "service/demo")
    none(f"{m}:{call.lineno} {name}" for m in SHIPPED for call, name in m.calls if name in asked and not str(m).startswith(outermost))
