"""Kinds of drift told apart: what the alarm is called, over texts and images, at half and at a fifth of the traffic."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import starmap
from multiprocessing import get_context
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.grid.perturbations import IMAGES, encoded, mistyped, translated
from benchmarks.public_sets import CACHE, Requests, garments, requests
from detectors.kinds import Kind, name_kind
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.summarizer import Extras, spoilt
from service.adapters.onnx_embedder import load_embedder
from service.feed import repeated
from service.quality import LOOK, Gauge, learn, surface
from service.records import Payload
from service.reference_rows import answer, sureness
from service.settings import EmbedderSettings

REFERENCE, BEFORE, AFTER, PANE, RUN_LENGTH = 4_000, 480, 1_920, 32, 10_000.0
"""Samples: the reference, a stream before its change and after it; then a pane's, and the run length asked for."""
SPLITS, STREAMS = 3, 4
"""Fresh references, and streams of each kind against each."""
BARS: Mapping[float, float] = {0.5: 0.90, 0.2: 0.75}
"""Share of drifted traffic → share of alarms that must be named rightly."""

_ORDINARY, _SPOILT = 9_000, 1_000
_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Payloads (n,) with what the model made of them: embeddings (n, d), its confidence (n,) and class (n,)."""

    payloads: Sequence[Payload]
    embedding: NDArray[np.float32]
    confidence: NDArray[np.float32]
    predicted: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.payloads)

    def take(self, rows: NDArray[np.int64]) -> Inputs:
        """Some of them."""
        return Inputs([self.payloads[row] for row in rows], self.embedding[rows], self.confidence[rows], self.predicted[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a drift is made of and the kind it must be given; `change` is made to ordinary samples where there are no inputs of its own."""

    name: str
    kind: Kind
    inputs: Inputs | None = None
    change: Callable[[Inputs, np.random.Generator], Inputs] | None = None


World: TypeAlias = tuple[Inputs, Sequence[Case]]


def run(progress: Progress) -> Sequence[Figure]:
    """Both sets; a table of confusion for each share of drifted traffic."""
    named: list[tuple[str, str, float, str, str]] = []
    jobs = [(world, split) for world in ("texts", "images") for split in range(SPLITS)]
    for world in ("texts", "images"):
        WORLDS[world](progress)  # embeds, before several processes would
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for done, found in enumerate(pool.map(_split, *zip(*jobs, strict=True)), start=1):
            named += found
            progress(f"{done} of {len(jobs)} references")
    return [*_bars(named), *_confusion(named)]


def _split(world: str, seed: int) -> list[tuple[str, str, float, str, str]]:
    """(case, kind, share, named at the alarm, named once the window has doubled) for each alarm of a fresh reference's streams."""
    ordinary, cases = WORLDS[world](lambda _: None)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(ordinary))
    watch = Watch.learn(ordinary.take(order[:REFERENCE]), seed)
    traffic, found = ordinary.take(order[REFERENCE:]), list[tuple[str, str, float, str, str]]()
    for case in cases:
        for share in BARS:
            for _ in range(STREAMS):
                names = watch.names(_stream(traffic, case, share, rng))
                found += [(f"{world}: {case.name}", case.kind, share, *names)] if names else []
    return found


def _stream(traffic: Inputs, case: Case, share: float, rng: np.random.Generator) -> Inputs:
    """Ordinary samples, then a mixture; without replacement."""
    drifted = np.concatenate([np.zeros(BEFORE, np.bool_), rng.random(AFTER) < share])
    rows = rng.permutation(len(traffic))[: BEFORE + AFTER]
    stream = traffic.take(rows)
    at = np.flatnonzero(drifted)
    if case.inputs is not None:
        other = case.inputs.take(rng.permutation(len(case.inputs))[: len(at)])
        at = at[: len(other)]
    else:
        other = stream.take(at)
    return _replaced(stream, at, case.change(other, rng) if case.change else other)


def _replaced(stream: Inputs, at: NDArray[np.int64], other: Inputs) -> Inputs:
    payloads = list(stream.payloads)
    for row, payload in zip(at, other.payloads, strict=True):
        payloads[row] = payload
    spoilt = Inputs(payloads, stream.embedding.copy(), stream.confidence.copy(), stream.predicted.copy())
    spoilt.embedding[at], spoilt.confidence[at], spoilt.predicted[at] = other.embedding, other.confidence, other.predicted
    return spoilt


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """A reference and what decides against it."""

    model: ScanModel
    gauge: Gauge
    reference: Inputs

    @classmethod
    def learn(cls, reference: Inputs, seed: int) -> Watch:
        """As the service builds one."""
        texts = [payload[:LOOK] if isinstance(payload, str) else "" for payload in reference.payloads]
        gauge, quality = learn(texts, surface(reference.payloads))
        if gauge is None or quality is None:
            raise TypeError("texts or images are needed")
        measures = {name: quality[:, column] for column, name in enumerate(gauge.names)}
        extras = Extras(reference.confidence, reference.predicted, measures)
        return cls(fit_model(reference.embedding, seed=seed, pane=PANE, extras=extras), gauge, reference)

    def names(self, stream: Inputs) -> tuple[str, str] | None:
        """At the first alarm after the change, and once its window has doubled; None without an alarm."""
        described = self.model.summarizer.describe(
            stream.embedding, confidence=stream.confidence, predicted=stream.predicted, quality=self.gauge.measure(stream.payloads)
        )
        scan, ruled_out = StreamScan(self.model, run_length=RUN_LENGTH), spoilt(self.model.summarizer, described)
        first, due = "", 0
        for end in range(PANE, len(stream) + 1, PANE):
            evidence = scan.update(self.model.summarizer.summarize(described, slice(end - PANE, end)))
            if evidence.alarm and end <= BEFORE:
                scan.reset()
            elif evidence.alarm:
                first, due = self._name(scan, stream, ruled_out, end), end + evidence.scale
            elif first and end >= due:
                return first, self._name(scan, stream, ruled_out, end)
        return (first, first) if first else None

    def _name(self, scan: StreamScan, stream: Inputs, ruled_out: NDArray[np.bool_], end: int) -> str:
        window = slice(max(end - scan.evidence.scale, 0), end)
        copies = repeated(stream.embedding[window], self.reference.embedding, spoilt=ruled_out[window])
        return name_kind(replace(scan.signs(), repeated=copies))


# --- what is counted ----------------------------------------------------------------------------------------------------


def _right(kind: str, name: str) -> bool:
    return name.partition(":")[0] == kind


def _bars(named: Sequence[tuple[str, str, float, str, str]]) -> Iterator[Figure]:
    """Right at the alarm or after one doubling; the window's cases count alike, however many alarms each had."""
    for share, bar in BARS.items():
        mine = [row for row in named if row[2] == share]
        right = [_right(kind, first) or _right(kind, later) for _, kind, _, first, later in mine]
        at_once = float(np.mean([_right(kind, first) for _, kind, _, first, _ in mine]))
        rate = float(np.mean(right))
        value = f"{rate:.1%} of {len(mine)} alarms; {at_once:.1%} at the alarm itself"
        yield Figure(f"kind named rightly at {share:.0%} of the traffic", value, f"≥ {bar:.0%}", rate >= bar)


def _confusion(named: Sequence[tuple[str, str, float, str, str]]) -> Iterator[Figure]:
    """One line for each drift: what its alarms were called in the end."""
    for share in BARS:
        for case in dict.fromkeys(row[0] for row in named):
            calls = Counter(later for name, _, part, _, later in named if (name, part) == (case, share))
            yield Figure(f"{share:.0%} {case}", ", ".join(starmap("{} × {}".format, ((n, call) for call, n in calls.most_common()))))


# --- texts --------------------------------------------------------------------------------------------------------------


def texts(progress: Progress) -> World:
    """CLINC150 and what can go wrong with it."""
    found = requests()
    rng = np.random.default_rng(0)
    known, new = rng.permutation(np.flatnonzero(~found.held_out)), rng.permutation(np.flatnonzero(found.held_out))
    ordinary, others = known[:_ORDINARY], found.texts[known[_ORDINARY : _ORDINARY + _SPOILT]].tolist()
    embed = partial(_embedded, found.embedder, found.classes, progress=progress)
    spoilt = {
        "typos": mistyped(others, 0),
        "another language": translated(others),
        "garbled": [_garbled(text, rng) for text in others],
        "two words only": [" ".join(text.split()[:2]) for text in others],
        "blank": ["."] * 8,
    }
    traffic = embed("kinds-texts", found.texts[ordinary].tolist())
    cases = [
        Case("held-out topics", Kind.NEW, embed("kinds-new", found.texts[new[:_SPOILT]].tolist())),
        Case("one topic only", Kind.MIX, traffic.take(np.flatnonzero(_of_commonest(found, ordinary)))),
        Case("long texts only", Kind.QUALITY, traffic.take(np.argsort([-len(str(p)) for p in traffic.payloads])[:_SPOILT])),
    ]
    cases += [Case(name, Kind.QUALITY, _doubled(embed(f"kinds-{name}", made))) for name, made in spoilt.items()]
    return traffic, [*cases, *_answered()]


def _of_commonest(found: Requests, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    names, counts = np.unique(found.domains[rows].astype(str), return_counts=True)
    return np.asarray(found.domains[rows].astype(str) == names[counts.argmax()])


def _garbled(text: str, rng: np.random.Generator) -> str:
    """A wrong decoding: a third of the characters come out as others."""
    return "".join(chr(int(rng.integers(0xA1, 0x17F))) if rng.random() < 1 / 3 else letter for letter in text)


def _doubled(inputs: Inputs) -> Inputs:
    """Few blank inputs stand for as many as are needed."""
    return inputs if len(inputs) >= _SPOILT else inputs.take(np.arange(_SPOILT) % len(inputs))


# --- images -------------------------------------------------------------------------------------------------------------


def images(progress: Progress) -> World:
    """Fashion-MNIST and what can go wrong with it."""
    found, rng = garments(), np.random.default_rng(0)
    known, new = rng.permutation(np.flatnonzero(~found.held_out)), rng.permutation(np.flatnonzero(found.held_out))
    ordinary, others = known[:_ORDINARY], found.images[known[_ORDINARY : _ORDINARY + _SPOILT]]
    embed = partial(_embedded, found.embedder, found.classes, progress=progress)
    spoilt = {name: [encoded(spoil(image, rng)) for image in others] for name, spoil in IMAGES.items()}
    spoilt["blank"] = [encoded(np.full_like(others[0], grey)) for grey in (0, 128)]
    traffic = embed("kinds-garments", [encoded(found.images[row]) for row in ordinary])
    cases = [
        Case("held-out garments", Kind.NEW, embed("kinds-new-garments", [encoded(found.images[row]) for row in new[:_SPOILT]])),
        Case("two garments only", Kind.MIX, traffic.take(np.flatnonzero(np.isin(found.names[ordinary], ("Trouser", "Sneaker"))))),
    ]
    cases += [Case(name, Kind.QUALITY, _doubled(embed(f"kinds-{name}", made))) for name, made in spoilt.items()]
    return traffic, [*cases, *_answered()]


# --- the same inputs, answered or sent otherwise ------------------------------------------------------------------------


def _answered() -> list[Case]:
    return [
        Case("answers permuted", Kind.PREDICTIONS, change=_permuted),
        Case("one class too often", Kind.PREDICTIONS, change=_favoured),
        Case("confidence lowered", Kind.CONFIDENCE, change=_unsure),
        Case("retry storm", Kind.FEED, change=_retried),
    ]


def _permuted(inputs: Inputs, _: np.random.Generator) -> Inputs:
    names = np.unique(inputs.predicted)
    return replace(inputs, predicted=np.roll(names, 1)[np.searchsorted(names, inputs.predicted)].astype(inputs.predicted.dtype))


def _favoured(inputs: Inputs, _: np.random.Generator) -> Inputs:
    return replace(inputs, predicted=np.full_like(inputs.predicted, inputs.predicted[0]))


def _unsure(inputs: Inputs, _: np.random.Generator) -> Inputs:
    return replace(inputs, confidence=(0.7 * inputs.confidence).astype(np.float32))


def _retried(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    return inputs.take(np.repeat(rng.integers(len(inputs), size=3), -(-len(inputs) // 3))[: len(inputs)])


def _embedded(settings: EmbedderSettings, classes: Sequence[str], name: str, made: Sequence[Payload], *, progress: Progress) -> Inputs:
    """Embeds once per embedder and name."""
    embedder = load_embedder(settings.model_copy(update={"threads": 1}))
    path = CACHE / f"{name.replace(' ', '-')}-{embedder.fingerprint}.npz"
    if not path.exists():
        parts, sure, given = list[NDArray[np.float32]](), list[float](), list[str]()
        for start in range(0, len(made), _BATCH):
            progress(f"{name}, {start:,} of {len(made):,}")
            part = embedder.embed(made[start : start + _BATCH])
            logits = [None] * len(part.embedding) if part.logits is None else list(part.logits)
            parts.append(part.embedding)
            sure += [sureness(None, row) for row in logits]
            given += [answer(None, row, classes) for row in logits]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path, allow_pickle=False, embedding=np.concatenate(parts), confidence=np.array(sure, np.float32), predicted=np.array(given)
        )
    with np.load(path, allow_pickle=False) as arrays:
        return Inputs(made, arrays["embedding"], arrays["confidence"], arrays["predicted"])


WORLDS: Mapping[str, Callable[[Progress], World]] = {"texts": texts, "images": images}
