"""Images through small ONNX models that hand the pixels back, so that every number can be checked."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.adapters.onnx_embedder import load_embedder
from service.errors import EmbedderError, InputError
from service.ports import Embedder
from service.settings import EmbedderSettings

PIXELS = "wide = Cast<to = 1>(image) embedding = Flatten(wide)"

MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    def make(image: str = "uint8[N, 3, 4, 6] image", body: str = PIXELS) -> Path:
        return write_model(tmp_path / "model.onnx", image, body)

    return make


def write_model(path: Path, image: str, body: str = PIXELS) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> g ({image}) => (float[N, D] embedding) {{ {body} }}')
    path.write_bytes(model.SerializeToString())
    return path


def load(path: Path, **options: Any) -> Embedder:
    return load_embedder(EmbedderSettings(model=path, **{"input": "image", "normalize": False, "threads": 1, **options}))


def encode(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A well-formed PNG of a few bytes that claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


# --- what the model is fed -------------------------------------------------------------------------------------------


def test_raw_pixels_channels_first(make_model: MakeModel) -> None:
    images = [noise(4, 6, 3, seed=seed) for seed in range(70)]
    rows = load(make_model()).embed([encode(image) for image in images]).embedding
    np.testing.assert_array_equal(rows, [image.transpose(2, 0, 1).ravel() for image in images])


def test_channels_last_is_seen_in_the_graph(make_model: MakeModel) -> None:
    image = noise(4, 6, 3)
    row = load(make_model("float[N, 4, 6, 3] image")).embed([encode(image)]).embedding[0]
    np.testing.assert_array_equal(row, image.ravel())


def test_declared_normalisation(make_model: MakeModel) -> None:
    image, mean, std = noise(4, 6, 3), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    row = load(make_model("float[N, 3, 4, 6] image"), image_mean=mean, image_std=std).embed([encode(image)]).embedding[0]
    np.testing.assert_allclose(row, ((image / 255 - mean) / std).transpose(2, 0, 1).ravel(), rtol=1e-4, atol=1e-5)


def test_grey_models_get_grey(make_model: MakeModel) -> None:
    embedder = load(make_model("uint8[N, 1, 4, 6] image"), image_channels=1)
    grey = noise(4, 6)
    rows = embedder.embed([encode(grey), encode(np.stack([grey] * 3, axis=2))]).embedding
    np.testing.assert_allclose(rows, [grey.ravel()] * 2, atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_colour_mode_is_taken(make_model: MakeModel, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (6, 4)).save(buffer, "TIFF")
    assert load(make_model()).embed([buffer.getvalue()]).embedding.shape == (1, 72)


def test_other_sizes_are_resized(make_model: MakeModel) -> None:
    flat = np.full((50, 31, 3), 77, np.uint8)
    np.testing.assert_array_equal(load(make_model()).embed([encode(flat)]).embedding, np.full((1, 72), 77))


def test_size_of_a_model_that_takes_any(make_model: MakeModel) -> None:
    path = make_model("uint8[N, 3, H, W] image")
    assert load(path, image_size=(2, 5)).dimension == 30
    with pytest.raises(EmbedderError, match=r"set embedder\.image_size"):
        load(path)


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        ("uint8[N, 1, 4, 6] image", {}, "embedder.image_channels is 3"),
        ("uint8[N, 3, 4, 6] image", {"image_size": (8, 8)}, r"embedder.image_size is \[8, 8\]; leave it out"),
        ("uint8[N, 3, 4, 6] image", {"image_mean": (0, 0, 0), "image_std": (1, 1, 1)}, "raw values; leave embedder.image_mean"),
        ("float[N, 3, 4, 6] image", {"image_mean": (0, 0, 0)}, "give 3 numbers each"),
        ("float[N, 3, 4, 6] image", {"image_mean": (0, 0, 0), "image_std": (1, 0, 1)}, "std above 0"),
        ("float[N, 72] image", {}, "four-dimensional input"),
    ],
)
def test_settings_that_the_graph_contradicts(make_model: MakeModel, image: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(EmbedderError, match=says):
        load(make_model(image), **options)


def test_fingerprint_changes_with_the_declared_feed(make_model: MakeModel) -> None:
    path = make_model("float[N, 3, H, W] image")
    plain: dict[str, Any] = {"image_size": (4, 6)}
    scaled = {**plain, "image_mean": (0, 0, 0), "image_std": (1, 1, 1)}
    options = [plain, scaled, {**scaled, "image_mean": (0, 0, 0.5)}, {**scaled, "image_std": (1, 1, 2)}, {"image_size": (4, 5)}]
    assert len({load(path, **one).fingerprint for one in options}) == len(options)


def test_normalisation_over_the_batch_is_refused(make_model: MakeModel) -> None:
    """A batch norm left in training mode does this."""
    body = """wide = Cast<to = 1>(image) flat = Flatten(wide) zero = Constant<value = int64[1] {0}>()
    mean = ReduceMean<keepdims = 1>(flat, zero) embedding = Sub(flat, mean)"""
    with pytest.raises(EmbedderError, match="depends on the other samples of the batch"):
        load(make_model(body=body))


def test_missing_pillow_is_named(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_model()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(EmbedderError, match=r"pip install 'driftgate\[image\]'"):
        load(path)


# --- images that can't be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "image"),
        (b"not an image", "image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image"),
        (png_header(60_000, 60_000), "image_bomb"),
        (png_header(10_000, 9_000), "image_bomb"),
        (png_header(101, 100), "image_bomb"),
        ("text", "wrong_type"),
        (np.zeros(72, np.float32), "wrong_type"),
    ],
)
def test_bad_images_are_refused_before_they_are_decoded(make_model: MakeModel, payload: Any, reason: str) -> None:
    embedder = load(make_model(), max_image_pixels=10_000)
    embedder.check(encode(noise(100, 100, 3)))
    with pytest.raises(InputError) as caught:
        embedder.check(payload)
    assert caught.value.reason == reason


def test_a_bomb_beyond_pillows_own_limits_is_measured_by_ours(make_model: MakeModel) -> None:
    with pytest.raises(InputError, match="at most 50000000 pixels") as caught:
        load(make_model()).check(png_header(60_000, 60_000))
    assert caught.value.reason == "image_bomb"


def test_a_cut_image_fails_alone(make_model: MakeModel) -> None:
    embedder = load(make_model())
    whole = encode(noise(64, 64, 3), "JPEG")
    cut = whole[: len(whole) // 2]
    embedder.check(cut)
    with pytest.raises(InputError, match="damaged JPEG") as caught:
        embedder.embed([whole, cut])
    assert caught.value.reason == "image"
    assert embedder.embed([whole]).embedding.shape == (1, 72)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return load(write_model(tmp_path_factory.mktemp("images") / "model.onnx", "uint8[N, 3, 4, 6] image"), max_image_pixels=100_000)


ENCODED = [encode(noise(9, 9, 3), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged metadata and goes on
@given(
    st.sampled_from(ENCODED),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=6)), max_size=6),
    st.integers(0, 10_000),
)
def test_damaged_images_are_embedded_or_named(shared: Embedder, image: bytes, edits: list[tuple[int, bytes]], cut: int) -> None:
    damaged = bytearray(image)
    for place, patch in edits:
        start = place % len(damaged)
        damaged[start : start + len(patch)] = patch
    payload = bytes(damaged[: 1 + cut % len(damaged)] if cut % 2 else damaged)
    assert outcome(shared, payload) in {(1, 72), "image", "image_bomb"}


def outcome(embedder: Embedder, payload: bytes) -> tuple[int, ...] | str:
    """The shape of the embedding, or the reason why there is none."""
    try:
        embedder.check(payload)
        return embedder.embed([payload]).embedding.shape
    except InputError as error:
        return error.reason
