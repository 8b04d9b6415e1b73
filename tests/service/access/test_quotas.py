"""What a team may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.access.quotas import Meter, require_room
from service.errors import BacklogFullError, ConfigurationError, ConflictError
from service.settings import Settings, parse


def settings(quotas: dict[str, Any], *monitors: str) -> Settings:
    declared = [{"name": name, "team": "payments", "embedder": {"model": "m.onnx", "input": "none", "dimension": 3}} for name in monitors]
    return parse({"teams": [{"name": "payments", "quotas": quotas}], "monitors": declared}, base=Path("/nowhere"))


def test_a_file_declares_no_more_monitors_than_the_team_may_have() -> None:
    assert len(settings({"monitors": 2}, "a", "b").monitors) == 2
    with pytest.raises(ConfigurationError, match=r"team payments: 3 monitors are declared and quotas\.monitors allows 2: a, b, c"):
        settings({"monitors": 2}, "a", "b", "c")


def test_nor_does_the_api() -> None:
    known, more = settings({"monitors": 2}, "a", "b"), settings({}, "c")
    with pytest.raises(ConflictError, match=r"may have 2 monitors.*raise the quota"):
        require_room(known, more.monitors[0])
    require_room(known, known.monitors[1])
    require_room(settings({"monitors": 2}, "a"), more.monitors[0])
    require_room(known, more.monitors[0].model_copy(update={"team": None}))


def test_samples_of_a_team_are_metered_over_all_its_monitors() -> None:
    meter = Meter(lambda: FOUND)
    meter.take({"a": 60}, 0.0)
    meter.take({"b": 40}, 0.0)
    with pytest.raises(BacklogFullError, match="team payments may send 10 samples a second") as caught:
        meter.take({"a": 1}, 0.0)
    assert caught.value.retry_after == pytest.approx(0.1)
    meter.take({"loose": 10_000}, 0.0)
    meter.take({"a": 10}, 1.0)
    assert meter.rate("payments", 1.0) == pytest.approx(10.0)


FOUND = settings({"samples_per_second": 10}, "a", "b")


def test_a_quota_that_changes_holds_at_once() -> None:
    now = [FOUND]
    meter = Meter(lambda: now[0])
    meter.take({"a": 100}, 0.0)
    now[0] = settings({"samples_per_second": 1_000}, "a", "b")
    meter.take({"a": 100}, 0.0)
    now[0] = settings({}, "a", "b")
    meter.take({"a": 100_000}, 0.0)
    assert meter.rate("payments", 0.0) >= 0
