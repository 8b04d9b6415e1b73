"""The demo's stage is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.demo.scene import Scene, settings_for
from service.heads import Head


def test_the_environment_of_a_real_installation_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTGATE__DIRECTORY", "/data")
    monkeypatch.setenv("DRIFTGATE__SERVER__HOST", "0.0.0.0")  # noqa: S104 - the variable must be without effect
    monkeypatch.setenv("DRIFTGATE__SERVER__PORT", "9")
    head = Head(("refund", "login"), np.zeros((2, 3), np.float32), np.zeros(2, np.float32))

    settings = settings_for(Scene.new(tmp_path, seed=1), tmp_path / "model.onnx", head, port=0)

    assert (settings.directory, settings.server.host, settings.server.port) == (tmp_path / "state", "127.0.0.1", 0)
