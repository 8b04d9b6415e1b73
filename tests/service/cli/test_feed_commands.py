"""A monitor that does not see its input says so to whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from service.app import opened
from service.records import Decision
from service.settings import load

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

LOST = {"samples": 211, "lost": 109, "reasons": {"type": 109}}
FEED: dict[str, Any] = {
    "blind": True, "silent": False, "alarms": ["f1"], "lost_share": 109 / 320, "unanswered_share": 0.0, "unmatched_share": 0.05,
    "window": LOST, "day": LOST, "total": {"type": 109}, "silence_after": None,
}  # fmt: skip


@pytest.fixture
def blind(tmp_path: Path, desk_in: Callable[[Path], Desk]) -> Desk:
    """Has decided that it is."""
    desk = desk_in(tmp_path)
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 16}}
    (tmp_path / "driftgate.yaml").write_text(yaml.safe_dump({"directory": "state", "monitors": [monitor]}), encoding="utf-8")
    with opened(load(tmp_path / "driftgate.yaml")) as installation:
        state = {"state": "blind", "samples": 211, "reference_version": 1, "feed": FEED}
        installation.store.decide(Decision("chat", 0, 0, state=msgspec.json.encode(state)))
    return desk


def test_doctor_fails_on_a_blind_monitor_and_names_a_topic_that_is_not_keyed(blind: Desk) -> None:
    findings = {finding["says"]: finding["level"] for finding in blind.json("doctor", code=1)["findings"]}
    assert findings["blind: 34 % of the latest input is lost, so that no drift is told"] == "fail"
    assert findings["5 % of the answers match no request"] == "warn"
