"""How a monitor stands with a reference that has decided nothing yet."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from service.adapters.sqlite import SqliteStore
from service.records import Decision
from service.standing import Standing

if TYPE_CHECKING:
    from tests.service.conftest import World


def test_after_a_rebase_the_figures_are_those_of_the_new_reference(world: World) -> None:
    with closing(SqliteStore(":memory:")) as store:
        store.decide(Decision("chat", 0, 0, state=b'{"state": "drifting", "reference_version": 0, "samples": 40}'))
        document = Standing(store, world.references, lambda _: world.settings).document("chat")
    assert (document["state"], document["reference_version"]) == ("warming up", 1)
    assert document["missing_samples"] > 0
    assert [delay["share"] for delay in document["expected_delay"]] == [0.05, 0.1, 0.2, 0.5]
