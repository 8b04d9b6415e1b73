"""Where a value stands in a JSON document: the part of JSONPath (RFC 9535) that names exactly one place.

`$`, then names as `.name` or `['any name']` and positions as `[0]`. Wildcards, slices, filters and `..`, which may find several
values or take long, are refused when the configuration is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

_STEP = re.compile(
    r"\.(?P<name>[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)"
    r"|\[(?P<index>0|[1-9][0-9]{0,8})\]"
    r"|\['(?P<single>(?:[^'\\\x00-\x1f]|\\['\\])+)'\]"
    r'|\["(?P<double>(?:[^"\\\x00-\x1f]|\\["\\])+)"\]'
)
_ESCAPED = re.compile(r"\\(.)")
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path, read once."""

    text: str
    steps: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError says what is wrong and what is taken."""
        if not text.startswith("$") or len(text) > _LONGEST:
            raise ValueError(f"{text!r:.80} is no JSONPath: it begins with $, like $.message.body, and has at most {_LONGEST} characters")
        steps, at = list[str | int](), 1
        while at < len(text):
            found = _STEP.match(text, at)
            if found is None:
                raise ValueError(f"{text!r:.80}: {text[at:]!r:.40} is not taken; a path is made of .name, ['name'] and [0]")
            steps.append(_step(found))
            at = found.end()
        return cls(text, tuple(steps))

    def find(self, document: Any) -> Any:
        """The value, or None where there is none."""
        for step in self.steps:
            if isinstance(step, str):
                document = document.get(step) if isinstance(document, dict) else None
            else:
                document = document[step] if isinstance(document, list) and step < len(document) else None
        return document


def _step(found: re.Match[str]) -> str | int:
    if found["index"] is not None:
        return int(found["index"])
    return found["name"] or _ESCAPED.sub(r"\1", found["single"] or found["double"])
