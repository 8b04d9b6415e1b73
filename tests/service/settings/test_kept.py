"""What of a monitor's settings is kept in the store, for this driftgate and for the one before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import MonitorSettings

ROOT = Path(__file__).parents[3]
PLAIN = {"name": "chat", "embedder": {"input": "none", "dimension": 4}}
RICH = {
    **PLAIN,
    "team": "search",
    "classes": ["yes", "no"],
    "topic": {"name": "chats", "start": "2026-11-01T00:00:00Z"},
    "kserve": {},
    "segments": {"tags": ["locale"]},
    "detection": {"pane_samples": 64},
    "refresh": {"automatic": False},
    "privacy": {"redact": ["email"]},
}

SHAPED: dict[str, Any] = {
    "embedder": {
        "model": None,
        "input": "none",
        "tokenizer": None,
        "special_tokens": True,
        "max_tokens": 256,
        "pooling": "none",
        "normalize": None,
        "embedding_output": "embedding",
        "logits_output": "logits",
        "image_size": None,
        "image_channels": 3,
        "image_mean": [],
        "image_std": [],
        "threads": None,
        "max_text_bytes": 1000000,
        "max_image_pixels": 50000000,
        "dimension": 4,
    },
    "classes": [],
    "segments": {"tags": [], "max_values": 50},
    "detection": {"pane_samples": 32, "pane_seconds": 60.0},
    "kserve": None,
    "topic": None,
    "privacy": {"redact": [], "patterns": [], "fields": {}, "key_file": None},
}


def monitors_in(path: Path) -> list[dict[str, Any]]:
    """Of a configuration."""
    return list(yaml.safe_load(path.read_text(encoding="utf-8"))["monitors"])


@pytest.mark.parametrize("document", [PLAIN, RICH, *monitors_in(ROOT / "deploy" / "driftgate.yaml")], ids=str)
def test_what_is_kept_is_read_as_the_same(document: dict[str, Any]) -> None:
    settings = MonitorSettings.model_validate(document)
    assert MonitorSettings.model_validate(settings.kept) == settings


def test_what_is_as_by_default_is_not_kept() -> None:
    assert MonitorSettings.model_validate(PLAIN).kept == PLAIN
    assert "privacy" not in MonitorSettings.model_validate({**PLAIN, "privacy": {}}).kept


def test_what_shapes_panes_by_default_stays() -> None:
    """Two versions side by side must fold alike: another default would have each write panes of its own, which nobody notices."""
    assert MonitorSettings.model_validate(PLAIN).shaping == SHAPED
