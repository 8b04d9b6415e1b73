"""Tensors that a model takes as they are, and vectors that are the embedding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from service.adapters.onnx_embedder import load_embedder
from service.errors import ConfigurationError, EmbedderError, InputError
from service.ports import Embedder
from service.settings import EmbedderSettings, parse

MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    def make(given: str = "float[N, 2, 3] x", body: str = "wide = Cast<to = 1>(x) embedding = Flatten(wide)") -> Path:
        model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> g ({given}) => (float[N, D] embedding) {{ {body} }}')
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "model.onnx"

    return make


def load(path: Path, **options: Any) -> Embedder:
    return load_embedder(EmbedderSettings(model=path, **{"input": "tensor", "normalize": False, "threads": 1, **options}))


def vectors(**options: Any) -> Embedder:
    return load_embedder(EmbedderSettings(input="none", **options))


def test_tensors_in_the_order_given(make_model: MakeModel) -> None:
    tensors = list(np.random.default_rng(0).normal(size=(70, 2, 3)).astype(np.float32))
    np.testing.assert_array_equal(load(make_model()).embed(tensors).embedding, [t.ravel() for t in tensors])


def test_flat_tensors_get_the_models_shape(make_model: MakeModel) -> None:
    embedder = load(make_model(body="turned = Transpose<perm = [0, 2, 1]>(x) embedding = Flatten(turned)"))
    flat = np.arange(6, dtype=np.float32)
    embedder.check(flat)
    np.testing.assert_array_equal(embedder.embed([flat, flat.reshape(2, 3)]).embedding, [[0, 3, 1, 4, 2, 5]] * 2)


def test_tensors_are_normalised_by_default(make_model: MakeModel) -> None:
    rows = load(make_model(), normalize=None).embed([np.full(6, 5, np.float32), np.zeros(6, np.float32)]).embedding
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0], atol=1e-6)


@pytest.mark.parametrize("kind", ["double", "float16", "int64", "uint8"])
def test_the_models_number_type_is_fed(make_model: MakeModel, kind: str) -> None:
    tensor = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(load(make_model(f"{kind}[N, 6] x")).embed([tensor]).embedding[0], tensor)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (np.zeros(5, np.float32), "dimension"),
        (np.zeros((3, 2), np.float32), "dimension"),
        (np.zeros(0, np.float32), "dimension"),
        (np.array([1, 2, np.nan, 4, 5, 6], np.float32), "not_finite"),
        (np.array([1, 2, -np.inf, 4, 5, 6], np.float32), "not_finite"),
        (np.full(6, 300, np.float32), "out_of_range"),
        (np.full(6, -1, np.float32), "out_of_range"),
        ("text", "wrong_type"),
        (b"image", "wrong_type"),
    ],
)
def test_bad_tensors_are_refused_with_their_reason(make_model: MakeModel, payload: Any, reason: str) -> None:
    embedder = load(make_model("uint8[N, 2, 3] x"))
    embedder.check(np.full((2, 3), 255, np.float32))
    with pytest.raises(InputError) as caught:
        embedder.check(payload)
    assert caught.value.reason == reason


def test_every_dimension_but_the_first_is_fixed(make_model: MakeModel) -> None:
    with pytest.raises(EmbedderError, match=r"the model takes x float32 \[\?, \?, 3\]"):
        load(make_model("float[N, T, 3] x"))


def test_quantisation_by_the_batch_is_refused(make_model: MakeModel) -> None:
    body = "flat = Flatten(x) coarse, scale, zero = DynamicQuantizeLinear(flat) embedding = DequantizeLinear(coarse, scale, zero)"
    with pytest.raises(EmbedderError, match=r"depends on the other samples of the batch.*quantize_dynamic"):
        load(make_model(body=body))


def test_sequences_are_no_tensors(make_model: MakeModel) -> None:
    with pytest.raises(EmbedderError, match="driftgate feeds tensors of numbers"):
        load(make_model("seq(float[N, 6]) x", "at = Constant<value = int64 {0}>() embedding = SequenceAt(x, at)"))


# --- precomputed -----------------------------------------------------------------------------------------------------

ROWS = arrays(np.float32, st.tuples(st.integers(0, 40), st.just(5)), elements=st.floats(-1e6, 1e6, width=32))


@given(ROWS)
def test_precomputed_vectors_pass_as_they_are(rows: NDArray[np.float32]) -> None:
    embedder = vectors(dimension=5)
    for row in rows:
        embedder.check(row)
    np.testing.assert_array_equal(embedder.embed(list(rows)).embedding, rows)


def test_precomputed_vectors_are_normalised_when_asked() -> None:
    row = vectors(dimension=2, normalize=True).embed([np.array([3, 4], np.float32)]).embedding[0]
    np.testing.assert_allclose(row, [0.6, 0.8], rtol=1e-6)


def test_fingerprint_of_vectors() -> None:
    assert vectors(dimension=2).fingerprint == vectors(dimension=2, normalize=False).fingerprint
    assert len({vectors(dimension=2, normalize=True).fingerprint, vectors(dimension=2).fingerprint, vectors(dimension=3).fingerprint}) == 3


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (np.zeros(2, np.float32), "dimension"),
        (np.zeros((1, 3), np.float32), "dimension"),
        (np.array([0, np.nan, 0], np.float32), "not_finite"),
        (np.array([0, np.inf, 0], np.float32), "not_finite"),
        (np.array([0, -1e30, 0], np.float32), "not_finite"),
        ("text", "wrong_type"),
    ],
)
def test_bad_vectors_are_refused_with_their_reason(payload: Any, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        vectors(dimension=3).check(payload)
    assert caught.value.reason == reason


def test_only_vectors_do_without_a_model(tmp_path: Path) -> None:
    parse({"monitors": [{"name": "m", "embedder": {"input": "none", "dimension": 8}}]}, base=tmp_path)
    with pytest.raises(ConfigurationError, match=r"monitors\.0\.embedder: .*model is missing"):
        parse({"monitors": [{"name": "m", "embedder": {"input": "text"}}]}, base=tmp_path)
