"""Two heads over one real sentence embedder: written once, and fed by one tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import EmbedderError, InputError
from service.heads import Head
from service.model_build import attach_head
from service.ports import Embedder
from service.records import Sample
from service.settings import EmbedderSettings, MonitorSettings
from service.switching.building import Switches, Wanted

pytestmark = pytest.mark.long

THINGS = ("refund", "password", "invoice", "delivery", "subscription", "voucher", "account", "order", "receipt", "parcel")
ASKS = ("where is my {}", "I want to change the {}", "the {} is wrong again", "please cancel this {}", "how do I get a new {}?", "{} lost")


class Site:
    def __init__(self, model: Path) -> None:
        document = {"name": "chat", "classes": ["status", "change"], "embedder": {"model": model, "max_tokens": 32}}
        self.settings = MonitorSettings.model_validate(document)
        self.model = load_embedder(self.settings.embedder)

    def effective(self, monitor: str) -> MonitorSettings:
        assert monitor == "chat"
        return self.settings

    def embedder(self, monitor: str) -> Embedder:
        assert monitor == "chat"
        return self.model

    def load(self, settings: EmbedderSettings) -> Embedder:
        return load_embedder(settings)

    def version(self, monitor: str) -> int | None:
        assert monitor == "chat"
        return None


def test_two_heads_over_minilm_are_one_model_of_its_size(minilm: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(3, 384)).astype(np.float32) * 5
    old = attach_head(minilm, Head(("status", "change"), weights[:2], np.zeros(2, np.float32)), tmp_path / "old" / "model.onnx")
    later = Head(("new", "status", "change"), weights[[2, 0, 1]] + 0.3, np.array([-9, 0, 0], np.float32))
    new = attach_head(minilm, later, tmp_path / "new" / "model.onnx")
    site, store, sets = Site(old), SqliteStore(":memory:"), DataSets(tmp_path)
    texts = [ask.format(thing) for ask in ASKS for thing in THINGS]
    answers = site.model.embed(texts).logits
    assert answers is not None
    samples = [
        Sample("chat", str(i), float(i), text, {}, None, ("status", "change")[int(answer)])
        for i, (text, answer) in enumerate(zip(texts, answers.argmax(1), strict=True))
    ]
    sets.add("chat", "golden", samples, site.model, now=1.0, classes=site.settings.classes)
    switches, output = Switches(store, sets, site), tmp_path / "switch" / "model.onnx"
    certificate = switches.build(Wanted("chat", new, alpha=0.3, delta=0.4), output, actor="ana", now=1.0).certificate
    assert certificate
    assert certificate.shared_embedder
    assert certificate.classes == ("new", "status", "change")
    assert output.stat().st_size < 1.02 * old.stat().st_size
    switch = load_embedder(site.settings.embedder.with_model(output))
    said = switch.embed(texts)
    assert np.allclose(said.embedding, site.model.embed(texts).embedding, atol=1e-5)
    assert said.logits is not None
    assert said.logits.shape == (len(texts), 3)

    (tmp_path / "new" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="comes with another tokenizer than the old model"):
        switches.build(Wanted("chat", new, alpha=0.3, delta=0.4), output, actor="ana", now=1.0)
    (tmp_path / "new" / "tokenizer.json").write_bytes((tmp_path / "old" / "tokenizer.json").read_bytes())
    (tmp_path / "switch" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EmbedderError, match="belongs to another model and would be overwritten"):
        switches.build(Wanted("chat", new, alpha=0.3, delta=0.4), output, actor="ana", now=1.0)
