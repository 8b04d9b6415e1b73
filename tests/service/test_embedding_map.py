"""The plane is the reference version's, both sides are on it, and what a box holds is told without what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.embedding_map import MOST_POINTS, NOVEL, UNKNOWN, Box, EmbeddingMap, MapRequest, Maps
from service.errors import NotFoundError
from service.records import Judgement, Pooled, Truths
from service.reference import References
from tests.service.conftest import PANE_SAMPLES, World

EVERYTHING = Box(-1e9, 1e9, -1e9, 1e9)


class Pool(SqliteStore):
    """Counts how often it is read."""

    reads = 0

    def pool(self, *arguments: object, **options: object) -> list[Pooled]:
        self.reads += 1
        return list(super().pool(*arguments, **options))  # type: ignore[arg-type]  # passed on as they came


@pytest.fixture
def store(world: World) -> Iterator[Pool]:
    with closing(Pool(":memory:")) as opened:
        log = world.log(opened)
        log.add(world.ordinary(20 * PANE_SAMPLES, 5), version=9)
        log.add(world.ordinary(10 * PANE_SAMPLES, 6))
        log.add(world.new(10 * PANE_SAMPLES, 7))
        yield opened


def maps(world: World, store: SqliteStore) -> Maps:
    return Maps(store, world.references, lambda _: world.settings)


def test_both_sides_stand_in_the_reference_s_own_plane(world: World, store: Pool) -> None:
    found = maps(world, store).of("chat", now=0.0)
    assert (found.reference, len(found), found.rows) == (1_200, 1_520, (1_200, 320)), "rows of another reference are on no map"
    assert found.ids[0] == world.rows.ids[0]
    assert found.ids[-1] == "s639"
    first = maps(world, store).of("chat", MapRequest(since=1_630.0), now=0.0)
    assert first.across[:1_200].tolist() == found.across[:1_200].tolist(), "what is drawn beside it moves no point"
    assert 0 < found.explained[1] <= found.explained[0] < 1


def test_what_is_new_is_far_away_and_coloured_so(world: World, store: Pool) -> None:
    found = maps(world, store).of("chat", now=0.0)
    clusters, sides = found.colouring("cluster"), found.colouring("side")
    novel = clusters.of == clusters.values.index(NOVEL)
    assert novel[-160:].mean() > 0.9
    assert novel[:1_200].mean() < 0.1
    assert np.median(found.distance[-160:]) > 2 > np.median(found.distance[:1_200])
    assert np.bincount(sides.of).tolist() == [1_200, 320]
    assert set(found.colouring("segment:locale").values) == {"de", "en", "fr"}
    assert found.colouring("class").values == (UNKNOWN,)
    assert found.colouring("novelty").of[-1] == 3
    with pytest.raises(NotFoundError, match="it can by side, cluster"):
        found.colouring("colour")


def test_points_are_capped_and_the_newest_samples_stay(world: World, store: Pool) -> None:
    small = maps(world, store).of("chat", MapRequest(points=100), now=0.0)
    assert (small.reference, len(small), small.ids[-1]) == (50, 100, "s639")
    lopsided = maps(world, store).of("chat", MapRequest(points=1_300), now=0.0)
    assert (lopsided.reference, len(lopsided)) == (980, 1_300), "a side that needs less leaves its room to the other"
    assert MapRequest().points == MOST_POINTS


def test_a_map_is_made_once_in_a_while(world: World, store: Pool) -> None:
    made = maps(world, store)
    assert made.of("chat", now=0.0) is made.of("chat", now=29.0)
    assert store.reads == 1
    assert made.of("chat", now=31.0) is not made.of("chat", now=0.0)


def test_without_recent_samples_there_is_the_reference_alone(world: World) -> None:
    with closing(SqliteStore(":memory:")) as empty:
        found = maps(world, empty).of("chat", now=0.0)
    assert (found.reference, len(found)) == (1_200, 1_200)


def test_without_a_reference_there_is_no_map(world: World, store: Pool, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="driftgate reference build"):
        Maps(store, References(tmp_path), lambda _: world.settings).of("chat", now=0.0)


def test_truth_that_came_later_is_the_class(world: World, store: Pool) -> None:
    known = Judgement("chat", "s639", "billing", "refund", 0.5, {}, -1, 1, 1_639.0, 2_000.0)
    store.judge(Truths("chat", (known,), keep=10))
    told = maps(world, store).of("chat", now=0.0).colouring("class")
    assert [told.values[at] for at in told.of[-2:]] == [UNKNOWN, "refund"]


def test_a_box_holds_what_is_inside_and_not_hidden(world: World, store: Pool) -> None:
    found = maps(world, store).of("chat", now=0.0)
    at = found.inside(EVERYTHING)
    assert len(at) == len(found)
    assert [found.ids[i] for i in at[:2]] == ["s639", "s638"], "the newest first, and the reference last"
    assert found.inside(EVERYTHING, hidden={0}) == at[:320]
    assert found.inside(EVERYTHING, by="novelty", hidden={0, 1, 2, 3}) == []
    strange = found.inside(replace(EVERYTHING, bottom=3.0, view="distance"))
    assert strange
    assert all(found.distance[i] >= 3 for i in strange)
    middle = _around(found, 5)
    assert 5 in found.inside(middle)


def _around(found: EmbeddingMap, at: int) -> Box:
    across, up = float(found.across[at]), float(found.up[at])
    return Box(across - 0.1, across + 0.1, up - 0.1, up + 0.1)
