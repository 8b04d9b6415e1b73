"""One shape of an explanation, whoever asks for it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from service.api.explanations import view
from service.explaining.nearby import Near, Novelty, Placed, Taught
from service.explaining.occluding import Attribution, Part
from service.explaining.samples import Answer, SampleExplanation
from service.explaining.written import document
from service.report.parts import Missing

NEAR = Near("t1", "money back", "refund", np.float32(0.5), None)  # type: ignore[arg-type]  # numbers come out of arrays
FULL = SampleExplanation(
    monitor="chat", id="m-17", place="recent traffic", kind="text", text="where", time=1_000.5, segments=MappingProxyType({"locale": "de"}),
    label=None, answer=Answer("refund", "", "refund", math.nan), reference_version=3, novelty=Novelty(0.9, math.nan, np.float64(0.5), 0.1),
    placed=Placed("novel", "refund", 4), near={"train": (NEAR,), "reference": ()}, supporting=(Taught("t9", "x", None, 0.25),), opposing=(),
    attribution=Attribution("answer", "words", 7.5, (Part("where", 0, 5, 1.0, math.nan, math.inf),)),
    missing=(Missing("reference", "there is none", "build it"),),
)  # fmt: skip
BARE = replace(FULL, novelty=None, attribution=None, reference_version=None, near={})


@pytest.mark.parametrize("explained", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("time", [1_000.5, 0.0, math.nan, 1e15])
def test_the_command_writes_what_the_api_answers(explained: SampleExplanation, time: float) -> None:
    found = document(replace(explained, time=time))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert view(replace(explained, time=time)).model_dump(mode="json") == found


def test_what_is_not_known_is_null() -> None:
    found = document(FULL)
    assert (found["time"], found["answer"]["confidence"]) == ("1970-01-01T00:16:40.500000Z", None)
    assert found["novelty"] == {"reference": 0.9, "train": None, "stream": 0.5, "residual": 0.1}
    assert document(replace(FULL, time=math.nan))["time"] is None
