"""A new model's own failures, told in words for whoever trained it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ArtefactError, InputError

REASON = "unusable_model"
_OPSET = re.compile(r"opset", re.IGNORECASE)


def unusable(error: Exception) -> InputError:
    """In words; what the runtime says of an operator set it does not know is no help to anybody."""
    said = str(error)
    if _OPSET.search(said):
        said = f"its operator set is newer than the installed ONNX Runtime knows: export it with an older opset. {said}"
    return InputError(REASON, f"the model can't be used: {said}")


@contextmanager
def blamed() -> Iterator[None]:
    """What the new model does goes on inside: what fails there is its own fault, and no lack of rows. A file that can't be read just now
    is nobody's: that is tried again."""
    try:
        yield
    except (ArtefactError, InputError) as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise unusable(error) from error
