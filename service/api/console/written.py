"""Values as the console's templates write them: figures in their unit, times that machines can read, foreign text made harmless."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from service.moments import written
from service.report.rendering.prose import pieces
from service.screens.drawing import LATEST, NONE, count, excerpt, moment, percent, points, span
from service.screens.evidence import channel_words

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("drifting", "critical", "blind", "untimed", "stopped", "dead", "failed", "rejected", "refused", "act"), "act"),
    **dict.fromkeys(
        ("warning", "silent", "acknowledged", "paused", "waiting", "proposed", "advisory", "pending", "due", "watch", "no reference"),
        "watch",
    ),
    **dict.fromkeys(("watching", "resolved", "promoted", "delivered", "closed", "fine", "done", "yes", "true"), "fine"),
}
"""How a word is coloured; the colour repeats what the word says."""

_NOTHING, _CODE, _PLAIN = Markup("–"), Markup("<code>{}</code>"), Markup("{}")

_SIGNS = {"act": "!", "watch": "◐", "fine": "✓", "unknown": "·"}


def chip(word: object, kind: str = "") -> Markup:
    """A state as a small coloured word, with a sign so that colour is not all that tells."""
    kind = kind or KINDS.get(str(word), "act" if str(word) == "open" else "unknown")
    return Markup('<span class="chip {}"><span aria-hidden="true">{}</span> {}</span>').format(kind, _SIGNS[kind], str(word))


def at(seconds: float | None) -> Markup:
    """A moment, in UTC."""
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return _NOTHING
    inside = min(seconds, LATEST)
    return Markup('<time datetime="{}">{}</time>').format(written(inside, "seconds"), moment(inside))


def ago(seconds: float | None, now: float) -> Markup:
    """A moment by how long it is past, the moment itself to be pointed at."""
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return _NOTHING
    gone = now - min(seconds, LATEST)
    words = "just now" if abs(gone) < 1 else f"{span(gone)} ago" if gone > 0 else f"in {span(-gone)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        written(min(seconds, LATEST), "seconds"), moment(min(seconds, LATEST)), words
    )


def measured(value: Any, digits: int = 1) -> Markup:
    """An estimate with its interval, in percent; of a record or of a document."""
    if value is None:
        return _NOTHING
    estimate, low, high = (value[k] if isinstance(value, Mapping) else getattr(value, k) for k in ("estimate", "low", "high"))
    if not all(isinstance(each, (int, float)) and math.isfinite(each) for each in (estimate, low, high)):
        return _NOTHING
    beside = f"({100 * low:.{digits}f} to {100 * high:.{digits}f})"
    return Markup('{:.{}f} % <span class="interval">{}</span>').format(100 * estimate, digits, beside)


def foreign(text: object, limit: int = 200) -> Markup:
    """Other people's text: short, on one line, its direction kept to itself."""
    return Markup("<bdi>{}</bdi>").format(excerpt(str(text), limit))


def prose(text: object) -> Markup:
    """A sentence of ours, which may hold others' words: what stands between backticks is code."""
    shown = ((_CODE if code else _PLAIN).format(piece) for piece, code in pieces(str(text)))
    return Markup("").join(shown)


def short(id: str) -> str:
    """Enough of an id to tell it by."""
    return id[:12]


def figure(value: float | None, digits: int = 1) -> str:
    """A plain number."""
    return NONE if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def command(*words: str) -> str:
    """A command line that a person can copy: what a shell would read otherwise is quoted."""
    return " ".join(word if word.replace("-", "").replace("_", "").replace(".", "").isalnum() else _quoted(word) for word in words)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"


FILTERS: Mapping[str, Callable[..., object]] = {
    "chip": chip,
    "at": at,
    "ago": ago,
    "measured": measured,
    "foreign": foreign,
    "short": short,
    "figure": figure,
    "percent": percent,
    "prose": prose,
    "points": points,
    "count": count,
    "span": span,
    "shell": command,
    "channel": channel_words,
}
