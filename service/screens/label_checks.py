"""What `driftgate annotation doubts` and `driftgate dataset review` show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns, count, excerpt, percent

_ROWS = 50
_RIGHT = ("wrong", "answers", "accuracy", "gold")


def doubts_screen(document: Mapping[str, Any]) -> RenderableType:
    """`batch`, `answers`, `doubtful`, `doubts`, `annotators`, `told`: doubtful answers, who gave answers, and what came of it."""
    rows: Sequence[Mapping[str, Any]] = document["doubts"]
    table = columns("id", "answer", "wrong", "what speaks against it", "became", "text", right=_RIGHT)
    for one in rows[:_ROWS]:
        against = ", ".join(one["against"])
        named = (Text(excerpt(one[name] or "", 40)) for name in ("id", "label"))
        table.add_row(*named, percent(one["doubt"]), Text(against), Text(one["became"]), Text(excerpt(one["text"], 60)))
    more = f", {count(len(rows) - _ROWS)} more with --json" if len(rows) > _ROWS else ""
    head = f"batch {document['batch']}: {count(document['doubtful'])} of {count(document['answers'])} answers are in doubt{more}"
    parts: list[RenderableType] = [Text(head, "bold")]
    if rows:
        parts.append(table)
    if document["annotators"]:
        parts += [Text(), _people(document["annotators"])]
    return Group(*parts, *(Text(f"\n{line}") for line in document["told"]))


def _people(people: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = columns("annotator", "answers", "wrong", "accuracy", "gold", "", right=_RIGHT)
    for one in people:
        odd = "answers at random" if one["random"] else "always the same" if one["same"] else ""
        gold = f"{one['gold_right']} of {one['gold']}" if one["gold"] else ""
        name = Text(excerpt(one["name"] or "(no name)", 40))
        table.add_row(name, count(one["answers"]), percent(one["wrong"]), percent(one["accuracy"]), gold, Text(odd, "red"))
    return table


def published_screen(document: Mapping[str, Any]) -> RenderableType:
    """`role`, `version`, `corrections`, `reviewed`, `useless`, `spent`: what a review came to."""
    table = columns("id", "before", "after", "by")
    for one in document["corrections"][:_ROWS]:
        table.add_row(*(Text(excerpt(one[name], 40)) for name in ("id", "before", "after", "by")))
    changed = len(document["corrections"])
    head = f"{document['role']} set {document['version']}: {count(changed)} of {count(document['reviewed'])} labels corrected"
    parts: list[RenderableType] = [Text(head if changed else f"no label of the {document['role']} set had to be corrected", "bold")]
    if changed:
        parts.append(table)
    if document["useless"]:
        listed = ", ".join(excerpt(name, 40) for name in document["useless"][:5])
        parts.append(
            Text(f"\n{count(len(document['useless']))} rows are of no class, say the reviewers, such as {listed}: remove them?", "yellow")
        )
    looked = "counts as a look at golden's {} part: the next verification on it allows fewer flips"
    return Group(*parts, *(Text("\n" + looked.format(part), "yellow") for part in document["spent"]))
