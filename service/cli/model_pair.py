"""Two models and labelled samples in files, as `verify` is given them, and the verdict on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from service.cli.installed import good
from service.decoding.options import SampleOptions
from service.errors import InputError
from service.records import Sample
from service.settings import EmbedderSettings, RefreshSettings, load

if TYPE_CHECKING:
    from service.verifying import Model
    from service.verifying.report import Verified
    from service.verifying.standalone import Sets

Kind = Literal["text", "image", "tensor"]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the new model, and how both are fed: by the configuration where a monitor is named."""

    refresh: RefreshSettings
    tags: tuple[str, ...] = ()
    embedder: EmbedderSettings | None = None
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Path, monitor: str | None, segments: str, **margins: float | None) -> Asked:
        """`margins`: settings of `refresh` that flags change."""
        declared = None if monitor is None else load(config).monitor(monitor)
        changed = {name: value for name, value in margins.items() if value is not None}
        for name, value in changed.items():
            if not 0 < value < 0.5:
                raise InputError("range", f"--{name.replace('_', '-')}: above 0 and below 0.5, found {value}")
        tags = tuple(tag.strip() for tag in segments.split(",") if tag.strip())
        if declared is None:
            return cls(RefreshSettings.model_validate(changed), tags)
        refresh = declared.refresh.model_copy(update=changed)
        return cls(refresh, tags or declared.segments.tags, declared.embedder, declared.classes)


@dataclass(frozen=True, slots=True)
class Models:
    """Files, the classes that were named for each, and how they are fed."""

    old: Path
    new: Path
    old_classes: Sequence[str]
    classes: Sequence[str]
    input: Kind | None
    max_tokens: int

    def fed(self, path: Path, asked: Asked, sample: Sample) -> EmbedderSettings:
        """As the monitor feeds its model, else as the flags say and the samples are."""
        if asked.embedder is not None and asked.embedder.input != "none":
            return asked.embedder.with_model(path)
        kind = self.input or ("text" if isinstance(sample.payload, str) else "image" if isinstance(sample.payload, bytes) else "tensor")
        return EmbedderSettings.model_validate({"model": path, "input": kind, "max_tokens": self.max_tokens})


@dataclass(frozen=True, slots=True)
class Files:
    """Of labelled samples, and the run that made the new model."""

    run: Path | None
    golden: tuple[Path, ...]
    challenge: tuple[Path, ...] = ()
    before: tuple[Path, ...] = ()
    train: tuple[Path, ...] = ()

    def read(self) -> Sets:
        """InputError names the first line that can't be used, or has no label."""
        from service.promotion import run_of  # noqa: PLC0415 - loads the detectors
        from service.verifying.standalone import Sets  # noqa: PLC0415 - as above

        if not self.golden:
            raise InputError("use", "--golden is missing: labelled samples that must not regress")
        golden, challenge, before, train = (tuple(_labelled(paths)) for paths in (self.golden, self.challenge, self.before, self.train))
        if not golden:
            raise InputError("empty", "--golden: the files hold no samples")
        try:
            run = {} if self.run is None else run_of(self.run.read_bytes(), self.run.name)
        except OSError as error:
            raise InputError("file", f"{self.run}: can't be read: {error}") from error
        return Sets(golden, challenge, before, train, run)


def _labelled(paths: Sequence[Path]) -> Iterator[Sample]:
    from service.app import read_samples  # noqa: PLC0415 - loads the readers

    for path in paths:
        beside = _labels_beside(path)
        options = SampleOptions(max_ahead=None, image_root=path.parent)
        for at, record in enumerate(read_samples([path], "", options)):
            for item in record.items:
                yield _with_label(good(record, item), path, at, beside)


def _labels_beside(path: Path) -> Sequence[str] | None:
    """Of vectors in a .npy file: the lines of a text file beside it."""
    if path.suffix.lower() != ".npy":
        return None
    labels = path.with_suffix(".labels.txt")
    try:
        return labels.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("file", f"{path}: the labels of its rows are read from {labels.name} beside it, one per line: {error}") from error


def _with_label(sample: Sample, path: Path, at: int, beside: Sequence[str] | None) -> Sample:
    if beside is not None and at < len(beside) and beside[at].strip():
        return replace(sample, label=beside[at].strip())
    if sample.label is None:
        raise InputError("missing_label", f"{path}, row {at + 1}: no label; every row needs one")
    return sample


def verified(models: Models, files: Files, asked: Asked, progress: Progress, *, show_golden: bool) -> Verified:
    """A new model that can't be used is rejected; an old one that can't be is wrong use."""
    from service.app import inputs  # noqa: PLC0415 - loads the inference runtime
    from service.verifying.report import Verified  # noqa: PLC0415 - loads the detectors
    from service.verifying.standalone import compare  # noqa: PLC0415 - as above
    from service.verifying.unusable import REASON  # noqa: PLC0415 - as above
    from service.verifying.usable import named, require_same_inputs  # noqa: PLC0415 - as above
    from service.verifying.verdict import unusable_verdict  # noqa: PLC0415 - as above

    progress("reading samples", 0.0)
    sets = files.read()
    progress("loading the models", 0.0)
    old = _model(models.old, models.old_classes, asked.classes or models.classes, models.fed(models.old, asked, sets.golden[0]), sets)
    before = named(models.old, old.classes)
    try:
        new = _model(models.new, models.classes, old.classes, models.fed(models.new, asked, sets.golden[0]), sets)
        require_same_inputs(inputs(old.embedder), inputs(new.embedder))
        found = compare(
            old,
            new,
            sets,
            asked.refresh,
            tags=asked.tags,
            show_golden=show_golden,
            rng=np.random.default_rng(0),
            clock=time.perf_counter,
            progress=progress,
        )
    except InputError as error:
        if error.reason != REASON:
            raise
        return Verified(time.time(), before, named(models.new, ()), unusable_verdict(str(error)))
    return Verified(time.time(), before, named(models.new, new.classes), found.verification, found.shown)


def _model(path: Path, given: Sequence[str], otherwise: Sequence[str], settings: EmbedderSettings, sets: Sets) -> Model:
    """Its classes as they were given, else as its file says."""
    from service.app import load_embedder  # noqa: PLC0415 - loads the inference runtime
    from service.switching import pairs  # noqa: PLC0415 - loads the detectors
    from service.switching.certificate import metadata  # noqa: PLC0415 - as above
    from service.verifying.unusable import blamed  # noqa: PLC0415 - as above
    from service.verifying.usable import usable  # noqa: PLC0415 - as above

    with blamed():
        classes = given or pairs.class_names(path, metadata(path)) or otherwise
    if not classes:
        raise InputError("classes", f"{path}: its classes are not known; name them with --classes, one per line in the order of its logits")
    return usable(lambda: load_embedder(settings), classes, [sample.payload for sample in sets.golden])
