"""Deletion: the words that are said to carry an answer do carry it, in a real sentence embedder with a head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.onnx_embedder import load_embedder
from service.demo.classifier import fit
from service.demo.messages import CLEAN, Traffic
from service.explaining.occluding import Attribution, Probe, attribute, pieces
from service.model_build import attach_head
from service.ports import Embedder
from service.settings import EmbedderSettings

TRAINED, EXPLAINED, REMOVED = 400, 80, 2


@pytest.fixture(scope="module")
def messages() -> list[tuple[str, str]]:
    drawn = Traffic(np.random.default_rng(5), pace=2.0).draw(TRAINED + EXPLAINED, start=0.0, mix=CLEAN)
    return [(message.text, str(message.intent)) for message in drawn]


@pytest.fixture(scope="module")
def embedder(minilm: Path, messages: Sequence[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    settings = EmbedderSettings(model=minilm, max_tokens=64, threads=1)
    texts, labels = zip(*messages[:TRAINED], strict=True)
    head = fit(load_embedder(settings).embed(texts).embedding, labels)
    return load_embedder(settings.with_model(attach_head(minilm, head, tmp_path_factory.mktemp("headed") / "model.onnx")))


def logits(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    found = embedder.embed(texts).logits
    assert found is not None
    return found


def without(text: str, found: Attribution, gone: Sequence[int]) -> str:
    """The text less some of the parts."""
    return "".join(text[first:end] for i, (first, end) in enumerate(pieces(text)) if i not in set(gone) and i < len(found.parts))


def test_words_that_weigh_most_carry_the_answer(embedder: Embedder, messages: Sequence[tuple[str, str]]) -> None:
    """Leaving out the two that weigh most together takes away several times what two words at random do, and changes more answers."""
    rng = np.random.default_rng(0)
    drops, flips = [], []
    for text, _ in messages[TRAINED:]:
        whole = logits(embedder, [text])[0]
        answer = int(whole.argmax())
        found = attribute(text, embedder, Probe(answer, None), fill=None, progress=lambda _: None)
        heaviest = np.argsort([-part.answer for part in found.parts])[:REMOVED].tolist()
        anyhow = rng.choice(len(found.parts), REMOVED, replace=False).tolist()
        left = logits(embedder, [without(text, found, gone) for gone in (heaviest, anyhow)])
        drops.append(whole[answer] - left[:, answer])
        flips.append(left.argmax(1) != answer)
    heavy, random = np.mean(drops, 0)
    error = np.diff(drops, axis=1).std() / np.sqrt(len(drops))
    assert heavy - random > 4 * error
    assert heavy > 2 * random
    assert np.mean(flips, 0)[0] > np.mean(flips, 0)[1]
