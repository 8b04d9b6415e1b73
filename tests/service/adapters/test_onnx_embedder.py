"""Text through small ONNX models written here, so that every vector can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from service.adapters.onnx_embedder import load_embedder
from service.adapters.onnx_embedder.graph import cpu_share
from service.adapters.onnx_embedder.text import buckets
from service.errors import EmbedderError, InputError
from service.ports import Embedder
from service.settings import EmbedderSettings

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "parcel", "where", "is", "mein", "konto", "gesperrt", "a", "b"]
TABLE = np.random.default_rng(5).normal(size=(len(WORDS), 4)).astype(np.float32)

HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
MASKED_MEAN = """
    words = Gather(table, input_ids)
    mask = Cast<to = 1>(attention_mask)
    wide = Unsqueeze(mask, two)
    kept = Mul(words, wide)
    total = ReduceSum<keepdims = 0>(kept, one)
    count = ReduceSum<keepdims = 1>(mask, one)
    mean = Div(total, count)
"""
MASKED = "int64[N, T] input_ids, int64[N, T] attention_mask"
SUM = "words = Gather(table, input_ids) mean = ReduceSum<keepdims = 0>(words, one)"
CONSTANTS = {"table": TABLE, "one": np.array([1]), "two": np.array([2]), "places": np.zeros((16, 4), np.float32)}

MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A folder with model and tokenizer. `body` ends in `embedding`; constants: table (words, 4), one [1], two [2], places (16, 4)."""

    def make(
        body: str = f"{MASKED_MEAN} embedding = Identity(mean)", *, inputs: str = MASKED, outputs: str = "float[N, 4] embedding"
    ) -> Path:
        model = onnx.parser.parse_model(f"{HEAD} g ({inputs}) => ({outputs}) {{ {body} }}")
        used = {name for node in model.graph.node for name in node.input}
        model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in CONSTANTS.items() if name in used)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        tokenizer().save(str(tmp_path / "tokenizer.json"))
        return path

    return make


def tokenizer() -> Tokenizer:
    """Words, [CLS] and [SEP] around them, and the fixed padding that published files carry."""
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.enable_padding(length=64)
    made.enable_truncation(max_length=64)
    return made


def load(path: Path, **options: Any) -> Embedder:
    return load_embedder(EmbedderSettings(model=path, **{"threads": 1, **options}))


def expected(text: str, *, special: bool = True) -> NDArray[np.float32]:
    """The unit mean of the words' vectors."""
    words = ["[CLS]", *text.split(), "[SEP]"] if special else text.split()
    mean = TABLE[[WORDS.index(w) if w in WORDS else 1 for w in words]].mean(0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


# --- what comes out --------------------------------------------------------------------------------------------------


def test_vectors_in_the_order_given(make_model: MakeModel) -> None:
    embedder = load(make_model())
    texts = ["where is the parcel where is the parcel", "mein", "the parcel", "konto gesperrt", "is"]
    embedded = embedder.embed(texts)
    np.testing.assert_allclose(embedded.embedding, [expected(t) for t in texts], atol=1e-6)
    assert embedded.embedding.dtype == np.float32
    assert embedded.logits is None
    assert embedder.dimension == 4


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tmp_path_factory.mktemp("shared")
    model = onnx.parser.parse_model(f"{HEAD} g ({MASKED}) => (float[N, 4] embedding) {{ {MASKED_MEAN} embedding = Identity(mean) }}")
    model.graph.initializer.extend(onnx.numpy_helper.from_array(CONSTANTS[name], name) for name in ("table", "one", "two"))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    tokenizer().save(str(folder / "tokenizer.json"))
    return load(folder / "model.onnx")


@given(st.lists(st.lists(st.sampled_from(["the", "parcel", "mein", "unheard", "b"]), min_size=1, max_size=40).map(" ".join), max_size=80))
def test_together_is_the_same_as_one_by_one(shared: Embedder, texts: list[str]) -> None:
    together = shared.embed(texts).embedding
    assert together.shape == (len(texts), 4)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(row, shared.embed([text]).embedding[0], atol=1e-6)


def test_logits_come_from_the_same_run(make_model: MakeModel) -> None:
    path = make_model(f"{MASKED_MEAN} embedding = Identity(mean) logits = Neg(mean)", outputs="float[N, 4] embedding, float[N, 4] logits")
    embedded = load(path, normalize=False).embed(["the parcel is", "a"])
    assert embedded.logits is not None
    np.testing.assert_array_equal(embedded.logits, -embedded.embedding)
    assert load(path, logits_output=None).embed(["a"]).logits is None


def test_not_normalised_when_asked(make_model: MakeModel) -> None:
    row = load(make_model(), normalize=False, special_tokens=False).embed(["parcel"]).embedding[0]
    np.testing.assert_allclose(row, TABLE[WORDS.index("parcel")], atol=1e-6)


def test_special_tokens_can_be_left_out(make_model: MakeModel) -> None:
    np.testing.assert_allclose(
        load(make_model(), special_tokens=False).embed(["a b"]).embedding[0], expected("a b", special=False), atol=1e-6
    )


def test_long_texts_are_truncated(make_model: MakeModel) -> None:
    embedder = load(make_model(), max_tokens=8)
    np.testing.assert_allclose(embedder.embed(["a " * 6 + "the parcel" * 40]).embedding[0], expected("a " * 6), atol=1e-6)


def test_the_tokenizers_own_padding_is_off(make_model: MakeModel) -> None:
    """A model that sums over all tokens it is fed shows every padding token."""
    embedder = load(make_model(f"{SUM} embedding = Identity(mean)", inputs="int64[N, T] input_ids"), normalize=False)
    rows = embedder.embed(["a", "the parcel is", "b"]).embedding
    np.testing.assert_allclose(rows[0], TABLE[[2, WORDS.index("a"), 3]].sum(0), atol=1e-6)
    np.testing.assert_allclose(rows[1], TABLE[[2, 4, 5, 7, 3]].sum(0), atol=1e-6)


def test_token_types_and_narrow_integers_are_fed(make_model: MakeModel) -> None:
    inputs = "int32[N, T] input_ids, int32[N, T] attention_mask, int32[N, T] token_type_ids"
    body = f"typed = Cast<to = 1>(token_type_ids) none = Unsqueeze(typed, two) {MASKED_MEAN} all = ReduceSum<keepdims = 0>(none, one)"
    embedder = load(make_model(f"{body} embedding = Add(mean, all)", inputs=inputs))
    np.testing.assert_allclose(embedder.embed(["a b"]).embedding[0], expected("a b"), atol=1e-6)


@pytest.mark.parametrize(("pooling", "tokens"), [("mean", ["[CLS]", "a", "b", "[SEP]"]), ("cls", ["[CLS]"])])
def test_pooling_of_token_vectors(make_model: MakeModel, pooling: str, tokens: list[str]) -> None:
    path = make_model("mask = Cast<to = 1>(attention_mask) embedding = Gather(table, input_ids)", outputs="float[N, T, 4] embedding")
    row = load(path, pooling=pooling, normalize=False).embed(["a b", "the parcel is mein konto"]).embedding[0]
    np.testing.assert_allclose(row, TABLE[[WORDS.index(t) for t in tokens]].mean(0), atol=1e-6)


def test_a_fixed_token_count_is_filled(make_model: MakeModel) -> None:
    embedder = load(make_model(inputs=MASKED.replace("T", "12")), max_tokens=64)
    np.testing.assert_allclose(embedder.embed(["a b", "a " * 30]).embedding, [expected("a b"), expected("a " * 10)], atol=1e-6)


def test_a_batch_size_of_one_is_kept(make_model: MakeModel) -> None:
    embedder = load(make_model(inputs=MASKED.replace("N", "1")))
    np.testing.assert_allclose(embedder.embed(["a", "b"]).embedding, [expected("a"), expected("b")], atol=1e-6)


@given(st.lists(st.integers(1, 300), max_size=200), st.sampled_from([0, 16]))
def test_buckets_hold_every_row_once_and_little_padding(lengths: list[int], padding: int) -> None:
    batches = list(buckets(np.array(lengths, np.int64), padding=padding))
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[row] for row in batch]
        assert len(sizes) * max(sizes) - sum(sizes) <= padding
        assert len(sizes) <= 32
        assert len(sizes) == 1 or len(sizes) * max(sizes) <= 4096


# --- payloads that can't be used -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason", "says"),
    [
        ("", "empty", "visible"),
        (" \t\n\u200b", "empty", "visible"),
        ("ä" * 30, "too_large", "at most 40 bytes"),
        ("x" * 10_000_000, "too_large", "10000000 characters"),
        ("half \ud800", "encoding", "surrogate"),
        (b"\x89PNG", "wrong_type", "found an image"),
        (np.zeros(4, np.float32), "wrong_type", "found a vector"),
    ],
)
def test_bad_text_is_refused_with_its_reason(make_model: MakeModel, payload: Any, reason: str, says: str) -> None:
    embedder = load(make_model(), max_text_bytes=40)
    embedder.check("fine ✓")
    with pytest.raises(InputError, match=says) as caught:
        embedder.check(payload)
    assert caught.value.reason == reason


def test_an_answer_that_is_not_finite_blames_its_payload_alone(make_model: MakeModel) -> None:
    """Texts of exactly 40 tokens divide by zero."""
    body = f"""{MASKED_MEAN} forty = Constant<value = float {{40.0}}>()
    off = Sub(count, forty) one_else = Div(off, off) embedding = Mul(mean, one_else)"""
    embedder = load(make_model(body))
    with pytest.raises(InputError) as caught:
        embedder.embed(["a", "b " * 38, "b"])
    assert caught.value.reason == "not_finite"
    np.testing.assert_allclose(embedder.embed(["a", "b"]).embedding, [expected("a"), expected("b")], atol=1e-6)


def test_a_text_of_no_tokens_is_empty(make_model: MakeModel) -> None:
    path = make_model()
    Tokenizer(BPE({"a": 11, "b": 12, "e": 4}, [])).save(str(path.with_name("tokenizer.json")))  # without [UNK] the rest vanishes
    embedder = load(path, special_tokens=False)
    assert embedder.embed(["a"]).embedding.shape == (1, 4)
    with pytest.raises(InputError) as caught:
        embedder.embed(["a", "zzz"])
    assert caught.value.reason == "empty"


def test_a_text_that_the_tokenizer_fails_on_is_to_blame(make_model: MakeModel) -> None:
    path = make_model()
    Tokenizer(WordLevel({"[UNK]": 1, "a": 11}, unk_token="[UNK]")).save(str(path.with_name("tokenizer.json")))
    content = path.with_name("tokenizer.json").read_text().replace('"unk_token":"[UNK]"', '"unk_token":"absent"')
    path.with_name("tokenizer.json").write_text(content.replace('"unk_token": "[UNK]"', '"unk_token": "absent"'))
    with pytest.raises(EmbedderError, match="the model's tokenizer fails on it"):
        load(path)


def test_a_tokenizer_of_another_model_shows_on_load(make_model: MakeModel) -> None:
    path = make_model()
    larger = tokenizer()
    larger.add_tokens([f"word{i}" for i in range(100)])
    larger.save(str(path.with_name("tokenizer.json")))
    with pytest.raises(EmbedderError, match="or the tokenizer be another model's"):
        load(path)


# --- models that can't be trusted ------------------------------------------------------------------------------------


def test_division_by_the_batchs_maximum_is_refused(make_model: MakeModel) -> None:
    body = f"zero = Constant<value = int64[1] {{0}}>() {MASKED_MEAN} top = ReduceMax<keepdims = 1>(mean, zero) embedding = Div(mean, top)"
    with pytest.raises(EmbedderError, match=r"depends on the other samples of the batch.*quantize_dynamic"):
        load(make_model(body))


def test_quantisation_by_the_batch_is_refused(make_model: MakeModel) -> None:
    body = f"""{MASKED_MEAN} hundred = Constant<value = float {{100.0}}>()
    square = Mul(mean, mean) fourth = Mul(square, square) much = Mul(fourth, hundred)
    coarse, scale, zero = DynamicQuantizeLinear(much) embedding = DequantizeLinear(coarse, scale, zero)"""
    with pytest.raises(EmbedderError, match="depends on the other samples of the batch"):
        load(make_model(body), normalize=False)


def test_a_mask_that_is_ignored_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(EmbedderError, match="attention mask"):
        load(make_model(f"mask = Cast<to = 1>(attention_mask) {SUM} embedding = Identity(mean)"))


def test_too_many_tokens_for_the_model_show_on_load(make_model: MakeModel) -> None:
    path = make_model(
        """words = Gather(table, input_ids) shape = Shape(input_ids) count = Gather(shape, one)
        none = Constant<value = int64[1] {0}>() first = Slice(places, none, count) placed = Add(words, first)
        embedding = ReduceSum<keepdims = 0>(placed, one)""",
        inputs="int64[N, T] input_ids",
    )
    assert load(path, max_tokens=16).dimension == 4
    with pytest.raises(EmbedderError, match=r"embedder\.max_tokens"):
        load(path, max_tokens=17)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"embedding_output": "last_hidden_state"}, "no output 'last_hidden_state'.*there are: embedding"),
        ({"pooling": "mean"}, "with `pooling: mean` it needs 3 dimensions"),
        ({"tokenizer": Path("/nowhere/tokenizer.json")}, "embedder.tokenizer: /nowhere/tokenizer.json: No such file"),
        ({"model": Path("/nowhere/model.onnx")}, "embedder.model: /nowhere/model.onnx: No such file.*model build minilm"),
        ({"input": "image"}, "takes a model with one input, found 2"),
    ],
)
def test_what_is_missing_is_named(make_model: MakeModel, options: dict[str, Any], says: str) -> None:
    with pytest.raises(EmbedderError, match=says):
        load_embedder(EmbedderSettings(**{"model": make_model(), **options}))


def test_token_vectors_need_pooling(make_model: MakeModel) -> None:
    path = make_model("mask = Cast<to = 1>(attention_mask) embedding = Gather(table, input_ids)", outputs="float[N, T, 4] embedding")
    with pytest.raises(EmbedderError, match="to mean or cls"):
        load(path)


def test_other_inputs_are_named(make_model: MakeModel) -> None:
    with pytest.raises(EmbedderError, match=r"the model takes .*pixel_values float32 \[\?, 3\]"):
        load(make_model(inputs=f"{MASKED}, float[N, 3] pixel_values"))


def test_a_fixed_batch_of_several_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(EmbedderError, match="batch dimension is fixed"):
        load(make_model(inputs=MASKED.replace("N", "8")))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"not it", b'{"version": "1.0"}', b"\xff\xfe"])
def test_damaged_files_are_named(make_model: MakeModel, name: str, content: bytes) -> None:
    path = make_model()
    path.with_name(name).write_bytes(content)
    with pytest.raises(EmbedderError, match=name):
        load(path)


# --- fingerprint and threads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [{"special_tokens": False}, {"max_tokens": 32}, {"normalize": False}, {"embedding_output": "second"}, {"logits_output": "second"}],
)
def test_fingerprint_changes_with_every_option_that_matters(make_model: MakeModel, option: dict[str, Any]) -> None:
    body, outputs = f"{MASKED_MEAN} embedding = Identity(mean) second = Neg(mean)", "float[N, 4] embedding, float[N, 4] second"
    path = make_model(body, outputs=outputs)
    assert load(path).fingerprint == load(path, threads=2, max_text_bytes=7).fingerprint
    assert load(path).fingerprint != load(path, **option).fingerprint


def test_fingerprint_changes_with_every_file(make_model: MakeModel) -> None:
    path = make_model()
    seen = {load(path).fingerprint}
    other = tokenizer()
    other.no_padding()
    other.save(str(path.with_name("tokenizer.json")))
    seen.add(load(path).fingerprint)
    beside = path.with_name("model.onnx.data")
    beside.write_bytes(b"weights kept beside the graph")
    seen.add(load(path).fingerprint)
    beside.unlink()
    make_model(f"{MASKED_MEAN} embedding = Neg(mean)")
    seen.add(load(path).fingerprint)
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("files", "own", "limit"),
    [
        ({"cpu.max": "100000 100000"}, "", 1),
        ({"cpu.max": "max 100000"}, "", None),
        ({"cpu.max": "50000 100000"}, "", 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, "", 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", None),
        ({"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 1),
        ({"cpu,cpuacct/a/cpu.cfs_quota_us": "100000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/a\n", 1),
        ({"cpu.max": "nonsense"}, "no colons", None),
    ],
)
def test_threads_follow_the_control_group(
    tmp_path: Path, files: dict[str, str], own: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "own").write_text(own)
    assert cpu_share(tmp_path, tmp_path / "own") == (limit or 64)
