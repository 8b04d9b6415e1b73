"""The fleet on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def test_before_anything_is_decided(desk: Desk) -> None:
    assert desk.json("fleet") == {"error": 0.1, "patience_days": 30.0, "streams": [], "outside": []}
    assert "no stream has decided anything yet" in desk.run("fleet").stdout


def test_a_stream_in_drift_stands_with_its_alarm(alarmed: Desk) -> None:
    (alarm,) = alarmed.json("alarm", "list")["alarms"]
    (stream,) = alarmed.json("fleet")["streams"]
    assert (stream["monitor"], stream["stands"], stream["alarm"]) == ("chat", True, alarm["id"])
    assert "1 of 1 streams stand together" in " ".join(alarmed.run("fleet").stdout.split())
