"""A new model's own failures, told in words for whoever trained it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ArtefactError, DriftgateError, InputError

REASON = "unusable_model"
FAILURES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What feeding a model that nobody has seen before, or reading its answer, may raise."""

_OPSET = re.compile(r"opset", re.IGNORECASE)
_ITS_OPSET, _KNOWN_OPSET = re.compile(r"Opset (\d+)"), re.compile(r"till opset (\d+)")
_FOLDERS = re.compile(r"[^\s'\"(:]*/(?=[^\s'\"(:/]+\.\w)")
_RUNTIME = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
"""How ONNX Runtime begins whatever it says."""


def unusable(error: Exception) -> InputError:
    """The reason in few words and first: files without their folders; what the runtime says of an operator set that it does not know is
    no help to anybody."""
    if isinstance(error, InputError) and error.reason == REASON:
        return error
    said = _RUNTIME.sub("", _FOLDERS.sub("", str(error))).strip()
    if not isinstance(error, DriftgateError | OSError):
        said = f"it fails with {type(error).__name__}: {said}".removesuffix(": ")
    if _OPSET.search(said):
        said = _of_opset(said)
    return InputError(REASON, f"the model can't be used: {said}")


def _of_opset(said: str) -> str:
    its, known = _ITS_OPSET.search(said), _KNOWN_OPSET.search(said)
    if its and known:
        return f"its operator set is {its[1]}, and the installed ONNX Runtime knows those up to {known[1]}: export it with an older opset"
    return f"its operator set is newer than the installed ONNX Runtime knows: export it with an older opset. {said}"


@contextmanager
def blamed() -> Iterator[None]:
    """What the new model does goes on inside: whatever fails there is its own fault, and no lack of rows. A file that can't be read just
    now, or too little memory, is nobody's: that is tried again."""
    try:
        yield
    except (ArtefactError, InputError) as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise unusable(error) from error
    except FAILURES as error:
        raise unusable(error) from error
