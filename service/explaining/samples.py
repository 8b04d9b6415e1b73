"""One sample explained: what it is near, what taught the model its answer, and which of its parts the answer stands on."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from detectors.neighbours import Neighbours
from service.datasets import DataSet
from service.errors import BacklogFullError, EmbedderError, InputError
from service.explaining.finding import Found, find
from service.explaining.nearby import Near, Novelty, Placed, Rows, Taught, by_stream, placed, taught, text_of
from service.explaining.occluding import Attribution, Probe, attribute, attribute_embedding
from service.ports import Embedded, Embedder
from service.records import Payload, Sample
from service.reference import Reference
from service.reference_rows import answer, sureness
from service.report.material import Material, Progress, Side
from service.report.parts import Missing
from service.report.reporting import Gather

_TEXT, _MOST_AVERAGED, _AGAIN_SECONDS = 2_000, 1_000, 5.0
_KINDS = {"text": "text", "image": "image", "tensor": "vector", "none": "vector"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said; '' where that is not known."""

    given: str
    """When the sample came."""
    now: str
    """By the model in force."""
    explained: str
    """Whose logit is explained: the one given, where the model in force has such a class."""
    confidence: float
    """Of the answer given, without one of the answer now; NaN where it is not known."""


@dataclass(frozen=True, slots=True)
class SampleExplanation:
    """All that can be said of one sample; what can't is in `missing`."""

    monitor: str
    id: str
    place: str
    kind: str
    """Text, image or vector."""
    text: str
    """Cut to 2,000 characters."""
    time: float
    segments: Mapping[str, str]
    label: str | None
    answer: Answer
    reference_version: int | None
    novelty: Novelty | None
    placed: Placed
    near: Mapping[str, tuple[Near, ...]]
    """`reference` and `train` → the nearest of their rows."""
    supporting: tuple[Taught, ...]
    opposing: tuple[Taught, ...]
    attribution: Attribution | None
    missing: tuple[Missing, ...]


class Samples:
    """Explains one sample at a time: each costs a hundred runs of the model and a look at every training row."""

    def __init__(self, gather: Gather, embedder: Callable[[str], Embedder]) -> None:
        self._gather = gather
        self._embedder = embedder
        self._turn = threading.Lock()

    def explain(self, monitor: str, sample: str, *, now: float, progress: Progress = lambda *_: None) -> SampleExplanation:
        """One that is kept somewhere, by its id."""
        with self._alone():
            material = self._gather(monitor, now=now, progress=progress)
            return _Explaining(material, find(material, sample), self._embedder).all()

    def explain_given(self, sample: Sample, *, now: float, progress: Progress = lambda *_: None) -> SampleExplanation:
        """One from outside. InputError where the model can't take it."""
        self._embedder(sample.monitor).check(sample.payload)
        with self._alone():
            material = self._gather(sample.monitor, now=now, progress=progress)
            return _Explaining(material, Found(sample, "the input"), self._embedder).all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(blocking=False):
            raise BacklogFullError("another sample is being explained; ask again in a few seconds", retry_after=_AGAIN_SECONDS)
        try:
            yield
        finally:
            self._turn.release()


@dataclass(eq=False)
class _Explaining:
    """The steps over one sample; each that can't be taken says so in `missing`."""

    material: Material
    found: Found
    load: Callable[[str], Embedder]
    missing: list[Missing] = field(default_factory=list)

    def all(self) -> SampleExplanation:
        """Everything together."""
        sample, reference = self.found.sample, self.reference
        near = {side: self._shown(side) for side in ("reference", "train")}
        supporting, opposing = self._taught()
        attribution = self._attribution()
        return SampleExplanation(
            monitor=sample.monitor, id=sample.id, place=self.found.place, kind=_KINDS[self.material.settings.embedder.input],
            text=text_of(sample.payload)[:_TEXT], time=sample.time, segments=sample.segments, label=self.label, answer=self.answer,
            reference_version=reference.version if reference else None, novelty=self._novelty(), placed=self.placed, near=near,
            supporting=supporting, opposing=opposing, attribution=attribution,
            missing=tuple(dict.fromkeys(self.missing)),
        )  # fmt: skip

    # --- the sample and the model -----------------------------------------------------------------------------------

    @property
    def reference(self) -> Reference | None:
        """In force."""
        return self.material.reference

    @cached_property
    def embedder(self) -> Embedder | None:
        """The one in force, where there is something to ask it and it made what the answer is compared with."""
        if self.found.bare is not None:
            self.missing.append(self.found.bare)
            return None
        try:
            embedder = self.load(self.material.monitor)
        except EmbedderError as error:
            self._without("the model's answer", str(error), "mend `embedder` in the configuration")
            return None
        if self.reference is not None and self.reference.fingerprint != embedder.fingerprint:
            why = f"reference version {self.reference.version} was made with another embedder than the one in force"
            self._without("the model's answer", why, "driftgate reference build")
            return None
        return embedder

    @cached_property
    def seen(self) -> Embedded | None:
        """As the model sees it now."""
        if self.embedder is None:
            return None
        try:
            self.embedder.check(self.found.sample.payload)
            return self.embedder.embed([self.found.sample.payload])
        except InputError as error:
            self._without("the model's answer", str(error), "explain a mended copy with --input FILE")
            return None

    @cached_property
    def vector(self) -> NDArray[np.float32] | None:
        """(d,) its embedding: without its payload the one that was kept, where it is of the model in force."""
        if self.seen is not None:
            return np.asarray(self.seen.embedding[0], np.float32)
        if self.found.embedding is None:
            why = "its payload is not at hand, and the embedding that was kept is of another reference than the one in force"
            self._without("neighbours and novelty", why, "explain it from a file with --input FILE")
        return self.found.embedding

    @cached_property
    def answer(self) -> Answer:
        """Then and now."""
        output, classes = self.found.sample.output, self.material.settings.classes
        logits = None if self.seen is None or self.seen.logits is None else self.seen.logits[0]
        named = "" if self.given is None else classes[self.given] if self.given < len(classes) else f"class {self.given}"
        return Answer(answer(output, None, classes), answer(None, logits, classes), named, sureness(output, logits))

    @cached_property
    def given(self) -> int | None:
        """The number of the class that is explained; None without logits."""
        if self.seen is None or self.seen.logits is None:
            return None
        output, classes = self.found.sample.output, self.material.settings.classes
        said = answer(output, None, classes)
        named = said in classes and len(classes) == self.seen.logits.shape[1]
        return classes.index(said) if named else int(self.seen.logits[0].argmax())

    @cached_property
    def label(self) -> str | None:
        """Its own, or the truth that came later."""
        told = (judged.truth for judged in reversed(self.material.judgements) if judged.sample == self.found.sample.id)
        return self.found.sample.label or next(told, None)

    # --- what it is near --------------------------------------------------------------------------------------------

    @cached_property
    def placed(self) -> Placed:
        """Among the reference's clusters."""
        return Placed() if self.reference is None or self.vector is None else placed(self.vector, self.reference)

    @cached_property
    def _train(self) -> DataSet | None:
        """The newest, where it is of the model in force."""
        train = self.material.data_set("train")
        if isinstance(train, Missing):
            self.missing.append(train)
            return None
        if self.embedder is not None and train.manifest["fingerprint"] != self.embedder.fingerprint:
            why = f"version {train.version} was embedded by another model than the one in force"
            self._without("train set", why, "add it again: driftgate dataset add --role train")
            return None
        return train

    @cached_property
    def _rows(self) -> Mapping[Side, Rows]:
        if self.reference is None:
            self._without("reference", "there is none", "driftgate reference build")
        kept: dict[Side, Reference | DataSet | None] = {"reference": self.reference, "train": self._train}
        return {side: Rows.of(rows, self._own(side)) for side, rows in kept.items() if rows is not None}

    @cached_property
    def _nearest(self) -> Mapping[Side, Neighbours]:
        if self.vector is None:
            return {}
        found = {side: rows.nearest(self.vector) for side, rows in self._rows.items()}
        return {side: near for side, near in found.items() if near is not None}

    def _own(self, side: Side) -> int | None:
        """Which of the side's rows the sample is itself."""
        return self.found.row[1] if self.found.row is not None and self.found.row[0] == side else None

    def _shown(self, side: Side) -> tuple[Near, ...]:
        held = self.label or self.answer.given or self.answer.now
        return self._rows[side].shown(self._nearest[side], held) if side in self._nearest else ()

    def _novelty(self) -> Novelty | None:
        if self.vector is None:
            return None
        exact = {side: self._rows[side].percentile(self.vector, near) for side, near in self._nearest.items()}
        stream, residual = (math.nan, math.nan) if self.reference is None else by_stream(self.vector, self.reference)
        return Novelty(exact.get("reference", math.nan), exact.get("train", math.nan), stream, residual)

    # --- what the answer comes from ---------------------------------------------------------------------------------

    def _taught(self) -> tuple[tuple[Taught, ...], tuple[Taught, ...]]:
        if self._train is None or self.seen is None:
            return (), ()  # what they lack has been said
        found = taught(self._train, self.seen, self.given, self._own("train"))
        if isinstance(found, Missing):
            self.missing.append(found)
            return (), ()
        return found

    def _attribution(self) -> Attribution | None:
        if self.embedder is None or self.seen is None:
            return None
        summarizer = None if self.reference is None else self.reference.summarizer
        if self.material.settings.embedder.input == "none" and summarizer is not None:
            return attribute_embedding(self.seen.embedding[0], summarizer)
        if self.given is None and summarizer is None:
            why = "the model gives no logits, and there is no reference to be near"
            self._without("what it stands on", why, "driftgate reference build")
            return None
        probe, payload = Probe(self.given, summarizer, self.placed.number), self.found.sample.payload
        progress = partial(self.material.progress, "leaving parts out")
        try:
            return attribute(payload, self.embedder, probe, fill=self._fill(), progress=progress)
        except InputError as error:
            self._without("what it stands on", str(error), "")
            return None

    def _fill(self) -> Payload | None:
        """What stands for coordinates that are left out: the mean of the training set's, where they are of one shape."""
        payload = self.found.sample.payload
        if isinstance(payload, str | bytes) or self._train is None:
            return None
        alike = (s.payload for s in self._train.samples if isinstance(s.payload, np.ndarray) and s.payload.size == payload.size)
        total, count = np.zeros(payload.size), 0
        for tensor in islice(alike, _MOST_AVERAGED):
            total, count = total + tensor.ravel(), count + 1
        return (total / count).astype(np.float32) if count else None

    def _without(self, what: str, why: str, remedy: str) -> None:
        self.missing.append(Missing(what, why, remedy))
