"""One rule names the kind, from causes to consequences."""

from collections.abc import Mapping

import pytest

from detectors.kinds import Signs, name_kind

CALM: Mapping[str, tuple[float, float]] = {
    "mmd": (0.4, 0.02), "novelty": (0.4, 0.0), "confidence": (0.4, 0.0), "prediction": (0.4, 0.0),
    "length high": (0.4, 0.0), "length low": (0.4, 0.0), "spelling high": (0.4, 0.0), "spelling low": (0.4, 0.0),
}  # fmt: skip


def signs(repeated: float = 0.0, lost: float = 0.0, **moved: tuple[float, float]) -> Signs:
    """Channel → (surprise, share); the others are calm."""
    shown = {**CALM, **{name.replace("_", " "): value for name, value in moved.items()}}
    return Signs({name: value[0] for name, value in shown.items()}, {name: value[1] for name, value in shown.items()}, repeated, lost)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (signs(mmd=(9, 0.3), novelty=(9, 0.4), confidence=(12, 0.5)), "new content"),
        (signs(mmd=(9, 0.3)), "changed mix"),
        (signs(mmd=(9, 0.3), novelty=(4, 0.2), spelling_high=(9, 0.4)), "quality loss: spelling high"),
        (signs(length_low=(9, 0.2)), "quality loss: length low"),
        (signs(mmd=(9, 0.3), novelty=(9, 0.4), length_high=(3, 0.1)), "new content"),
        (signs(prediction=(9, 0.3)), "changed predictions"),
        (signs(confidence=(9, 0.3)), "confidence"),
        (signs(repeated=0.2, mmd=(20, 0.6), spelling_low=(9, 0.5)), "feed: repeated samples"),
        (signs(repeated=0.03, mmd=(9, 0.3), novelty=(9, 0.4)), "new content"),
        (signs(lost=0.4, mmd=(9, 0.3)), "feed: input lost"),
    ],
)
def test_kinds(shown: Signs, kind: str) -> None:
    assert name_kind(shown) == kind


def test_without_outputs_or_measures_there_is_still_a_name() -> None:
    assert name_kind(Signs({"mmd": 9.0, "novelty": 8.0}, {"mmd": 0.3, "novelty": 0.3})) == "new content"
