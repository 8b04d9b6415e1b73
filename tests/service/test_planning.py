"""What a promise takes, with and without golden rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.comparison import least_rows, paired_rows, steady_rows
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import InputError
from service.looks import attempt, record
from service.planning import Asked, Need, Plan, _drawn, plan
from service.records import CycleState, RefreshCycle, Sample
from service.settings import MonitorSettings
from service.verifying import Gate, promise

NEEDED = Gate("rows").rows_needed
EMBEDDER = VectorEmbedder(8, normalize=False)
SETTINGS = MonitorSettings.model_validate(
    {
        "name": "chat",
        "embedder": {"input": "none", "dimension": 8},
        "segments": {"tags": ["locale"]},
        "annotation": {"price": 0.5},
    }
)


def rows(count: int, seed: int = 1) -> list[Sample]:
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return [Sample("chat", f"{seed}-{i}", float(i), v, {"locale": "de" if i % 4 == 0 else "en"}, None, "a") for i, v in enumerate(vectors)]


@pytest.fixture
def store() -> SqliteStore:
    return SqliteStore(":memory:")


def needs(found: Plan, segment: str = "all") -> dict[str, Need]:
    return {need.purpose: need for need in found.needs if need.segment == segment}


def test_without_golden_rows_it_says_how_to_start(store: SqliteStore, tmp_path: Path) -> None:
    found = plan(store, DataSets(tmp_path), SETTINGS, Asked(0.01, 0.1))
    own = needs(found)
    assert (own["calibrate"].least, own["calibrate"].steady) == (least_rows(0.01, error=0.05), steady_rows(0.01, error=0.05))
    assert own["challenge"].least == paired_rows(0.1, flips=0.5, error=0.1) == found.challenge_labels
    assert (own["verify"].least, own["verify"].steady) == (NEEDED, NEEDED)
    assert 3 * NEEDED < found.golden_labels == found.golden_least < 3 * NEEDED * 1.1
    assert found.cost == 0.5 * (found.golden_labels + found.challenge_labels)
    assert found.steps[0].startswith(f"draw {found.golden_labels:,} samples at random")
    assert "`driftgate dataset add --monitor chat --role golden --input FILE`" in found.steps[2]


def test_only_what_is_missing_and_unmet_is_asked_for(store: SqliteStore, tmp_path: Path) -> None:
    sets = DataSets(tmp_path)
    golden = sets.add("chat", "golden", [*rows(900), *_copies(rows(900))], EMBEDDER, now=1.0)
    store.save(RefreshCycle("c", "chat", 1, "alarm", 1, CycleState.TRAINING, 1.0, version=1))
    sets.add("chat", "challenge", rows(120, 3), EMBEDDER, now=2.0)
    asked = Asked(0.01, 0.1, margin=0.2)
    own = needs(plan(store, sets, SETTINGS, asked))
    assert 890 < sum(own[part].have for part in ("select", "calibrate", "verify")) <= 900
    assert own["select"].labels == 0
    assert own["challenge"].labels == 0
    assert own["verify"].missing == own["verify"].steady - own["verify"].have > 0
    before = own["verify"].have
    record(store, attempt(store, golden, sets, "verify", judged=("m",), promise=promise(SETTINGS.refresh)), actor="ana", now=1.0)
    found = plan(store, sets, SETTINGS, asked)
    own = needs(found)
    assert (own["verify"].have, own["verify"].used, own["calibrate"].used) == (0, before, 0)
    assert found.golden_labels == own["verify"].labels > 2 * own["verify"].steady
    assert any("`driftgate dataset refill" in step for step in found.steps)


@pytest.mark.parametrize(("state", "opened", "have"), [("training", 1.0, 120), ("training", 3.0, 0), ("promoted", 1.0, 0)])
def test_challenge_rows_of_a_former_cycle_are_none(store: SqliteStore, tmp_path: Path, state: str, opened: float, have: int) -> None:
    sets = DataSets(tmp_path)
    sets.add("chat", "challenge", rows(120, 3), EMBEDDER, now=2.0)
    store.save(RefreshCycle("c", "chat", 1, "alarm", 1, CycleState(state), opened, version=1))
    need = needs(plan(store, sets, SETTINGS, Asked(0.01, 0.1)))["challenge"]
    assert (need.have, need.missing) == (have, need.steady - have)


def test_challenge_rows_of_segments_that_exclude_each_other_add_up(store: SqliteStore, tmp_path: Path) -> None:
    found = plan(store, DataSets(tmp_path), SETTINGS, Asked(0.01, 0.1, segments=("locale=de", "locale=en")))
    assert found.challenge_labels == 2 * needs(found, "locale=de")["challenge"].labels
    assert any("a switch promises of all traffic" in step for step in found.steps)


def test_rows_that_select_lacks_are_explained(store: SqliteStore, tmp_path: Path) -> None:
    sets = DataSets(tmp_path)
    sets.add("chat", "golden", rows(60), EMBEDDER, now=1.0)
    found = plan(store, sets, SETTINGS, Asked(0.01, 0.1))
    assert needs(found)["select"].missing > 0
    assert any(step.startswith("select promises nothing and is not billed") for step in found.steps)


def _copies(samples: Sequence[Sample]) -> list[Sample]:
    vectors = np.stack([np.asarray(sample.payload) for sample in samples]) + np.float32(1e-4)
    return [Sample("chat", f"copy-{s.id}", s.time, v, s.segments, None, s.label) for s, v in zip(samples, vectors, strict=True)]


def test_a_segment_needs_as_much_for_itself_and_more_draws(store: SqliteStore, tmp_path: Path) -> None:
    sets = DataSets(tmp_path)
    sets.add("chat", "golden", rows(800), EMBEDDER, now=1.0)
    found = plan(store, sets, SETTINGS, Asked(0.02, 0.1, segments=("locale=de", "locale=en")))
    whole, part = needs(found), needs(found, "locale=de")
    assert part["calibrate"].steady > whole["calibrate"].steady  # they share δ
    assert Gate("rows").segment_rows_needed() < part["verify"].steady < whole["verify"].steady  # both are to pass
    assert part["verify"].have < whole["verify"].have
    assert found.golden_labels == max(need.labels for need in found.needs if need.purpose != "challenge")
    assert part["calibrate"].labels > 6 * part["calibrate"].missing
    with pytest.raises(InputError, match=r"segments: TAG=VALUE of a tag that makes segments, found 'plan=pro'; tags: locale"):
        plan(store, sets, SETTINGS, Asked(0.02, 0.1, segments=("plan=pro",)))


def test_flips_that_were_seen_count_more_than_a_guess(store: SqliteStore, tmp_path: Path) -> None:
    found = [plan(store, DataSets(tmp_path), SETTINGS, Asked(0.01, 0.1), flips=flips) for flips in (None, 0.3, 0.01)]
    assert [each.flips for each in found] == [0.5, 0.3, 0.1]  # a margin takes at least as many flips
    assert found[1].challenge_labels < found[0].challenge_labels


@pytest.mark.parametrize("missing", [1, 30, 1182])
@pytest.mark.parametrize("share", [1 / 3, 0.5, 0.05, 1.0])
def test_random_draws_suffice_in_nineteen_of_twenty(missing: int, share: float) -> None:
    draws = _drawn(missing, share)
    came = np.random.default_rng(2).binomial(draws, share, 4000)
    assert 0.92 <= np.mean(came >= missing) <= 1
    assert draws <= missing / share + 3 * np.sqrt(missing) / share + 3 / share


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("alpha", 0.5), ("delta", 1.0), ("margin", float("nan"))])
def test_what_can_not_be_asked_is_refused(name: str, value: float) -> None:
    change: dict[str, Any] = {name: value}
    with pytest.raises(InputError, match=rf"{name}: from 0\.0001 to below 0\.5, found"):
        replace(Asked(0.01, 0.1), **change)
