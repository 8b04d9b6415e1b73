"""A verification in a terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from service.screens.verifying import verification_table

SET = {"rows": 1_500, "old_accuracy": 0.9, "new_accuracy": 0.89, "positive_flips": 10, "negative_flips": 25}
GAIN = {"estimate": -0.01, "low": -0.02, "high": 0.0}


def words(verification: dict[str, Any]) -> str:
    """Everything shown, on one line."""
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(verification_table(verification))
    return " ".join(console.export_text().split())


def test_segments_lost_classes_and_what_stands_beside_are_told() -> None:
    segment = {**SET, "gain": GAIN, "outcome": "failed", "gated": True}
    text = words(
        {
            "verdict": "reject",
            "golden": {**SET, "gain": GAIN, "negative_flip_bound": 0.025},
            "segments": [{**segment, "segment": f"locale={i}", "gain": {**GAIN, "estimate": i / 100}} for i in range(14)],
            "worse_segments": [{"segment": "locale=0"}],
            "lost_classes": ["refund\x1b[31m"],
            "correction": {"relabelled": 12, "verdict": "promote"},
            "fitting": {"fits": "over", "says": "accuracy falls by 9 points from what it learned from to golden"},
            "latency": {"ratio": {"estimate": 1.5, "low": 1.4, "high": 1.6}},
        }
    )
    for said in (
        "locale=0 1,500 90.0 % 89.0 % +0.0 failed",
        "… and 2 more segments",
        "surely worse (Holm): locale=0",
        "does not know: refund [31m",
        "with 12 golden labels as they were before their correction: promote",
        "accuracy falls by 9 points",
        "1.50 times as long (1.40 to 1.60)",
    ):
        assert said in text
    assert "locale=12" not in text
    assert "allowed" not in text


def test_shares_that_are_weighted_are_told_so() -> None:
    challenge = {**SET, "gain": GAIN}
    assert "weighted" not in words({"verdict": "promote", "challenge": challenge})
    text = words({"verdict": "promote", "challenge": {**challenge, "weighted": True, "effective_rows": 17.4}})
    assert "challenge: shares are weighted by the chances with which rows were drawn, worth 17 rows drawn evenly" in text


def test_a_model_that_can_not_be_used_has_nothing_but_its_reason() -> None:
    text = words({"verdict": "reject", "passed": False, "reasons": ["the model can't be used: not ONNX"]})
    assert "the new model did not pass: reject • the model can't be used: not ONNX" in text
