"""Input that is not what it should be: an error that says what to do, or a degradation that is stated; never a silent alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.model import rows_needed
from service.reference import References
from tests.service.cli.conftest import DIMENSION, draw

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def ordinary(n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return draw(rng, rng.integers(0, 8, n))


def words(said: str) -> str:
    """Without the line breaks of a terminal."""
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        (np.ones((400, DIMENSION), np.float32), 1, "the reference's rows are all the same"),
        (ordinary(199, 1), 1, "at least 200 rows"),
        (np.where(np.arange(300)[:, None] == 7, np.inf, ordinary(300, 3)), 2, "line 8: row 7 holds a value that is not finite"),
        (ordinary(300, 4)[:, :5], 2, "shape (5,); expected 16 numbers"),
    ],
    ids=["constant", "too few", "not finite", "another dimension"],
)
def test_a_reference_that_can_not_serve_is_refused(desk: Desk, rows: NDArray[np.float32], code: int, says: str) -> None:
    np.save(desk.folder / "bad.npy", rows.astype(np.float32))
    assert says in words(desk.run("reference", "build", "--input", "bad.npy", code=code).stderr)
    assert desk.json("reference", "list") == {"references": []}


def test_fewer_rows_than_the_run_length_needs_say_how_many(watching: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = References(watching.folder / "state" / "references").load("chat").model
    monkeypatch.setattr("service.reference.fit_model", lambda *_, **__: learned)
    watching.configure(lambda document: document["monitors"][0]["detection"].update(run_length=60_000))
    said = words(watching.run("reference", "build", "--input", "good.jsonl", code=1).stderr)
    need = rows_needed(60_000)
    assert f"needs about {need} rows like these: 600 were given, which support {learned.calibration.supported:.0f}" in said
    assert "detection.accept_supported" in said


def test_a_reference_that_drifts_and_repeats_itself_is_built_with_warnings(desk: Desk) -> None:
    steady, later = ordinary(300, 1), ordinary(300, 2) + np.float32(0.3)
    np.save(desk.folder / "odd.npy", np.concatenate([steady, steady[:100], later]))
    said = words(desk.run("reference", "build", "--input", "odd.npy").stdout)
    assert "warning: it drifts itself: rows" in said
    assert "14.3% of the rows repeat an earlier one exactly" in said
    assert "2 warnings" in words(desk.run("reference", "list").stdout)
    found = [finding["says"] for finding in desk.json("doctor")["findings"] if finding["level"] == "warn"]
    assert sum(finding.startswith("reference 1: ") for finding in found) == 2


def test_one_class_is_as_good_a_reference_as_many(desk: Desk) -> None:
    rng = np.random.default_rng(3)
    rows = [{"vector": row.tolist(), "output": {"label": "a"}} for row in draw(rng, np.zeros(1_000, np.int64))]
    new = [{"vector": row.tolist(), "output": {"label": "a"}} for row in draw(rng, np.full(200, 9))]
    for name, part in (("one.jsonl", rows[:500]), ("calm.jsonl", rows[500:]), ("new.jsonl", new)):
        (desk.folder / name).write_text("\n".join(map(json.dumps, part)), encoding="utf-8")
    desk.run("reference", "build", "--input", "one.jsonl")
    assert desk.json("replay", "--input", "calm.jsonl")["alarms"] == []
    assert desk.json("replay", "--input", "calm.jsonl", "new.jsonl")["alarms"][0]["at_sample"] > 500


def test_traffic_that_can_not_be_used_is_dead_lettered_and_raises_nothing(watching: Desk) -> None:
    rows = ordinary(320, 5)
    rows[100:140, 3] = np.nan
    np.save(watching.folder / "traffic.npy", rows)
    found = watching.json("replay", "--input", "traffic.npy")
    assert (found["samples"], found["alarms"]) == (280, [])
    assert [letter["reason"] for letter in found["dead_letters"]] == ["not_finite"] * 40

    lines = [{"vector": row.tolist()} for row in ordinary(64, 6)] + [{"vector": [0.5] * 5}] * 64
    (watching.folder / "changed.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = watching.json("replay", "--input", "changed.jsonl")
    assert (found["samples"], found["alarms"]) == (64, [])
    assert [letter["reason"] for letter in found["dead_letters"]] == ["dimension"] * 64


def test_a_constant_input_is_drift_and_is_said_to_be_the_feeds(watching: Desk) -> None:
    np.save(watching.folder / "stuck.npy", np.tile(ordinary(1, 7), (320, 1)))
    (alarm,) = watching.json("replay", "--input", "stuck.npy")["alarms"]
    assert alarm["kind"].startswith("feed")
