"""One sample explained: what it is near, what taught the model its answer, and which of its parts the answer stands on."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np

from detectors.clustering import nearest
from detectors.coverage import Reach, remoteness
from detectors.neighbours import Neighbours
from service.datasets import DataSet
from service.errors import BacklogFullError, EmbedderError, InputError
from service.explaining.alarms import NOVEL
from service.explaining.finding import Found, find
from service.explaining.nearby import Near, Rows, Taught, taught, text_of
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
class Novelty:
    """How strange the sample is: percentiles, 0 to 1, NaN where not known."""

    reference: float
    """Of its mean distance to the five nearest reference rows, exactly, among theirs to each other."""
    train: float
    """The same of the training set."""
    stream: float
    """Of its distance to the prototypes that the stream goes by."""
    residual: float
    """Of what the reference's leading directions leave of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said; '' where that is not known."""

    given: str
    """When the sample came."""
    now: str
    """By the model in force."""
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
    cluster: str
    """The reference cluster that it falls into, `novel` for none."""
    nearest_cluster: str
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
        cluster, nearest_cluster = self._cluster()
        return SampleExplanation(
            monitor=sample.monitor, id=sample.id, place=self.found.place, kind=_KINDS[self.material.settings.embedder.input],
            text=text_of(sample.payload)[:_TEXT], time=sample.time, segments=sample.segments, label=self.label, answer=self.answer,
            reference_version=reference.version if reference else None, novelty=self._novelty(), cluster=cluster,
            nearest_cluster=nearest_cluster, near=near, supporting=supporting, opposing=opposing, attribution=attribution,
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
    def embedded(self) -> Embedded | None:
        """As the model sees it now; without its payload the embedding that was kept, where it is of this model."""
        if self.embedder is not None:
            try:
                self.embedder.check(self.found.sample.payload)
                return self.embedder.embed([self.found.sample.payload])
            except InputError as error:
                self._without("the model's answer", str(error), "explain a mended copy with --input FILE")
        if self.found.embedding is not None:
            return Embedded(self.found.embedding[None])
        why = "its payload is not at hand, and the embedding that was kept is of another reference than the one in force"
        self._without("neighbours and novelty", why, "explain it from a file with --input FILE")
        return None

    @cached_property
    def answer(self) -> Answer:
        """Then and now."""
        output, classes = self.found.sample.output, self.material.settings.classes
        logits = None if self.embedded is None or self.embedded.logits is None else self.embedded.logits[0]
        return Answer(answer(output, None, classes), answer(None, logits, classes), sureness(output, logits))

    @cached_property
    def given(self) -> int | None:
        """The number of the class that is explained: the answer given, or else the one now; None without logits."""
        if self.embedded is None or self.embedded.logits is None:
            return None
        classes = self.material.settings.classes
        named = self.answer.given in classes and len(classes) == self.embedded.logits.shape[1]
        return classes.index(self.answer.given) if named else int(self.embedded.logits[0].argmax())

    @cached_property
    def label(self) -> str | None:
        """Its own, or the truth that came later."""
        told = (judged.truth for judged in reversed(self.material.judgements) if judged.sample == self.found.sample.id)
        return self.found.sample.label or next(told, None)

    # --- what it is near --------------------------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> Mapping[Side, Rows | None]:
        train = self.material.data_set("train")
        if isinstance(train, Missing):
            self.missing.append(train)
        if self.reference is None:
            self._without("reference", "there is none", "driftgate reference build")
        kept: dict[Side, Reference | DataSet | Missing | None] = {"reference": self.reference, "train": train}
        place, at = self.found.row or ("production", None)
        return {s: None if k is None or isinstance(k, Missing) else Rows.of(k, at if s == place else None) for s, k in kept.items()}

    @cached_property
    def _nearest(self) -> Mapping[Side, Neighbours | None]:
        if self.embedded is None:
            return dict.fromkeys(self._rows)
        vector = self.embedded.embedding[0]
        return {side: None if rows is None else rows.nearest(vector) for side, rows in self._rows.items()}

    def _shown(self, side: Side) -> tuple[Near, ...]:
        rows, found = self._rows[side], self._nearest[side]
        return rows.shown(found, self.label or self.answer.given or self.answer.now) if rows and found else ()

    def _novelty(self) -> Novelty | None:
        if self.embedded is None:
            return None
        reference, train = self._percentile("reference"), self._percentile("train")
        if self.reference is None:
            return Novelty(reference, train, math.nan, math.nan)
        described = self.reference.summarizer.describe(self.embedded.embedding)
        residual = described.scalars[0, self.reference.summarizer.scalar_names.index("residual")]
        return Novelty(reference, train, float(described.novelty[0]), float(-np.expm1(-residual)))

    def _percentile(self, side: Side) -> float:
        rows, found = self._rows[side], self._nearest[side]
        if rows is None or found is None or self.embedded is None:
            return math.nan
        try:
            reach = Reach.of(rows.embeddings, rng=np.random.default_rng(0))
        except ValueError:  # too few rows, or all copies of each other
            return math.nan
        return float(reach.percentiles(remoteness(found))[0])

    def _cluster(self) -> tuple[str, str]:
        """The cluster that it falls into, and the nearest."""
        if self.reference is None or self.embedded is None:
            return "", ""
        names = (*self.reference.cluster_names, NOVEL)
        return names[self.reference.summarizer.describe(self.embedded.embedding).cluster[0]], names[self._nearest_cluster]

    @cached_property
    def _nearest_cluster(self) -> int:
        if self.reference is None or self.embedded is None:
            return 0
        summarizer = self.reference.summarizer
        _, at = nearest(self.embedded.embedding - summarizer.centre, summarizer.prototypes - summarizer.centre)
        return int(summarizer.prototype_cluster[at[0]])

    # --- what the answer comes from ---------------------------------------------------------------------------------

    def _taught(self) -> tuple[tuple[Taught, ...], tuple[Taught, ...]]:
        train = self.material.data_set("train")
        if isinstance(train, Missing) or self.embedded is None or self.embedder is None:
            return (), ()  # what they lack has been said
        place, at = self.found.row or ("production", None)
        found = taught(train, self.embedded, self.given, at if place == "train" else None)
        if isinstance(found, Missing):
            self.missing.append(found)
            return (), ()
        return found

    def _attribution(self) -> Attribution | None:
        if self.embedder is None or self.embedded is None:
            return None
        summarizer = None if self.reference is None else self.reference.summarizer
        if self.material.settings.embedder.input == "none" and summarizer is not None:
            return attribute_embedding(self.embedded.embedding[0], summarizer)
        if self.given is None and summarizer is None:
            self._without(
                "what it stands on", "the model gives no logits, and there is no reference to be near", "driftgate reference build"
            )
            return None
        probe = Probe(self.given, summarizer, self._nearest_cluster)
        step = "leaving parts out"
        try:
            return attribute(
                self.found.sample.payload,
                self.embedder,
                probe,
                fill=self._fill(),
                progress=lambda done: self.material.progress(step, done),
            )
        except InputError as error:
            self._without("what it stands on", str(error), "")
            return None

    def _fill(self) -> Payload | None:
        """What stands for coordinates that are left out: the mean of the training set's, where they are of one shape."""
        payload, train = self.found.sample.payload, self.material.data_set("train")
        if isinstance(payload, str | bytes) or isinstance(train, Missing):
            return None
        alike = (s.payload for s in train.samples if isinstance(s.payload, np.ndarray) and s.payload.size == payload.size)
        total, count = np.zeros(payload.size), 0
        for tensor in islice(alike, _MOST_AVERAGED):
            total, count = total + tensor.ravel(), count + 1
        return (total / count).astype(np.float32) if count else None

    def _without(self, what: str, why: str, remedy: str) -> None:
        self.missing.append(Missing(what, why, remedy))
