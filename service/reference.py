"""References: versioned artefacts made from samples that the model is known to be good on.

A version is a folder `references/<monitor>/v<N>/`: `model.npz` (what detection learned, with the gauge's counts) and `numeric.npz`
(embeddings, labels, segments, confidences, predicted classes, quality, times, clusters) make its numeric part, `rows.jsonl` (ids and texts)
its erasable row part, `manifest.json` counts, thresholds, warnings and checksums. Which version is in force is declared in the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.accuracy import AccuracyCalibration
from detectors.evenly import evenly
from detectors.model import ScanModel, Slice, fit_model, rows_needed
from detectors.selection.kernel import Scales, directions
from detectors.stream import StreamScan
from detectors.summarizer import Summarizer
from detectors.terms import class_terms
from service.artefacts import LOCAL, versions
from service.errors import ArtefactError, ConfigurationError, NotFoundError
from service.in_force import InForce, Newest
from service.once import Once
from service.ports import Folders, Revision
from service.quality import Gauge
from service.records import WHOLE, segment_of
from service.reference_files import FORMAT, read, write
from service.reference_rows import ReferenceRows
from service.reference_warnings import warnings_about
from service.settings import MonitorSettings
from service.words import ASKED, excerpt, place_names, words

Progress = Callable[[str, float], None]
"""Called with the step's name and the share of it that is done."""

SLICE_ROWS = 200
"""Reference rows from which a segment is tested against its own slice, if the fit part left enough of them; below it only counts
are kept."""

_MOST_NAMING, _MOST_BESIDE, _READ = 500, 1_000, 1_000
"""Rows of a cluster, evenly spread, that its name is found among; rows of the others; letters that are read of each."""

_KEPT = 16
"""References that stay loaded beside those that somebody works with."""

_MOST_SLICE_ROWS = 40_000
"""Of a larger segment so many rows, evenly spread, make the slice: their features have to be held at once."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version came from: the embedder's fingerprint, when, from what; a provisional one waits for a person."""

    fingerprint: str
    created: float
    source: str = "files"
    provisional: bool = False
    model: str = ""
    """The promoted model that this version belongs to, '' for the configured one."""
    classes: tuple[str, ...] = ()
    """Its classes, in the order of its logits."""
    model_version: str = ""
    """What its outputs carry, as production has shown; '' where it has not."""


@dataclass(frozen=True, eq=False)
class Reference:
    """One version, loaded."""

    monitor: str
    version: int
    manifest: Mapping[str, Any]
    model: ScanModel
    rows: ReferenceRows
    clusters: NDArray[np.int64]
    """(n,) each row's reference cluster."""
    segment_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of the embedder that made it."""
        return str(self.manifest["fingerprint"])

    @property
    def summarizer(self) -> Summarizer:
        """What describes a sample."""
        return self.model.summarizer

    @property
    def gauge(self) -> Gauge | None:
        """What measures a payload's quality."""
        return self.rows.gauge

    @cached_property
    def slices(self) -> Mapping[str, Slice]:
        """Every stream that can be tested: the whole, and each segment with rows enough of its own."""
        found = {WHOLE: self.model.whole()}
        for segment, at in self._members.items():
            spread = at[evenly(len(at), _MOST_SLICE_ROWS)]
            if len(at) >= SLICE_ROWS and self.model.held_out[spread].sum() >= self.model.least_held_out:
                found[segment] = self._slice(spread)
        return found

    @cached_property
    def segment_shares(self) -> Mapping[str, float]:
        """Each segment's share of the reference rows."""
        return {segment: len(at) / len(self.rows) for segment, at in self._members.items()}

    @cached_property
    def cluster_names(self) -> tuple[str, ...]:
        """Of each reference cluster: a label that half of its rows carry, the words that tell it, or its most central text."""
        members = [_spread(np.flatnonzero(self.clusters == c), _MOST_NAMING) for c in range(self.summarizer.clusters)]
        texts = [self._words(rows) for rows in members]
        beside = [self._words(_spread(np.flatnonzero(self.clusters != c), _MOST_BESIDE)) for c in range(len(members))]
        otherwise = [self._central(rows) or f"cluster {cluster}" for cluster, rows in enumerate(members)]
        return tuple(place_names([self._label(rows) for rows in members], class_terms(texts, ASKED, beside), otherwise))

    @cached_property
    def duplicate(self) -> float:
        """Cosine, seen from the centre, from which two samples say the same."""
        return Scales.fit(directions(self.rows.embeddings, self.summarizer.centre)).duplicate

    @cached_property
    def classes(self) -> frozenset[str]:
        """That the model named."""
        return frozenset(self.rows.predicted) - {""}

    @cached_property
    def answered(self) -> float:
        """Share of the rows with a class that the model gave."""
        return sum(map(bool, self.rows.predicted)) / len(self.rows)

    def members(self, segment: str) -> NDArray[np.int64]:
        """Which rows are of the segment's stream; none of a segment that the reference does not know."""
        return np.arange(len(self.rows)) if segment == WHOLE else self._members.get(segment, np.empty(0, np.int64))

    def tagged(self, segment: str) -> Mapping[str, float]:
        """Tag, declared or found → share of a segment's rows that carry it."""
        inside = np.full(len(self.rows), segment == WHOLE)
        if segment != WHOLE:
            inside[self._members[segment]] = True
        carried = dict.fromkeys(self.segment_values, 0) | {tag: int(inside[at].sum()) for tag, at in self._carriers.items()}
        return {tag: count / max(int(inside.sum()), 1) for tag, count in carried.items() if count or tag in self.segment_values}

    @cached_property
    def _carriers(self) -> Mapping[str, NDArray[np.int64]]:
        """Tag → the rows that carry it."""
        carriers: dict[str, list[int]] = {}
        for at, tags in enumerate(self.rows.segments):
            for tag in tags:
                carriers.setdefault(tag, []).append(at)
        return {tag: np.array(at) for tag, at in carriers.items()}

    def _slice(self, at: NDArray[np.int64]) -> Slice:
        known, times = self.rows.extras.take(at), self.model.times
        described = self.summarizer.describe(
            self.rows.embeddings[at], confidence=known.confidence, predicted=known.predicted, quality=known.columns
        )
        return self.model.slice(described, self.model.held_out[at], times=times[at] if len(times) else None)

    @cached_property
    def _members(self) -> dict[str, NDArray[np.int64]]:
        """Of each segment; a tag that no row carries has none, since its one segment would be the whole."""
        members: dict[str, list[int]] = {}
        carried = {tag: values for tag, values in self.segment_values.items() if values}
        for at, tags in enumerate(self.rows.segments):
            for tag, values in carried.items():
                members.setdefault(segment_of(tags, tag, values), []).append(at)
        return {segment: np.array(at) for segment, at in sorted(members.items())}

    def _words(self, rows: NDArray[np.int64]) -> list[list[str]]:
        """Of those of the rows that have a text."""
        return [words(text[:_READ]) for row in rows if (text := self.rows.texts[row])]

    def _label(self, rows: NDArray[np.int64]) -> str:
        """That half of the rows carry, or ''."""
        commonest, count = Counter(self.rows.labels[row] for row in rows).most_common(1)[0] if len(rows) else ("", 0)
        return commonest if commonest and 2 * count >= len(rows) else ""

    def _central(self, rows: NDArray[np.int64]) -> str:
        """The start of the most central text, or ''."""
        if not len(rows):
            return ""
        embeddings = self.rows.embeddings[rows]
        text = self.rows.texts[rows[((embeddings - embeddings.mean(0)) ** 2).sum(1).argmin()]]
        return f"“{excerpt(text)}”" if text else ""


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """So many of the rows at most, evenly spread."""
    return rows[evenly(len(rows), most)]


class References:
    """All references below a folder."""

    def __init__(self, directory: Path, in_force: InForce | None = None, folders: Folders = LOCAL) -> None:
        self._directory, self._folders = directory, folders
        self._in_force = in_force or Newest(directory, folders)
        self._loaded = Once(self._read, keep=_KEPT)
        self._models: dict[tuple[str, int], tuple[str, tuple[str, ...]]] = {}

    def build(
        self,
        settings: MonitorSettings,
        rows: ReferenceRows,
        origin: Origin,
        *,
        progress: Progress = lambda *_: None,
    ) -> Reference:
        """Fits, calibrates and publishes the monitor's next version; it comes into force unless it is provisional."""
        detection, folder = settings.detection, self._folder(settings.name)
        rows = rows.in_time_order() if detection.order == "time" else rows
        rows = rows if settings.privacy.payloads == "keep" else replace(rows, texts=("",) * len(rows))
        try:
            model = fit_model(
                rows.embeddings,
                seed=detection.seed,
                order=detection.order,
                pane=detection.pane_samples,
                extras=rows.extras,
                times=rows.known_times,
                progress=lambda done: progress("calibrating", done),
            )
        except ValueError as error:
            raise ArtefactError(f"monitor {settings.name}: {error}") from error
        _require(settings, model)
        model = _with_accuracy(model, rows)
        version = max(self._numbers(folder), default=0) + 1
        progress("looking for drift within", 0.0)
        manifest = _manifest(settings, rows, model) | {"version": version, **asdict(origin), "warnings": warnings_about(rows, model)}
        progress("writing", 0.0)
        self._folders.publish(folder / f"v{version}", manifest, lambda draft: write(draft, rows, model))
        if not origin.provisional:
            self.activate(settings.name, version)
        return self.load(settings.name, version)

    def load(self, monitor: str, version: int | None = None) -> Reference:
        """A version, by default the one in force; every file is held against its checksum. The last ones loaded are kept."""
        number = self.active(monitor) if version is None else version
        if number is None:
            raise NotFoundError(f"monitor {monitor}: no reference yet; `driftgate reference build` makes one")
        return self._loaded((monitor, number, self._folders.revised(self._folder(monitor) / f"v{number}")))

    def _read(self, key: tuple[str, int, Revision]) -> Reference:
        monitor, number, _ = key
        folder = self._known(monitor, number)
        manifest = self._folders.verified(folder)
        if manifest.get("format") != FORMAT:
            raise ArtefactError(
                f"monitor {monitor}: reference version {number} is of another format than this driftgate reads; rebuild the reference: "
                "`driftgate reference build`, from the files that it was made of or --from-stream"
            )
        values = {tag: tuple(found) for tag, found in manifest["segments"].items()}
        model, rows, clusters = read(folder)
        return Reference(monitor, number, manifest, model, rows, clusters, values)

    def active(self, monitor: str) -> int | None:
        """The version in force, or None."""
        return self._in_force.reference(monitor)

    def model(self, monitor: str, version: int | None = None) -> tuple[str, tuple[str, ...]]:
        """(path, classes) of the model that a version (the one in force) belongs to; ("", ()) for the configured one."""
        number = self.active(monitor) if version is None else version
        if number is None:
            return "", ()
        if (monitor, number) not in self._models:
            manifest = self._folders.manifest(self._folder(monitor) / f"v{number}")
            self._models[monitor, number] = str(manifest["model"]), tuple(manifest["classes"])
        return self._models[monitor, number]

    def activate(self, monitor: str, version: int) -> None:
        """Brings a version into force: accepting a provisional one, or rolling back."""
        self._known(monitor, version)
        self._in_force.activate(monitor, version)

    def versions(self, monitor: str) -> Sequence[Mapping[str, Any]]:
        """Every version's manifest, oldest first, each with `active`."""
        active, folder = self.active(monitor), self._folder(monitor)
        return [{**self._folders.manifest(folder / f"v{n}"), "active": n == active} for n in self._numbers(folder)]

    def _known(self, monitor: str, version: int) -> Path:
        there = self._numbers(self._folder(monitor))
        if version not in there and not self._folders.revised(self._folder(monitor) / f"v{version}"):
            raise NotFoundError(f"monitor {monitor}: no reference version {version}; there are {there or 'none'}")
        return self._folder(monitor) / f"v{version}"

    def _numbers(self, folder: Path) -> list[int]:
        return versions(folder, self._folders.names)

    def _folder(self, monitor: str) -> Path:
        return self._directory / monitor


def resolvable_tolerance(model: ScanModel) -> float:
    """The smallest drift that the longest windows can tell from none, with the error of the reference's own mean: what a tolerance
    must be at least."""
    at = model.spectrum.names.index("mmd")
    noise = model.calibration.law.deviation[-1, at] * 2 * 1.645 / model.calibration.rows
    return float(np.sqrt(noise) / model.units[at])


def effective_tolerance(settings: MonitorSettings, model: ScanModel) -> float:
    """The configured tolerance, or by default what the reference can resolve, at least 0.02."""
    resolvable = resolvable_tolerance(model)
    asked = settings.detection.tolerance
    if asked is None:
        return max(0.02, round(1.1 * resolvable, 4))
    if asked < resolvable:
        raise ConfigurationError(
            f"monitor {settings.name}: detection.tolerance {asked:g} is below {resolvable:.3f}, the smallest drift that this reference "
            f"of {model.calibration.rows} rows can resolve; raise it, leave it out, or build a larger reference"
        )
    return asked


def _require(settings: MonitorSettings, model: ScanModel) -> None:
    """Refuses a reference that can't hold what was asked for."""
    if not settings.detection.accept_supported:
        try:
            model.require(settings.detection.first_run_length)
        except ValueError as error:
            where = "detection.run_length and detection.accept_supported in the configuration"
            raise ArtefactError(f"monitor {settings.name}: {error}: {where}") from error
    effective_tolerance(settings, model)


def _with_accuracy(model: ScanModel, rows: ReferenceRows) -> ScanModel:
    """The model that can also tell accuracy without labels, where there are rows enough to calibrate its confidence."""
    try:
        return replace(model, summarizer=replace(model.summarizer, accuracy=AccuracyCalibration.fit(*rows.judged())))
    except ValueError:
        return model


def _manifest(settings: MonitorSettings, rows: ReferenceRows, model: ScanModel) -> dict[str, Any]:
    curve = model.calibration.curve
    lengths = (500, 1000, 5000, 20_000, 100_000, 1_000_000, 10**8, 10**10)
    return {
        "kind": "reference",
        "format": FORMAT,
        "monitor": settings.name,
        "rows": len(rows),
        "dimension": int(rows.embeddings.shape[1]),
        "labelled": sum(label is not None for label in rows.labels),
        **_learned(settings, rows, model),
        "pane_samples": model.pane,
        "seed": settings.detection.seed,
        "channels": list(model.channels),
        "resolvable_tolerance": resolvable_tolerance(model),
        "thresholds": {str(length): round(curve.threshold(length), 4) for length in lengths},
        "uncertainty": {str(length): round(curve.uncertainty(curve.threshold(length)), 3) for length in lengths},
        "segments": rows.segment_values(settings.segments.tags, settings.segments.max_values),
    }


def _learned(settings: MonitorSettings, rows: ReferenceRows, model: ScanModel) -> dict[str, Any]:
    """How neighbours depend on each other, what the clock says, and how far that carries."""
    dependence, asked = model.dependence, settings.detection.first_run_length
    longest, times = StreamScan(model, run_length=asked).longest_window, rows.known_times
    seconds = 0.0 if times is None else float(np.ptp(times))
    return {
        "order": settings.detection.order,
        "block": model.calibration.block,
        "inflation": dependence.inflation,
        "inflation_measured": dependence.measured,
        "profile": model.profile.clock.name,
        "asked_run_length": asked,
        "supported_run_length": model.calibration.supported,
        "rows_needed": rows_needed(asked, inflation=dependence.inflation),
        "longest_window": {"samples": longest, "seconds": longest / len(rows) * seconds or None},
    }
