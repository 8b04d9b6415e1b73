"""Images: measured before they are decoded, resized and normalised as declared."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.feeder import ROWS, Batch, row_runs, wrong_type
from service.adapters.onnx_embedder.graph import Graph, GraphInput
from service.errors import EmbedderError, InputError
from service.records import Payload
from service.settings import EmbedderSettings

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that Pillow decodes by itself; others start programs or are rarely tested."""

_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, struct.error, zlib.error)
"""What Pillow raises on damaged files."""


class ImageFeeder:
    """Encoded images to arrays in the layout of the graph."""

    def __init__(self, settings: EmbedderSettings, graph: Graph) -> None:
        self._pillow = _pillow()
        self._input = graph.only_input("image")
        self._channels = settings.image_channels
        self._channels_last, self._size = _layout(settings, graph, self._input)
        self._mean, self._std = _normalisation(settings, graph, self._input)
        self._rows = graph.rows(ROWS)
        self._max_pixels = settings.max_image_pixels

    @property
    def identity(self) -> Mapping[str, Any]:
        """Size, channels and normalisation."""
        return {"size": self._size, "channels": self._channels, "mean": self._mean.tolist(), "std": self._std.tolist()}

    def check(self, payload: Payload) -> None:
        """Reads the header alone: format and pixel count."""
        self._open(payload).close()

    def batches(self, payloads: Sequence[Payload]) -> Iterator[Batch]:
        """In the order given."""
        height, width = self._size
        for rows in row_runs(len(payloads), rows=self._rows, elements=height * width * self._channels):
            pixels: NDArray[Any] = np.stack([self._decode(payloads[row]) for row in rows])
            if len(self._mean):
                pixels = (pixels / np.float32(255) - self._mean) / self._std
            if not self._channels_last:
                pixels = pixels.transpose(0, 3, 1, 2)
            yield Batch(rows, {self._input.name: np.ascontiguousarray(pixels, self._input.dtype)})

    def probes(self) -> Sequence[Payload]:
        """Noise of several strengths around several greys."""
        rng = np.random.default_rng(0)
        greys, strengths = rng.uniform(0, 255, 16), np.geomspace(1, 128, 16)
        noise = rng.standard_normal((16, *self._size, self._channels))
        arrays = np.clip(noise * strengths[:, None, None, None] + greys[:, None, None, None], 0, 255).astype(np.uint8)
        return [self._encode(array) for array in arrays]

    def _encode(self, array: NDArray[np.uint8]) -> bytes:
        buffer = io.BytesIO()
        self._pillow.fromarray(array if self._channels == 3 else array[:, :, 0]).save(buffer, "PNG")
        return buffer.getvalue()

    def _open(self, payload: Payload) -> Image:
        if not isinstance(payload, bytes):
            raise wrong_type(payload, "image", "images")
        bombs = (self._pillow.DecompressionBombError, self._pillow.DecompressionBombWarning)
        try:
            image: Image = self._pillow.open(io.BytesIO(payload), formats=_FORMATS)
        except bombs as error:
            raise self._bomb(str(error)) from error
        except _BROKEN as error:
            raise InputError("image", f"image: {len(payload)} bytes that are none of {', '.join(_FORMATS)}") from error
        if image.width * image.height > self._max_pixels:
            raise self._bomb(f"{image.width}x{image.height} pixels")
        return image

    def _bomb(self, found: str) -> InputError:
        return InputError("image_bomb", f"image: {found}; at most {self._max_pixels} pixels (embedder.max_image_pixels)")

    def _decode(self, payload: Payload) -> NDArray[np.uint8]:
        """(height, width, channels) uint8."""
        height, width = self._size
        with self._open(payload) as image:
            try:
                pixels = image.convert("L" if self._channels == 1 else "RGB")
            except _BROKEN as error:
                raise InputError("image", f"image: damaged {image.format}: {error}") from error
            if pixels.size != (width, height):
                pixels = pixels.resize((width, height), self._pillow.Resampling.BILINEAR)
            return np.asarray(pixels, np.uint8).reshape(height, width, self._channels)


def _pillow() -> ModuleType:
    try:
        from PIL import Image  # noqa: PLC0415 - an extra: only image monitors need it
    except ImportError as error:
        raise EmbedderError("`input: image` needs Pillow: pip install 'driftgate[image]'") from error
    return Image


def _layout(settings: EmbedderSettings, graph: Graph, image: GraphInput) -> tuple[bool, tuple[int, int]]:
    """(channels last?, (height, width)): the graph's own where it fixes them."""
    if len(image.shape) != 4:
        raise EmbedderError(f"{graph.path}: `input: image` takes a model with a four-dimensional input, found {image}")
    channels_last = image.shape[1] != settings.image_channels and image.shape[3] is not None
    channels, height, width = (image.shape[i] for i in ((3, 1, 2) if channels_last else (1, 2, 3)))
    if channels not in {None, settings.image_channels}:
        raise EmbedderError(f"{graph.path}: the model takes {image}, but embedder.image_channels is {settings.image_channels}")
    asked = settings.image_size or (height, width)
    size = (height or asked[0], width or asked[1])
    if size[0] is None or size[1] is None:
        raise EmbedderError(f"{graph.path}: the model takes any image size ({image}); set embedder.image_size: [height, width]")
    if size != asked:
        raise EmbedderError(f"{graph.path}: the model takes {image}, but embedder.image_size is {list(asked)}; leave it out")
    return channels_last, (size[0], size[1])


def _normalisation(settings: EmbedderSettings, graph: Graph, image: GraphInput) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, std = np.array(settings.image_mean, np.float32), np.array(settings.image_std, np.float32)
    allowed = {(0, 0), (settings.image_channels, settings.image_channels)}
    if (len(mean), len(std)) not in allowed or not (std > 0).all():
        raise EmbedderError(
            f"embedder.image_mean {list(settings.image_mean)}, image_std {list(settings.image_std)}: "
            f"give {settings.image_channels} numbers each (std above 0), or neither for raw values"
        )
    if len(mean) and image.dtype.kind != "f":
        raise EmbedderError(f"{graph.path}: the model takes {image}, raw values; leave embedder.image_mean and image_std out")
    return mean, std
