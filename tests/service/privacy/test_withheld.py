"""Where no payload may be kept, no data set grows from production, and whoever asks for it is told so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.cycles.top_up import TopUps
from service.datasets import DataSets
from service.errors import InputError
from service.golden import join_select, refill
from service.growing import kept_as_given
from service.label_checks.reviews import Reviews
from service.labelled import LabelledSets
from service.records import AnnotationBatch, Candidate, CycleState, RefreshCycle
from service.report.mislabelled import Suspect
from service.selecting.slices import Slice
from service.settings import EmbedderSettings, MonitorSettings, PrivacySettings
from tests.service.lengths import Lengths
from tests.service.privacy.test_forgetting import holding, pooled, sample
from tests.service.refresh_bench import Bench

NONE = PrivacySettings(payloads="none")
SAYS = "privacy.payloads is none"


def test_what_was_kept_before_goes_into_no_set(tmp_path: Path) -> None:
    settings = MonitorSettings(name="chat", embedder=EmbedderSettings(model=Path("m.onnx")), privacy=NONE)
    data_sets, rows = DataSets(tmp_path), {pooled(3).id: pooled(3)}
    data_sets.add("chat", "golden", [sample(1)], Lengths(), now=0.0)
    sets = LabelledSets(data_sets)
    with pytest.raises(InputError, match=SAYS):
        sets.keep([Candidate(sample(3).id, "new", 0.1, "all")], rows, settings, Lengths(), now=1.0)
    pool = data_sets.add("chat", "pool", [sample(3)], Lengths(), now=0.0)
    with pytest.raises(InputError, match=SAYS):
        join_select(data_sets, settings, pool, Lengths(), now=1.0)
    assert holding(tmp_path) == ["datasets/chat/pool/v1/rows.jsonl"], "what a person adds is kept"
    with pytest.raises(InputError, match=SAYS):
        sets.publish(settings, {sample(3).id: "a"}, (), Lengths(), now=1.0)
    assert not data_sets.versions("chat", "train")
    assert "these rows, which you gave" in kept_as_given(settings)
    filled = refill(data_sets, settings, [sample(3)], Lengths(), now=1.0)
    assert filled is not None
    assert len(filled.rows) == 2, "that is a person's own act too"


def test_samples_that_are_their_embedding_have_nothing_to_withhold(tmp_path: Path) -> None:
    settings = MonitorSettings(name="chat", embedder=EmbedderSettings(input="none", dimension=2), privacy=NONE)
    row = replace(pooled(3), payload=None, embedding=np.ones(2, np.float16))
    LabelledSets(DataSets(tmp_path)).keep([Candidate(row.id, "new", 0.1, "all")], {row.id: row}, settings, _Same(), now=1.0)
    assert holding(tmp_path) == []
    assert DataSets(tmp_path).load("chat", "pool").samples[0].id == row.id


class _Same(Lengths):
    """Embeds numbers as they are; texts are refused."""

    def check(self, payload: object) -> None:
        assert isinstance(payload, np.ndarray)


@pytest.mark.long
def test_no_cycle_asks_or_trains(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(privacy=NONE.model_dump())
    alarm = bench.drift()
    bench.refresher.follow(alarm, samples=5_000, now=3_100.0)
    with pytest.raises(InputError, match=SAYS):
        bench.refresher.open("chat", "request", now=3_200.0)
    rows = bench.store.pool("chat")[:1]
    with pytest.raises(InputError, match=SAYS):
        bench.refresher.send("chat", "request", [Candidate(rows[0].id, "new", 0.1, "all")], rows, now=3_300.0)
    bench.golden(rows=40)
    assert TopUps(bench.store, bench.site.references, bench.data_sets, bench.site).propose("chat", now=3_400.0) is None
    assert (bench.store.find(RefreshCycle), bench.store.find(AnnotationBatch)) == ([], [])
    assert [each["role"] for each in bench.data_sets.versions("chat")] == ["golden"]
    assert bench.refresher.preview(Slice("chat", 1), now=3_500.0).candidates, "ids are told all the same"


@pytest.mark.long
def test_a_cycle_under_way_goes_no_further(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.drift()
    bench.answer()
    bench.site.settings = bench.site.settings.model_copy(update={"privacy": NONE})
    assert bench.restarted().step(now=4_002.0) == 0
    assert bench.cycle().state is CycleState.ANNOTATING
    assert not bench.data_sets.versions("chat", "train")


@pytest.mark.long
@pytest.mark.parametrize(("privacy", "shown"), [(PrivacySettings(), True), (NONE, False)])
def test_reviews_name_rows_by_their_ids_alone(make_bench: Callable[..., Bench], privacy: PrivacySettings, shown: bool) -> None:
    bench = make_bench(privacy=privacy.model_dump())
    bench.data_sets.add("chat", "train", [sample(3)], Lengths(), now=1.0)
    suspect = Suspect(sample(3).id, "", "a", "b", 0.9, 0.1, 0.1, 0.5, confident=True)
    reviews = Reviews(bench.store, bench.site.references, bench.data_sets, bench.site)
    batch = reviews.send("chat", "train", [suspect], now=10.0)
    assert [bool(item.text) for item in batch.items] == [shown]
