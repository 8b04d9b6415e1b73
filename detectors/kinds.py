"""Which kind of drift it is: one pure rule over what a window shows, all of it measured as shares of the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Kind(StrEnum):
    """What changed; `name_kind` adds the measure to `QUALITY`."""

    NEW = "new content"
    MIX = "changed mix"
    QUALITY = "quality loss"
    PREDICTIONS = "changed predictions"
    CONFIDENCE = "confidence"
    FEED = "feed"


OUTPUTS: Mapping[str, Kind] = {"prediction": Kind.PREDICTIONS, "confidence": Kind.CONFIDENCE}
"""Channels of the model's answers."""

_LEVEL = 0.05
_MEANING = "mmd"
"""The norm that weighs all directions alike: how far the mean meaning moved."""
_COPY_REACH = 2.5
"""A sample that repeats moves the mean about so many times as far as as many samples of one topic, which scatter."""
_FEWEST = 0.02


@dataclass(frozen=True, slots=True)
class Signs:
    """What a window shows of each channel, and how much of it is copies.

    surprise : channel → -log10 of its tail probability in this window.
    share : channel → how much of the traffic would have to be wholly new, or beyond the reference's 99th percentile, to move it so far.
    repeated : share of the samples that are copies of an earlier, ordinary one, beyond the reference's own.
    lost : share of what came in that could not be used.
    """

    surprise: Mapping[str, float]
    share: Mapping[str, float]
    repeated: float = 0.0
    lost: float = 0.0


def is_quality(channel: str) -> bool:
    """Whether it is a side of a quality measure."""
    return channel.endswith((" high", " low"))


def name_kind(signs: Signs) -> str:
    """The kind of drift, from causes to consequences: the first that accounts for at least half of how far the meaning moved.

    Copies move every other channel, so they come first. Spoilt inputs look new, and new ones are hardly ever spoilt: quality is
    named where at least as many samples lie beyond the reference in one of its measures as in novelty. Answers are named only where
    no channel of the inputs moved (5 % over all of them): that a model is unsure of what is new is no change of the model. What
    moved without novelty is a changed mix, of which losing part of the input is one.

    Examples
    --------
    >>> str(name_kind(Signs({"mmd": 9.0, "novelty": 7.0, "length low": 0.3}, {"mmd": 0.3, "novelty": 0.4, "length low": 0.01})))
    'new content'
    >>> name_kind(Signs({"mmd": 9.0, "novelty": 2.0, "length low": 8.0}, {"mmd": 0.3, "novelty": 0.1, "length low": 0.4}))
    'quality loss: length low'
    """
    novel, half = signs.share.get("novelty", 0.0), signs.share.get(_MEANING, 0.0) / 2
    if signs.repeated >= _FEWEST and _COPY_REACH * signs.repeated >= max(novel, half):
        return f"{Kind.FEED}: repeated samples"
    inputs = {channel: surprise for channel, surprise in signs.surprise.items() if channel not in OUTPUTS}
    significant = np.log10(len(inputs) / _LEVEL)
    outputs = {channel: surprise for channel, surprise in signs.surprise.items() if channel in OUTPUTS}
    if outputs and max(inputs.values()) < significant <= max(outputs.values()):
        return OUTPUTS[max(outputs, key=outputs.__getitem__)]
    measures = {channel: signs.share[channel] for channel in inputs if is_quality(channel)}
    worst = max(measures, key=measures.__getitem__, default="")
    if worst and measures[worst] >= max(novel, half):
        return f"{Kind.QUALITY}: {worst}"
    if novel >= half:
        return Kind.NEW
    return f"{Kind.FEED}: input lost" if signs.lost >= max(half, _FEWEST) else Kind.MIX
