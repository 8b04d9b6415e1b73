"""What a trial is prepared with: embedder and reference by the command, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from service.app import opened
from service.cli.application import app
from service.demo.preparing import DAYS, Wanted, ordinary_days
from service.settings import load

DAY = 86_400.0


def prepare(folder: Path, embedder: dict[str, Any], *options: str) -> Result:
    monitor = {"name": "support-chat", "embedder": embedder, "detection": {"run_length": 5_000, "accept_supported": True}}
    (folder / "driftgate.yaml").write_text(yaml.safe_dump({"directory": "state", "monitors": [monitor]}), encoding="utf-8")
    return CliRunner().invoke(app, ["demo", "prepare", "--config", str(folder / "driftgate.yaml"), *options])


def test_ordinary_days_are_whole_weeks_up_to_now_in_order() -> None:
    days = ordinary_days(Wanted("support-chat", rows=500), 1_800_000_000.0)
    times = np.array([message.time for message in days])
    assert len(days) == 500
    assert DAYS % 7 == 0
    assert times[-1] == pytest.approx(1_800_000_000.0)
    assert 0 < times[0] - (1_800_000_000.0 - DAYS * DAY) < DAY
    assert (np.diff(times) > 0).all()


@pytest.mark.long
def test_the_reference_is_made_once_and_a_line_says_which_step_it_is(tmp_path: Path, minilm: Path) -> None:
    made = prepare(tmp_path, {"model": str(minilm), "threads": 1}, "--rows", "600")
    assert made.exit_code == 0, made.output
    assert "embedding the reference …" in made.stdout
    assert "reference of support-chat: version 1" in made.stdout
    assert "embedder: is there" in made.stdout
    with opened(load(tmp_path / "driftgate.yaml"), config=tmp_path / "driftgate.yaml") as installation:
        assert installation.version("support-chat") == 1
        assert len(installation.references.load("support-chat", 1).rows) == 600
    again = prepare(tmp_path, {"model": str(minilm), "threads": 1}, "--rows", "600")
    assert "reference of support-chat: is there" in again.stdout


def test_a_monitor_of_vectors_has_no_use_for_messages(tmp_path: Path) -> None:
    refused = prepare(tmp_path, {"input": "none", "dimension": 4})
    assert refused.exit_code == 2
    assert "embedder.input text" in refused.stderr
