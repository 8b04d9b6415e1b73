"""Sentences of a section in pieces: what stands between backticks is code, everything else is text that may be other people's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.report.parts import Report, Standing, Unit
from service.report.rendering.written import written
from service.screens.drawing import excerpt

_CODE = re.compile(r"`([^`]+)`")
_LONGEST = 600
_COMMAND = "driftgate "


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """(text, whether it is code), on one line. What is nothing but a command is code too."""
    clean = excerpt(text, _LONGEST)
    if clean.startswith(_COMMAND) and "`" not in clean:
        clean = f"`{clean}`"
    for at, piece in enumerate(_CODE.split(clean)):
        if piece:
            yield piece, at % 2 == 1


def origin(report: Report) -> str:
    """When a report was made, and from what."""
    read = "; ".join(f"{name} {what}" for name, what in report.versions.items())
    return f"Made {written(report.made, Unit.TIME)}" + (f" from {read}." if read else " without a reference.")


def nothing_asked(report: Report) -> str:
    """In place of what to do first: that nothing is known is no reason to be calm."""
    unknown = [section.title.lower() for section in report.sections if section.standing is Standing.UNKNOWN]
    return f"Nothing, as far as is known. Not known: {', '.join(unknown)}." if unknown else "Nothing has to be done."


def left_out(count: int) -> str:
    """Of rows that a table has no room for."""
    return f"… and {count:,} more" if count else ""
