"""Kinds of drift told apart: what the alarm is called, over two corpora and images, at half and at a fifth of the traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.grid.perturbations import IMAGES, encoded, mistyped, translated
from benchmarks.grid.worlds import HWU_HELD_OUT
from benchmarks.public_sets import CACHE, Requests, column, garments, public_sets, requests
from benchmarks.trials import spread
from detectors.kinds import Kind, name_kind
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.summarizer import Extras, spoilt
from service.adapters.onnx_embedder import load_embedder
from service.feed import repeated
from service.ports import Embedder
from service.quality import LOOK, Gauge, learn, surface
from service.records import Payload
from service.reference_rows import answer, sureness
from service.settings import EmbedderSettings

REFERENCE, BEFORE, AFTER, PANE, RUN_LENGTH = 4_000, 480, 1_920, 32, 10_000.0
"""Samples: the reference, a stream before its change and after it, a pane's as the service takes them; and the run length asked for."""
SPLITS, STREAMS = (3, 4), 10
"""Seeds of fresh references, and streams of each drift against each. The rule was written looking at seed 0 of CLINC150 and
Fashion-MNIST; these, and all of HWU64, are what it was not written on."""
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
    quality: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(n, Q), once a reference's gauge has measured them."""

    def __len__(self) -> int:
        return len(self.payloads)

    def take(self, rows: NDArray[np.int64]) -> Inputs:
        """Some of them."""
        payloads, quality = [self.payloads[row] for row in rows], self.quality[rows] if len(self.quality) else self.quality
        return Inputs(payloads, self.embedding[rows], self.confidence[rows], self.predicted[rows], quality)

    def replaced(self, at: NDArray[np.int64], other: Inputs) -> Inputs:
        """With others in place of some."""
        order = np.arange(len(self))
        order[at] = len(self) + np.arange(len(at))
        columns = [
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("embedding", "confidence", "predicted", "quality")
        ]
        return Inputs([*self.payloads, *other.payloads], *columns).take(order)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a drift is made of and the kind it must be given: inputs of its own, some of the ordinary ones alone, or a change made to
    ordinary ones."""

    name: str
    kind: Kind
    inputs: Inputs | None = None
    only: NDArray[np.bool_] | None = None
    """(n,) of the ordinary inputs."""
    change: Callable[[Inputs, np.random.Generator], Inputs] | None = None


World: TypeAlias = tuple[Inputs, Sequence[Case]]


class Named(NamedTuple):
    """One stream: what it was made of, and what its alarm was called at once and after a doubling; '' without an alarm."""

    world: str
    case: str
    kind: Kind
    share: float
    first: str
    later: str

    @property
    def right(self) -> tuple[bool, bool]:
        """At the alarm; after a doubling."""
        return self.first.partition(":")[0] == self.kind, self.later.partition(":")[0] == self.kind


def run(progress: Progress) -> Sequence[Figure]:
    """All sets; how often the kind was right, and a table of confusion for each share of drifted traffic."""
    jobs = [(world, split) for world in WORLDS for split in SPLITS]
    for world in WORLDS:
        WORLDS[world](progress)  # embeds, before several processes would
    named = list(chain.from_iterable(spread(against, jobs, progress, unit="references")))
    return [*_bars(named), *_confusion(named)]


def against(job: tuple[str, int]) -> list[Named]:
    """Every drift's streams of a world against a fresh reference; a job is the world and the reference's seed."""
    world, seed = job
    ordinary, cases = WORLDS[world](lambda _: None)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(ordinary))
    watch = Watch.learn(ordinary.take(order[:REFERENCE]), seed)
    traffic, found = watch.measured(ordinary.take(order[REFERENCE:])), list[Named]()
    for case in cases:
        drift = replace(
            case,
            inputs=None if case.inputs is None else watch.measured(case.inputs),
            only=None if case.only is None else case.only[order[REFERENCE:]],
        )
        for share in BARS:
            for _ in range(STREAMS):
                names = watch.names(_stream(traffic, drift, share, rng))
                found.append(Named(world, case.name, case.kind, share, *names))
    return found


def _stream(traffic: Inputs, case: Case, share: float, rng: np.random.Generator) -> Inputs:
    """Ordinary samples, then a mixture; without replacement, and none of them the reference's."""
    at = BEFORE + np.flatnonzero(rng.random(AFTER) < share)
    rows = rng.permutation(len(traffic))
    if case.only is not None:
        drifted = rows[case.only[rows]][: len(at)]
        rows, other = rows[~np.isin(rows, drifted)], traffic.take(drifted)
    stream = traffic.take(rows[: BEFORE + AFTER])
    if case.inputs is not None:
        other = case.inputs.take(rng.permutation(len(case.inputs))[: len(at)])
    elif case.only is None:
        other = stream.take(at)
    return stream.replaced(at[: len(other)], case.change(other, rng) if case.change else other)


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

    def measured(self, inputs: Inputs) -> Inputs:
        """With the quality that the reference's gauge finds."""
        return replace(inputs, quality=self.gauge.measure(inputs.payloads))

    def names(self, stream: Inputs) -> tuple[str, str]:
        """At the first alarm after the change, and once its window has doubled; '' without an alarm."""
        described = self.model.summarizer.describe(
            stream.embedding, confidence=stream.confidence, predicted=stream.predicted, quality=stream.quality
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
        return first, first

    def _name(self, scan: StreamScan, stream: Inputs, ruled_out: NDArray[np.bool_], end: int) -> str:
        window = slice(max(end - scan.evidence.scale, 0), end)
        copies = repeated(stream.embedding[window], self.reference.embedding, spoilt=ruled_out[window])
        return name_kind(replace(scan.signs(), repeated=copies))


# --- what is counted ----------------------------------------------------------------------------------------------------


def _bars(named: Sequence[Named]) -> Iterator[Figure]:
    """Right at the alarm or after one doubling, over the alarms of each set and of all."""
    for share, bar in BARS.items():
        for world in (*WORLDS, ""):
            right = np.array([each.right for each in named if each.share == share and world in ("", each.world) and each.first])
            first, later = right.mean(0)
            rate = float(right.any(1).mean())
            value = f"{rate:.1%} of {len(right)} alarms ({first:.1%} at the alarm, {later:.1%} after one doubling)"
            limit, holds = ("", None) if world else (f"≥ {bar:.0%}", rate >= bar)
            yield Figure(f"kind right, {share:.0%} drifted, {world or 'all'}", value, limit, holds)


def _confusion(named: Sequence[Named]) -> Iterator[Figure]:
    """One line for each drift: how many of its streams alarmed, and what they were called at once and in the end."""
    for share in BARS:
        for world, case in dict.fromkeys((each.world, each.case) for each in named):
            mine = [each for each in named if each[:2] == (world, case) and each.share == share]
            first, later = (Counter(names) for names in zip(*[(each.first, each.later) for each in mine if each.first], strict=True))
            calls = _listed(first) if first == later else f"{_listed(first)}; then {_listed(later)}"
            yield Figure(f"{share:.0%} {world}: {case}", f"{first.total()} of {len(mine)} alarmed: {calls}")


def _listed(calls: Counter[str]) -> str:
    return ", ".join(f"{count} × {name}" for name, count in calls.most_common())


# --- texts --------------------------------------------------------------------------------------------------------------


def clinc150(progress: Progress) -> World:
    """Requests of seven domains and what can go wrong with them."""
    found = requests()
    path = public_sets() / "text/clinc150.parquet"
    outside = [text for text, domain in zip(column(path, "text"), column(path, "domain"), strict=True) if domain == "oos"]
    return _texts("clinc150", found, ~found.held_out, progress, outside={"out of scope": outside})


def hwu64(progress: Progress) -> World:
    """Requests to a home assistant, answered by a model that was made for others."""
    path = public_sets() / "text/hwu64.parquet"
    texts, domains = (np.array(column(path, name), object) for name in ("text", "domain"))
    found = replace(requests(), texts=texts, domains=domains)
    return _texts("hwu64", found, ~np.isin(domains, HWU_HELD_OUT), progress, outside={})


def _texts(name: str, found: Requests, known: NDArray[np.bool_], progress: Progress, *, outside: Mapping[str, Sequence[str]]) -> World:
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.flatnonzero(known))
    ordinary, others = rows[: min(_ORDINARY, len(rows) - _SPOILT)], found.texts[rows[-_SPOILT:]].tolist()
    embed = partial(_embedded, _alone(found.embedder), found.classes, progress=progress)
    new = {f"new topic {topic}": found.texts[found.domains == topic].tolist() for topic in np.unique(found.domains[~known].astype(str))}
    elsewhere = column(public_sets() / "text/wiki_sents.parquet", "text")[:_SPOILT]
    new |= {**outside, "other corpus": elsewhere}
    bad = {
        "typos": mistyped(others, 0),
        "another language": translated(others),
        "garbled": [_garbled(text, rng) for text in others],
        "two words only": [" ".join(text.split()[:2]) for text in others],
        "blank": ["."] * 8,
    }
    traffic = embed(f"kinds-{name}", found.texts[ordinary].tolist())
    made = {Kind.NEW: new, Kind.QUALITY: bad}
    cases = [
        Case(case, kind, _doubled(embed(f"kinds-{name}-{case}", texts[:_SPOILT])))
        for kind, parts in made.items()
        for case, texts in parts.items()
    ]
    lengths = np.array([len(str(payload)) for payload in traffic.payloads])
    cases += [
        Case("one topic only", Kind.MIX, only=_of_commonest(found, ordinary)),
        Case("long texts only", Kind.QUALITY, only=lengths >= np.quantile(lengths, 0.75)),
    ]
    return traffic, [*cases, *_answered()]


def _of_commonest(found: Requests, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    names, counts = np.unique(found.domains[rows].astype(str), return_counts=True)
    return np.asarray(found.domains[rows].astype(str) == names[counts.argmax()])


def _garbled(text: str, rng: np.random.Generator) -> str:
    """A wrong decoding: a third of the characters come out as others."""
    return "".join(chr(int(rng.integers(0xA1, 0x17F))) if rng.random() < 1 / 3 else letter for letter in text)


def _doubled(inputs: Inputs) -> Inputs:
    """Few blank inputs stand for as many as are needed."""
    return inputs if len(inputs) > 100 else inputs.take(np.arange(_SPOILT) % len(inputs))


# --- images -------------------------------------------------------------------------------------------------------------


def fashion_mnist(progress: Progress) -> World:
    """Fashion-MNIST and what can go wrong with it."""
    found, rng = garments(), np.random.default_rng(0)
    known, new = rng.permutation(np.flatnonzero(~found.held_out)), rng.permutation(np.flatnonzero(found.held_out))
    ordinary, others = known[: min(_ORDINARY, len(known) - _SPOILT)], found.images[known[-_SPOILT:]]
    embed = partial(_embedded, _alone(found.embedder), found.classes, progress=progress)
    spoilt = {name: [encoded(spoil(image, rng)) for image in others] for name, spoil in IMAGES.items()}
    spoilt["blank"] = [encoded(np.full_like(others[0], grey)) for grey in (0, 128)]
    traffic = embed("kinds-fashion", [encoded(found.images[row]) for row in ordinary])
    cases = [
        Case("held-out garments", Kind.NEW, embed("kinds-fashion-new", [encoded(found.images[row]) for row in new[:_SPOILT]])),
        Case("two garments only", Kind.MIX, only=np.isin(found.names[ordinary], ("Trouser", "Sneaker"))),
    ]
    cases += [Case(name, Kind.QUALITY, _doubled(embed(f"kinds-fashion-{name}", made))) for name, made in spoilt.items()]
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


def _alone(settings: EmbedderSettings) -> Embedder:
    """On one thread: there is a process for each core."""
    return load_embedder(settings.model_copy(update={"threads": 1}))


def _embedded(embedder: Embedder, classes: Sequence[str], name: str, made: Sequence[Payload], *, progress: Progress) -> Inputs:
    """Embeds once per embedder and name."""
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


WORLDS: Mapping[str, Callable[[Progress], World]] = {"clinc150": clinc150, "hwu64": hwu64, "fashion_mnist": fashion_mnist}
