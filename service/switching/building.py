"""Calibrates a switch between two models, writes it, and trusts it only after it has answered as it should."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from detectors.comparison import allowed_flips, compare, least_rows
from detectors.switch import OUTCOMES, Calibration, calibrate, flips_by_class, fresh_rows
from service.alarms import of_drift
from service.annotation import naming, scheme_of
from service.artefacts import checksum
from service.datasets import DataSets
from service.errors import EmbedderError, InputError
from service.golden import Promise
from service.looks import Attempt, attempt, golden_of, record, tell
from service.monitors import Loaders
from service.ports import Store
from service.records import Alarm, AlarmState, Sample
from service.switching.certificate import Calibrated, Certificate, Expected, Flips, write
from service.switching.graph import CERTIFICATE, HEADS, Merged, heads, merge, metadata_of, serialised
from service.switching.pairs import Answers, Pair, Progress, answers_of, pair_of

_TRIED = 512
"""Rows that the written switch must answer, those first on which the models differ."""
_CLOSE = 1e-5
"""A margin this near to the threshold may fall on either side of it, as sums are added up in another order."""
_ALARMS = 1_000


class Monitors(Loaders, Protocol):
    """What a switch asks of the installation."""

    def version(self, monitor: str) -> int | None:
        """The reference version in force."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `old` None: the model in force; `classes`: the new model's, where its file does not name them."""

    monitor: str
    new: Path
    old: Path | None = None
    classes: tuple[str, ...] = ()
    alpha: float = 0.01
    delta: float = 0.1
    days: int = 90
    drifted: tuple[Sample, ...] = ()
    """Labelled rows of the drifted traffic, to say what would be gained."""
    by_class: bool = False
    """Tell where it flips and what was tried, after which no calibration takes these rows again."""

    def __post_init__(self) -> None:
        for name, value, most in (("alpha", self.alpha, 0.5), ("delta", self.delta, 0.5)):
            if not 0 < value < most:
                raise InputError("range", f"{name}: above 0 and below {most}, found {value}")

    @property
    def promise(self) -> Promise:
        """What the rows are drawn for."""
        return Promise(self.alpha, self.delta, OUTCOMES)


@dataclass(frozen=True, slots=True)
class Built:
    """How a calibration ended: with a certificate, or without one where no threshold passed and the old model stays."""

    calibration: Calibration
    use: int
    certificate: Certificate | None = None


class Switches:
    """Builds switches for the monitors of an installation. Of golden it looks at the *calibrate* part alone."""

    def __init__(self, store: Store, data_sets: DataSets, monitors: Monitors) -> None:
        self._store = store
        self._data_sets = data_sets
        self._monitors = monitors

    def build(self, wanted: Wanted, output: Path, *, actor: str, now: float, progress: Progress = lambda *_: None) -> Built:
        """Writes the switch and, beside it, its certificate; neither where no threshold passes."""
        settings = self._monitors.effective(wanted.monitor)
        progress("reading the models", 0.0)
        called = naming(scheme_of(self._store, wanted.monitor))
        pair = pair_of(settings, wanted.old, wanted.new, wanted.classes, called)
        golden = golden_of(self._data_sets, wanted.monitor)
        tried = attempt(self._store, golden, self._data_sets, "calibrate", judged=self._judged(pair), promise=wanted.promise)
        _check(wanted, tried)
        answers = answers_of(pair, tried.drawn.rows.samples, self._monitors.load, progress)
        record(self._store, tried, actor=actor, now=now)
        if wanted.by_class:
            tell(self._store, tried, actor=actor, now=now)
        error = wanted.promise.error(tried.drawn.use)
        found = calibrate(answers.margin, answers.old_right, answers.new_right, alpha=wanted.alpha, error=error)
        if found.threshold is None:
            return Built(found, tried.drawn.use)
        progress("writing the switch", 0.0)
        merged = merge(
            pair.old.graph, pair.new.graph, names=pair.names, places=pair.places, classes=len(pair.new.classes), threshold=found.threshold
        )
        told = {
            **_of_models(pair, answers),
            **(_by_class(pair, answers, found.threshold) if wanted.by_class else {}),
            "shared_embedder": merged.shared_embedder,
            "expected": self._expected(wanted, pair, found.threshold, progress),
        }
        certificate = replace(self._certificate(wanted, tried, found, now), **told)
        self._publish(merged, certificate, pair, output, (tried, answers))
        certificate = replace(certificate, artefact=checksum(output))
        write(certificate, output)
        return Built(found, tried.drawn.use, certificate)

    def _judged(self, pair: Pair) -> list[object]:
        """All that decides the answers: files with their weights and tokenizers, how they are read, and what the classes are called."""
        return [told for side in (pair.old, pair.new) for told in (self._monitors.load(side.settings).fingerprint, side.classes)]

    def _certificate(self, wanted: Wanted, tried: Attempt, found: Calibration, now: float) -> Certificate:
        """All but what the answers say."""
        drawn, made = tried.drawn, datetime.fromtimestamp(now, UTC)
        alarms = self._store.find(Alarm, monitor=wanted.monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=_ALARMS)
        return Certificate(
            monitor=wanted.monitor,
            created=made.date().isoformat(),
            expires=(made + timedelta(days=wanted.days)).date().isoformat(),
            alpha=wanted.alpha,
            delta=wanted.delta,
            delta_in_force=found.error,
            delta_spent=sum(wanted.promise.error(use) for use in range(1, drawn.use + 1)),
            threshold=float(found.threshold or 0.0),
            flips=found.flips,
            flips_allowed=allowed_flips(found.rows, found.alpha, error=found.error),
            bound=found.bound,
            golden=Calibrated(tried.golden.version, tried.checksum, found.rows, drawn.use, drawn.fresh),
            fresh_rows=fresh_rows(found.rows, wanted.alpha, wanted.delta),
            reference_version=self._monitors.version(wanted.monitor),
            in_force=self._monitors.embedder(wanted.monitor).fingerprint,
            alarms=tuple(alarm.id for alarm in of_drift(alarms)),
        )

    def _expected(self, wanted: Wanted, pair: Pair, threshold: float, progress: Progress) -> Expected | None:
        """On the drifted rows that were given."""
        if not wanted.drifted:
            return None
        answers = answers_of(pair, wanted.drifted, self._monitors.load, progress)
        ungated = compare(answers.old_right, answers.new_right).gain
        return Expected(len(answers.labels), ungated, compare(answers.old_right, answers.served(threshold) == answers.labels).gain)

    def _publish(self, merged: Merged, certificate: Certificate, pair: Pair, output: Path, known: tuple[Attempt, Answers]) -> None:
        """The file takes its place only after it has answered rows as both models and the threshold say."""
        count = sum(heads(metadata_of(side.graph)) for side in (pair.old, pair.new))
        content = serialised(merged.model, {"classes": pair.new.classes, HEADS: count, CERTIFICATE: certificate.document()})
        output.parent.mkdir(parents=True, exist_ok=True)
        tokenizer, own = pair.new.settings.tokenizer, output.with_name("tokenizer.json")
        tokens = tokenizer.read_bytes() if pair.new.settings.input == "text" and tokenizer else b""
        _check_tokenizer(tokens, own)
        draft = output.with_name(f".{output.stem}.{os.getpid()}.onnx")
        try:
            draft.write_bytes(content)
            self._try(draft, pair, known, certificate.threshold)
            if tokens:
                own.write_bytes(tokens)
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())
            draft.replace(output)
        finally:
            draft.unlink(missing_ok=True)

    def _try(self, draft: Path, pair: Pair, known: tuple[Attempt, Answers], threshold: float) -> None:
        tried, answers = known
        rows = np.argsort(answers.old == answers.new, kind="stable")[:_TRIED]
        samples = tried.drawn.rows.samples
        switch = self._monitors.load(pair.new.settings.with_model(draft))
        logits = switch.embed([samples[row].payload for row in rows]).logits
        wanted = answers.served(threshold)[rows]
        said = np.full(len(rows), -1) if logits is None else logits.argmax(1)
        off = (said != wanted) & (np.abs(answers.margin[rows] - threshold) > _CLOSE)
        if off.any():
            raise EmbedderError(
                f"the switch answers {int(off.sum())} of {len(rows)} rows other than the models that it is made of; "
                "ONNX Runtime runs one of them differently inside another graph: export both without optimisations for one machine"
            )


def _check(wanted: Wanted, tried: Attempt) -> None:
    """InputError where the rows are too few to show the rate at all, before anything of them is used."""
    drawn = tried.drawn
    rows, error = len(drawn.rows.rows), wanted.promise.error(drawn.use)
    needed = least_rows(wanted.alpha, error=error)
    if rows >= needed:
        return
    told = " left of which flips by class were not told" if not rows and tried.golden.part("calibrate").rows else ""
    used = f" at their use {drawn.use}, which may err by {error:.2g} only" if drawn.use > 1 else ""
    fresh = f", or {fresh_rows(max(rows, 1), wanted.alpha, wanted.delta)} that no calibration has met" if drawn.use > 1 else ""
    raise InputError(
        "golden_too_small",
        f"monitor {wanted.monitor}: golden's calibrate part has {rows} rows{told} (one of each group of near-duplicates){used}; "
        f"to show at most {wanted.alpha:.2%} of broken answers it takes {needed}{fresh}; `driftgate plan` says what that costs",
    )


def _of_models(pair: Pair, answers: Answers) -> Mapping[str, Any]:
    """What a certificate says of the models, and which of the old one's classes no row has: the labels alone tell that."""
    there = set(answers.labels.tolist())
    return {
        "models": {"old": pair.old.named(), "new": pair.new.named()},
        "classes": pair.new.classes,
        "old_classes": len(pair.old.classes),
        "uncovered": tuple(name for name, place in zip(pair.old.classes, pair.places, strict=True) if place not in there),
    }


def _by_class(pair: Pair, answers: Answers, threshold: float) -> Mapping[str, Any]:
    """Where it flips, by class of the old model, and how many rows it answers otherwise."""
    served, known = answers.served(threshold), answers.labels >= 0
    flipped = (answers.old_right & (served != answers.labels))[known]
    rows, flips = flips_by_class(answers.labels[known], flipped, len(pair.new.classes))
    places = zip(pair.old.classes, pair.places, strict=True)
    return {
        "changed": int((served != answers.old).sum()),
        "flips_by_class": {name: Flips(int(rows[place]), int(flips[place])) for name, place in places},
    }


def _check_tokenizer(content: bytes, target: Path) -> None:
    """Two models may share a folder only if they share the tokenizer."""
    if content and target.is_file() and target.read_bytes() != content:
        raise EmbedderError(f"{target} belongs to another model and would be overwritten; write the switch to a folder of its own")
