"""What dead letters hold, as people read it: text as it came, and our own encoding in words."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from service.decoding import envelope
from service.records import Item, Output, Rejected, Request, Response, Sample

_SHOWN_NUMBERS = 8
"""Of a vector."""


def legible(content: bytes) -> str:
    """`content` is an item of the log, or anything else that came; of an item that was cut what can be read."""
    item = envelope.decode(content)
    if isinstance(item, Rejected):
        return (content if item.reason == "envelope" else item.original).decode("utf-8", "replace")
    return msgspec.json.encode(_told(item)).decode()


def _told(item: Item) -> dict[str, Any]:
    match item:
        case Sample():
            output = {} if item.output is None else {"output": _output(item.output)}
            rest = {"segments": item.segments, "label": item.label}
            return {"id": item.id, **_payload(item), **output, **{name: value for name, value in rest.items() if value}}
        case Request():
            return {"request": item.event_id, "samples": [_told(sample) for sample in item.samples]}
        case Response():
            return {"response": item.event_id, "outputs": [_output(output) for output in item.outputs]}
        case Rejected():
            return {"refused": item.reason, "original": item.original.decode("utf-8", "replace")}


def _payload(sample: Sample) -> dict[str, str]:
    match sample.payload:
        case str():
            return {"text": sample.payload}
        case np.ndarray():
            numbers = ", ".join(f"{number:.4g}" for number in sample.payload.ravel()[:_SHOWN_NUMBERS])
            return {"vector": f"{' by '.join(map(str, sample.payload.shape))} numbers: {numbers} …"}
        case _:
            return {"image": f"{len(sample.payload)} bytes"}


def _output(output: Output) -> dict[str, Any]:
    told = {name: getattr(output, name) for name in ("label", "probabilities", "logits", "model_version")}
    return {name: value for name, value in told.items() if value is not None}
