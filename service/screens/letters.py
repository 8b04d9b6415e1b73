"""Dead letters on a terminal. `read` makes what one holds legible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.console import Group, RenderableType
from rich.text import Text

from service.records import DeadLetter
from service.screens.drawing import NONE, excerpt, moment

Read: TypeAlias = Callable[[bytes], str]


def dead_letter_list(letters: Sequence[DeadLetter], *, read: Read, limit: int = 50) -> RenderableType:
    """Where each unusable item stood, why it was left out, what to do, and how it began."""
    if not letters:
        return Text("no dead letters")
    rest = [Text(f"… and {len(letters) - limit:,} more", "dim")] if len(letters) > limit else []
    return Group(*(_letter(letter, read) for letter in letters[:limit]), *rest)


def dead_letter_screen(letter: DeadLetter, *, read: Read) -> RenderableType:
    """One with its key, its headers and as much of what came as a screen bears: the record, where it is kept, or else the item."""
    original = letter.original
    key = [("key", original.key)] if original and original.key is not None else []
    told = [(name, content.decode("utf-8", "replace")) for name, content in (*key, *(original.headers if original else ()))]
    came = (original.value if original else None) or letter.rejected.original
    facts = [Text(f"{excerpt(name)}: {excerpt(content, 200)}", "dim") for name, content in told]
    return Group(_letter(letter, read), *facts, Text(f"\n{excerpt(read(came), 2_000)}"))


def _letter(letter: DeadLetter, read: Read) -> Text:
    found, partition = letter.rejected, letter.partition
    where = f"{excerpt(partition.topic)}, partition {partition.number}, offset {letter.offset}, item {found.index}"
    return Text.assemble(
        (excerpt(found.reason), "bold"),
        f"  {moment(letter.time)}  {excerpt(found.monitor or 'no monitor')}, {found.stage}\n  {where}\n  id {letter.id}",
        f"\n  {excerpt(found.message, 300)}",
        f"\n  it began with: {excerpt(read(found.original), 70) or NONE}",
    )
