"""What `driftgate train` and `driftgate refresh reproduce` show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns, count, excerpt, percent

_NAMED = 8


def run_screen(run: Mapping[str, Any]) -> RenderableType:
    """How the head did on rows it was trained on and on rows it had not seen, and by which recipe."""
    table = columns("rows", "count", "right", "right, fresh", "right, others", "broken", right=("count",))
    for name, figures in run["figures"].items():
        shares = (percent(figures.get(key)) for key in ("accuracy", "fresh_accuracy", "kept_accuracy", "negative_flips"))
        table.add_row({"train": "trained on", "validation": "held out"}[name], count(figures["rows"]), *shares)
    recipe, model = run["recipe"], run["model"]
    new, unmet = run["new_classes"], run["classes_without_rows"]
    lines = [
        Text(f"{recipe['head']} head of {len(run['classes'])} classes{_listed(', new: ', new)}", "bold"),
        Text(f"best of {len(run['tried'])} recipes: {_recipe(recipe)}, {run['epochs']} epochs"),
        Text(f"as ONNX within {model['largest_difference']:.1g} of torch's logits on {model['compared_rows']:,} rows"),
    ]
    if unmet:
        lines.append(Text(f"no row of {len(unmet)} classes{_listed(': ', unmet)}; nearness to the old head alone keeps them", "yellow"))
    return Group(*lines, table)


def reproduction_screen(found: Mapping[str, Any]) -> RenderableType:
    """Whether the same came out, and what explains it where not."""
    same, agree = found["same"], found["golden_agreement"]
    head = Text("reproduced" if same else "not reproduced", "bold green" if same else "bold red")
    if found["identical"]:
        return Group(head, Text("the same file, bit for bit: nothing is left to compare"), *_differing(found))
    labels = "no golden rows to compare on" if agree is None else f"{percent(agree)} of {found['golden_rows']:,} golden labels the same"
    verdict = {True: "the same verdict", False: "another verdict", None: "of the verdict nothing can be told"}[found["same_verdict"]]
    return Group(head, Text(f"another file; {labels}; {verdict}"), *_differing(found))


def _differing(found: Mapping[str, Any]) -> Iterator[Text]:
    return (Text(f"- {excerpt(why, 200)}", "yellow") for why in found["differences"])


def registered_lines(cycle: str, version: str) -> str:
    """What becomes of a model that was given to its cycle."""
    return f"\nregistered as version {version} with refresh cycle {cycle}, to be verified: `driftgate refresh show {cycle}`"


def _recipe(recipe: Mapping[str, Any]) -> str:
    told = ("distillation", "anchor", "emphasis", "caution")
    return ", ".join(f"{name} {recipe[name]:g}" for name in told)


def _listed(before: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return before + ", ".join(excerpt(name, 40) for name in names[:_NAMED]) + more
