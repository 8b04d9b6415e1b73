"""Models that can't be used say so before anything is judged by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from service.errors import EmbedderError, InputError
from service.ports import Embedded, Embedder
from service.records import Payload
from service.verifying import usable
from service.verifying.unusable import REASON
from service.verifying.usable import added, lost, require_same_inputs
from tests.service.verifying.models import CENTRES, NAMES, NEW, OLD, Nearest, samples

ROWS = [sample.payload for sample in samples(40, 1, "pay", "ship")]


def fails(error: Exception) -> Callable[[], Embedder]:
    def load() -> Embedder:
        raise error

    return load


@pytest.mark.parametrize(
    ("load", "classes", "says"),
    [
        (fails(EmbedderError("m.onnx: can't load it as an ONNX model")), NAMES, "the model can't be used: m.onnx: can't load it"),
        (fails(EmbedderError("m.onnx: ValidateOpsetForDomain ONNX Runtime only *guarantees* support")), NAMES, "with an older opset"),
        (fails(FileNotFoundError("m.onnx")), NAMES, "the model can't be used: m.onnx"),
        (fails(EmbedderError("/a/b/m.onnx: Opset 99 is under development. Support is till opset 26.")), NAMES, "operator set is 99, and"),
        (fails(ValueError("cannot reshape array")), NAMES, "it fails with ValueError: cannot reshape array"),
        (fails(ZeroDivisionError()), NAMES, "it fails with ZeroDivisionError"),
        (
            fails(EmbedderError("/data/models/chat/b3ab/m.onnx: [ONNXRuntimeError] : 1 : FAIL : Load model")),
            NAMES,
            "used: m.onnx: Load model",
        ),
        (lambda: Nearest(CENTRES), ("a", "b", "c"), "one logit for each of its 3 classes; found 4"),
        (lambda: Nearest(CENTRES), ("a", "b", "b", "b"), "1 of its classes are named twice, among them 'b'"),
        (lambda: Nearest(CENTRES), (), "its classes are not named"),
        (lambda: Nearest(CENTRES, shift=float("nan")), NAMES, "logits are not finite numbers on 32 of 32 rows"),
        (lambda: Nearest(CENTRES, fails="the model fails on this payload: other inputs"), NAMES, "other inputs"),
    ],
)
def test_why_a_model_can_not_be_used(load: Callable[[], Embedder], classes: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match="the model can't be used") as caught:
        usable(load, classes, ROWS)
    assert caught.value.reason == REASON
    assert says in str(caught.value)


def test_what_is_nobodys_fault_is_tried_again() -> None:
    with pytest.raises(MemoryError):
        usable(fails(MemoryError()), NAMES, ROWS)


def test_names_of_inputs_are_as_before_in_any_order() -> None:
    require_same_inputs(("ids", "mask"), ("mask", "ids"))
    with pytest.raises(InputError, match="the model can't be used: it is fed as tokens, the model in force as x") as caught:
        require_same_inputs(("x",), ("tokens",))
    assert caught.value.reason == REASON


def test_an_embedding_that_is_no_number_is_told() -> None:
    class Infinite(Nearest):
        """Answers well of rows that it embeds badly."""

        def embed(self, payloads: Sequence[Payload]) -> Embedded:
            found = super().embed(payloads)
            return Embedded(found.embedding + np.float32(np.inf), found.logits)

    with pytest.raises(InputError, match="its embedding is not finite"):
        usable(lambda: Infinite(CENTRES), NAMES, ROWS)


def test_a_usable_one_comes_with_its_classes() -> None:
    found = usable(lambda: Nearest(CENTRES), list(NAMES), ROWS)
    assert found.classes == NAMES
    assert usable(lambda: Nearest(CENTRES), NAMES).classes == NAMES


def test_classes_are_held_against_each_other_by_name() -> None:
    assert (lost(OLD.classes, NEW.classes), added(OLD.classes, NEW.classes)) == ([], ["voice"])
    assert lost(NEW.classes, OLD.classes) == ["voice"]
