"""What an answer stands on, by real models in which it is known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detectors.summarizer import Summarizer
from service.adapters.onnx_embedder import load_embedder
from service.errors import InputError
from service.explaining.occluding import VARIANTS, Attribution, Probe, attribute, attribute_embedding, pieces
from service.ports import Embedded, Embedder
from service.records import Payload
from service.settings import EmbedderSettings


def of_answer(text: Payload, embedder: Embedder, answer: int, **options: Payload) -> Attribution:
    return attribute(text, embedder, Probe(answer, None), fill=options.get("fill"), progress=lambda _: None)


@pytest.mark.parametrize(("word", "answer"), [("refund", 0), ("courier", 1), ("storm", 2)])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_the_word_that_decides_comes_first(embedder: Embedder, word: str, answer: int, place: int) -> None:
    words = ["please", "the", "my", "is", "it", "about"]
    words.insert(place, word)
    found = of_answer(" ".join(words), embedder, answer)
    assert found.parts[found.strongest[0]].text == word
    assert [part.text for part in found.parts] == words
    assert found.together >= 0.9 * found.parts[found.strongest[0]].answer > 0.5 * found.whole


def test_a_word_against_the_answer_weighs_less_than_nothing(embedder: Embedder) -> None:
    found = of_answer("refund money parcel", embedder, 0)
    assert [np.sign(part.answer) for part in found.parts] == [1, 1, -1]


def test_a_long_text_costs_no_more_and_the_word_is_found(model: Path) -> None:
    embedder = Counting(load_embedder(EmbedderSettings(model=model, threads=1, max_tokens=2_048)))
    words = ["please"] * 1_500
    words[933] = "refund"
    found = of_answer(" ".join(words), embedder, 0)
    first = found.parts[found.strongest[0]]
    assert "refund" in first.text
    assert len(first.text.split()) <= 4
    assert embedder.count <= VARIANTS
    assert found.parts[-1].end == len(" ".join(words))


class Counting:
    """How many payloads were embedded."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self.fingerprint, self.dimension, self.count = inner.fingerprint, inner.dimension, 0

    def check(self, payload: Payload) -> None:
        self.inner.check(payload)

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        self.count += len(payloads)
        return self.inner.embed(payloads)

    def close(self) -> None:
        self.inner.close()


def test_without_logits_the_novelty_is_explained(embedder: Embedder) -> None:
    known = [f"{a} {b} please" for a in ("refund", "parcel", "storm", "money") for b in ("the", "my", "is", "and", "it") for _ in range(10)]
    rows = embedder.embed(known).embedding
    summarizer = Summarizer.fit(rows[::2], rows[1::2], rng=np.random.default_rng(0))
    found = attribute("please the alien parcel", embedder, Probe(None, summarizer), fill=None, progress=lambda _: None)
    assert found.of == "novelty"
    assert max(found.parts, key=lambda part: part.novelty).text == "alien"
    assert all(np.isnan(part.answer) for part in found.parts)


@pytest.mark.parametrize("text", ["refund", "  refund  ", "…"])
def test_one_word_is_all_there_is(embedder: Embedder, text: str) -> None:
    with pytest.raises(InputError, match="one word"):
        of_answer(text, embedder, 0)


@given(st.text(max_size=200))
def test_pieces_are_the_whole_text(text: str) -> None:
    found = pieces(text)
    if found:
        assert "".join(text[start:end] for start, end in found) == text
        assert all(text[start:end].strip() for start, end in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's my refund? It cost 3.14 €!", ["Where's", "my", "refund", "?", "It", "cost", "3.14", "€", "!"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("退款在哪里 please", [*"退款在哪里", "please"]),
        ("(the 2nd e-mail)", ["(", "the", "2nd", "e-mail", ")"]),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert [text[start:end].strip() for start, end in pieces(text)] == words


# --- images and vectors -------------------------------------------------------------------------------------------


def pixels_model(path: Path, image: str, out: str = "D") -> Path:
    """Its logit is the brightness of the lower right quarter of a 14 × 14 image, as its one output says."""
    body = "wide = Cast<to = 1>(image) embedding = Flatten(wide) logits = MatMul(embedding, head)"
    signature = f"({image}) => (float[N, {out}] embedding, float[N, 2] logits)"
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> g {signature} {{ {body} }}')
    quarter = np.zeros((14, 14), np.float32)
    quarter[10:12, 10:12] = 1 / 255
    head = np.stack([quarter.ravel(), -quarter.ravel()], 1)
    model.graph.initializer.append(onnx.numpy_helper.from_array(head, "head"))
    path.write_bytes(model.SerializeToString())
    return path


def test_the_patch_that_decides_weighs_most(tmp_path: Path) -> None:
    model = pixels_model(tmp_path / "model.onnx", "uint8[N, 1, 14, 14] image")
    embedder = load_embedder(EmbedderSettings(model=model, input="image", image_channels=1, normalize=False, threads=1))
    grey = np.zeros((14, 14), np.uint8)
    grey[10:12, 10:12] = 255
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    found = of_answer(buffer.getvalue(), embedder, 0)
    assert (found.unit, found.side, len(found.parts)) == ("patches", 7, 49)
    assert max(range(49), key=lambda at: found.parts[at].answer) == 5 * 7 + 5
    assert found.parts[0].answer == 0


@pytest.mark.parametrize("fill", [None, np.full(196, 128, np.float32)])
def test_the_coordinates_that_decide_weigh_most(tmp_path: Path, fill: Payload | None) -> None:
    model = pixels_model(tmp_path / "model.onnx", "float[N, 14, 14] image")
    embedder = load_embedder(EmbedderSettings(model=model, input="tensor", normalize=False, threads=1))
    tensor = np.full((14, 14), 255, np.float32)
    found = of_answer(tensor, embedder, 0, **({} if fill is None else {"fill": fill}))
    told = {at for part in found.parts if part.answer > 1e-6 for at in range(part.start, part.end)}
    assert told >= {14 * row + column for row in (10, 11) for column in (10, 11)}
    assert sum(part.answer for part in found.parts) == pytest.approx(4.0 if fill is None else 4 * (127 / 255), rel=1e-3)


def test_an_embedding_alone_is_told_exactly() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 12)).astype(np.float32)
    summarizer = Summarizer.fit(rows[:200], rows[200:], rng=rng)
    odd = rows[0].copy()
    odd[7] += 9
    found = attribute_embedding(odd, summarizer)
    assert found.parts[0].text == "[7]"
    assert sum(part.novelty for part in found.parts) == pytest.approx(found.whole, rel=1e-4)
