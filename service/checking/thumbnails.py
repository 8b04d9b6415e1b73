"""Small grey pictures of encoded images, to lay over each other."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.copies import SIDE, Thumbnails
from service.errors import InputError
from service.records import Payload


class BrokenImageError(InputError):
    """An image that can't be decoded."""


def thumbnails(images: Sequence[bytes], *, progress: Callable[[float], None] = lambda _: None) -> Thumbnails:
    """(n, 28, 28) grey values, 0 to 1, whatever the shape of the image, NaN of one that can't be decoded; JPEG is decoded at a reduced
    size."""
    found = np.empty((len(images), SIDE, SIDE), np.float32)
    for i, content in enumerate(images):
        try:
            found[i] = _thumbnail(content)
        except BrokenImageError:
            found[i] = np.nan
        progress((i + 1) / len(images))
    return found


def readable(payload: Payload) -> None:
    """InputError about an image that can't be decoded; anything else is what it is."""
    if isinstance(payload, bytes):
        _thumbnail(payload)


def _thumbnail(content: bytes) -> NDArray[np.float32]:
    try:
        from PIL import Image  # noqa: PLC0415 - an extra: only image monitors need it
    except ImportError as error:
        raise InputError("image", "images need Pillow: install driftgate[image]") from error
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("L", (4 * SIDE, 4 * SIDE))
            grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenImageError("image", f"image of {len(content)} bytes that can't be decoded: {error}") from error
    return np.asarray(grey, np.float32) / np.float32(255)
