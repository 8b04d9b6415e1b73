"""What the rows of a set are by themselves: there at all, once, legible, and written or exposed as training's are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from service.checking.findings import EXAMPLES, Check
from service.checking.likeness import Likeness
from service.checking.sets import Rows
from service.quality import LOOK, ImageGauge, learn, surface
from service.records import Payload

_DRAWN, _IMAGES = 20_000, 3_000
"""Rows that a profile is made of; of images fewer, as each is decoded."""
_FEWEST, _OUTER = 100, 0.01
"""Rows that a profile needs; and its share beyond either end, by definition of the ends."""
_SPELLING, _NOTHING_DIFFERS = "spelling", "2 % are where nothing differs"
_FLAT = 0.01
"""Deviation of the grey values of an image that shows nothing."""

_MOJIBAKE = re.compile("\ufffd|[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\u00ef\u00bb\u00bf|\u00d0[\u0080-\u00bf]\u00d1")
"""What text becomes that was written in one encoding and read in another."""


def content_checks(rows: Rows, likeness: Likeness) -> Iterator[Check]:
    """What is missing, repeated or illegible."""
    yield from _missing(rows)
    if not len(rows):
        return
    yield from _repeated(rows, likeness)
    blank = [i for i, sample in enumerate(rows.samples) if _is_blank(sample.payload)] if rows.content != "image" else _blank_images(rows)
    yield _share("blank", rows, blank, "hold nothing")
    if rows.content == "text":
        yield _share(
            "garbled", rows, [i for i, text in enumerate(rows.texts) if is_garbled(text)], "hold control or replacement characters"
        )


def is_garbled(text: str) -> bool:
    """Whether it was read in the wrong encoding, or holds what no keyboard writes.

    Examples
    --------
    >>> [is_garbled(text) for text in ("Straße", "StraÃ\\x9fe", "caf\\ufffd", "tab\\there")]
    [False, True, True, False]
    """
    if text.isascii() and text.isprintable():
        return False
    return bool(_MOJIBAKE.search(text)) or any(unicodedata.category(letter) == "Cc" and not letter.isspace() for letter in text)


def profile_checks(rows: Rows, training: Rows) -> Iterator[Check]:
    """How a set is written or exposed, held against training: the share of it beyond the middle 98 % of each measure."""
    about = f"{rows.name} against {training.name}"
    if rows.content != training.content or rows.content == "vector":
        return
    ours, theirs = _drawn(training), _drawn(rows)
    if min(len(ours), len(theirs)) < _FEWEST:
        yield Check("unlike", about, None, f"needs {_FEWEST} rows in both sets, found {len(theirs)} and {len(ours)}")
        return
    yield from _unlike(about, ours, theirs)
    if rows.content == "text":
        yield _scripts(about, [p for p in ours if isinstance(p, str)], [p for p in theirs if isinstance(p, str)])


def _missing(rows: Rows) -> Iterator[Check]:
    lines = len(rows) + rows.unread
    yield Check("empty", rows.name, float(not len(rows)), f"{len(rows):,} rows")
    said = f"{rows.unread:,} of {lines:,} lines" if rows.unread else "none"
    yield Check("unreadable", rows.name, rows.unread / max(lines, 1), said, rows.refused[:EXAMPLES])
    if not len(rows):
        return
    if rows.judged:
        yield _share("unlabelled", rows, [i for i, label in enumerate(rows.labels) if not label], "have no label")
    timeless = [i for i in range(len(rows)) if not rows.known_time(i)]
    yield _share("untimed", rows, timeless if len(timeless) < len(rows) else [], "have no time, others do")
    tags = Counter(tag for sample in rows.samples for tag in sample.segments)
    for tag in sorted(tags):
        without = [i for i, sample in enumerate(rows.samples) if tag not in sample.segments]
        yield _share("untagged", rows, without, f"have no tag {tag}")


def _repeated(rows: Rows, likeness: Likeness) -> Iterator[Check]:
    yield _share("repeated_ids", rows, _again([sample.id for sample in rows.samples]), "repeat the id of an earlier row")
    yield _share("repeated", rows, _again(rows.contents), "repeat the content of an earlier row")
    twins = likeness.twins(rows)
    if twins is not None and len(twins.drawn):
        pairs = [(a, b) for a, b in zip(twins.drawn.tolist(), twins.row.tolist(), strict=True) if b >= 0]
        shown = tuple(f"{rows.samples[a].id}, {rows.samples[b].id}" for a, b in pairs[:EXAMPLES])
        said = f"{len(pairs):,} of {len(twins.drawn):,} rows drawn are nearly the same as another one"
        yield Check("near_repeated", rows.name, len(pairs) / len(twins.drawn), said, shown)
    else:
        yield Check("near_repeated", rows.name, None, "needs 20 texts or images that differ")


def _again(values: Sequence[str]) -> list[int]:
    seen: set[str] = set()
    again = []
    for i, value in enumerate(values):
        if value in seen:
            again.append(i)
        seen.add(value)
    return again


def _share(kind: str, rows: Rows, at: Sequence[int], what: str) -> Check:
    said = f"{len(at):,} of {len(rows):,} {what}" if at else f"none of {len(rows):,} {what}"
    return Check(kind, rows.name, len(at) / len(rows), said, tuple(rows.samples[i].id for i in at[:EXAMPLES]))


def _is_blank(payload: Payload) -> bool:
    if isinstance(payload, str):
        return not any(letter.isalnum() for letter in payload) and not any(unicodedata.category(letter) == "So" for letter in payload)
    return isinstance(payload, np.ndarray) and not payload.any()


def _blank_images(rows: Rows) -> list[int]:
    contrast = ImageGauge().measure(rows.images)[:, ImageGauge.names.index("contrast")]
    return np.flatnonzero(contrast < _FLAT).tolist()


def _drawn(rows: Rows) -> list[Payload]:
    most = _IMAGES if rows.content == "image" else _DRAWN
    at = evenly(len(rows), most)
    return [rows.samples[i].payload for i in at]


def _unlike(about: str, ours: Sequence[Payload], theirs: Sequence[Payload]) -> Iterator[Check]:
    """Spelling by itself: it is what another language differs in most, and asks for something else."""
    gauge, own = learn([payload[:LOOK] if isinstance(payload, str) else "" for payload in ours], surface(ours))
    if gauge is None or own is None:
        yield Check("unlike", about, None, "there is nothing to measure")
        return
    outside = dict(zip(gauge.names, _outside(own, gauge.measure(theirs)).tolist(), strict=True))
    spelling = outside.pop(_SPELLING, None)
    parts = ", ".join(f"{name} {share:.0%}" for name, share in outside.items())
    worst = max(outside, key=lambda name: outside[name])
    yield Check("unlike", about, outside[worst], f"beyond the middle 98 % of training: {parts}; {_NOTHING_DIFFERS}", (worst,))
    if spelling is not None:
        yield Check("language", about, spelling, f"{spelling:.0%} are spelt beyond the middle 98 % of training; {_NOTHING_DIFFERS}")


def _outside(own: NDArray[np.float32], measured: NDArray[np.float32]) -> NDArray[np.float64]:
    """(Q,) the share of rows beyond the middle 98 % of the others."""
    low, high = np.nanquantile(own, [_OUTER, 1 - _OUTER], axis=0)
    return np.asarray(((measured < low) | (measured > high)).mean(0), np.float64)


def _scripts(about: str, ours: Sequence[str], theirs: Sequence[str]) -> Check:
    before, now = _script_shares(ours), _script_shares(theirs)
    names = sorted(before | now, key=lambda name: before.get(name, 0.0) - now.get(name, 0.0))
    moved = sum(max(now.get(name, 0.0) - before.get(name, 0.0), 0.0) for name in names)
    parts = "; ".join(f"{name} {now.get(name, 0.0):.0%} against {before.get(name, 0.0):.0%}" for name in names[:3])
    return Check("scripts", about, moved, parts or "no letters", tuple(names[:1]) if moved else ())


def _script_shares(texts: Sequence[str]) -> dict[str, float]:
    """Of all letters, by the alphabet that Unicode names them after."""
    letters = Counter(letter for text in texts for letter in text[:LOOK] if letter.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[_script(letter)] += count
    total = max(scripts.total(), 1)
    return {name: count / total for name, count in scripts.items()}


@lru_cache(10_000)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0].lower()
