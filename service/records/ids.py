"""Ids that repeat when the step that makes them is repeated."""

from __future__ import annotations

import hashlib


def stable_id(*parts: object) -> str:
    """A hash of the parts, so that repeating a step repeats its id: 20 hex digits."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
