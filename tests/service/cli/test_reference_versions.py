"""How versions of a reference differ, and which one a rollback goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.reference_differences import NEW_CONTENT, alike

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


def test_versions_differ_by_rows_clusters_and_thresholds(alarmed: Desk) -> None:
    alarmed.run("reference", "rebase", "--since", "2026-03-01T00:10:00")
    found = alarmed.json("reference", "diff", 1, 2)
    assert (found["before"], found["after"], found["rows"], found["shared"]) == (1, 2, [600, 900], 0)
    clusters = {each["name"]: each for each in found["clusters"]}
    assert clusters[NEW_CONTENT]["before"] < 0.01
    assert clusters[NEW_CONTENT]["after"] > 0.2
    for side in ("before", "after"):
        assert sum(each[side] for each in found["clusters"]) == pytest.approx(1.0)
    moves = [abs(each["after"] - each["before"]) for each in found["clusters"]]
    assert moves == sorted(moves, reverse=True)
    assert found["facts"]["source"] == ["files", "recent samples"]
    assert "fingerprint" not in found["facts"]
    assert set(found["thresholds"]) <= {"500", "1000", "5000", "20000", "100000", "1000000", "100000000", "10000000000"}
    shown = alarmed.run("reference", "diff", 1).stdout
    assert "reference 1 → 2: 600 rows before, 900 after, 0 in both" in " ".join(shown.split())
    assert NEW_CONTENT in shown
    assert alarmed.json("reference", "diff", 2, 2)["facts"] == {}
    assert "no reference version 9" in alarmed.run("reference", "diff", 1, 9, code=2).stderr


def test_a_rollback_passes_over_what_was_never_in_force(alarmed: Desk) -> None:
    alarmed.run("reference", "build", "--from-stream", "--first", 700)
    alarmed.run("reference", "rebase")
    assert [found["version"] for found in alarmed.json("reference", "list")["references"] if found["provisional"]] == [2, 3]
    assert "back on reference 1, from 3" in alarmed.run("reference", "rollback").stdout


def test_a_rollback_goes_to_what_was_made_of_the_stream_and_accepted(alarmed: Desk) -> None:
    alarmed.run("reference", "build", "--from-stream", "--first", 700)
    alarmed.run("reference", "accept", 2)
    alarmed.run("reference", "rebase")
    assert "back on reference 2, from 3" in alarmed.run("reference", "rollback").stdout


def test_embedders_are_alike_where_they_embed_alike() -> None:
    rows = list(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    plain, unit, wide = (VectorEmbedder(size, normalize=normal) for size, normal in ((6, False), (6, True), (7, False)))
    assert alike(plain, VectorEmbedder(6, normalize=False), rows)
    assert not alike(plain, unit, rows)
    assert not alike(plain, wide, rows)
    assert not alike(plain, plain, [])
