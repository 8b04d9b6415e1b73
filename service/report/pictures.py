"""Small pictures of samples, for pages."""

from __future__ import annotations

import io

_SIDE = 96
"""Pixels of a picture's longer side."""
_MOST_PIXELS = 16_000_000
"""Of an image that is decoded for one: a small file may hold a picture that fills the memory."""


def small_png(content: bytes) -> bytes | None:
    """A PNG of an encoded image; None without Pillow, or where it can't be decoded, or is too large to be."""
    try:
        from PIL import Image  # noqa: PLC0415 - an extra: only image monitors need it
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # a JPEG is read that small at once
            if image.width * image.height > _MOST_PIXELS:
                return None
            small = image.convert("RGB")
            small.thumbnail((_SIDE, _SIDE))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    target = io.BytesIO()
    small.save(target, "PNG")
    return target.getvalue()
