"""What the tests of a monitor's answers leave for the next process, as a part of its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.error_rate import ErrorRateTest
from service.alarms import Episode
from service.truth.watching import Concept, ErrorWatch

_ARRAYS = "concept"


class KeptWatch(msgspec.Struct):
    """One stream, beside its test's arrays."""

    segment: str
    labels: int
    errors: int
    tested: bool
    episode: Episode
    opened_at: int


class KeptConcept(msgspec.Struct):
    """All streams; none before the first label."""

    watches: list[KeptWatch] = msgspec.field(default_factory=list)
    delay: Sequence[float] = ()


def kept(concept: Concept) -> KeptConcept:
    """All that is no array."""
    watches = [KeptWatch(segment, w.labels, w.errors, w.test is not None, w.episode, w.opened_at) for segment, w in concept.watches.items()]
    return KeptConcept(watches, tuple(concept.delay))


def arrays(concept: Concept) -> Mapping[str, NDArray[np.generic]]:
    """The tests' state."""
    tests = {number: watch.test for number, watch in enumerate(concept.watches.values()) if watch.test is not None}
    return {f"{_ARRAYS}.{number}.{name}": value for number, test in tests.items() for name, value in test.state().items()}


def restore(concept: Concept, head: KeptConcept, found: Mapping[str, NDArray[np.generic]]) -> None:
    """Takes up where `kept` and `arrays` were taken; KeyError or ValueError where they do not fit each other."""
    watches = {}
    for number, each in enumerate(head.watches):
        prefix = f"{_ARRAYS}.{number}."
        state = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
        test = ErrorRateTest.from_state(state) if each.tested else None
        watches[each.segment] = ErrorWatch(each.labels, each.errors, test, each.episode, each.opened_at)
    concept.watches, concept.delay = watches, head.delay
