"""What a trial needs before its first message: topics, the embedder, and a reference of ordinary days. Each is made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from service.app import Installation, make_topics, opened
from service.demo.messages import Message, Traffic
from service.errors import ConfigurationError
from service.model_build import build_minilm
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import Settings

DAYS = 28
"""Whole weeks, so that the reference knows every hour of them alike."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What was not there yet."""

    topics: Sequence[str]
    model: Path | None
    reference: int | None
    """Its version."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How large a trial."""

    monitor: str
    partitions: int = 4
    rows: int = 4_000
    """Of the reference."""
    seed: int = 20_261


def prepare(settings: Settings, wanted: Wanted, *, config: Path, now: float, progress: Progress) -> Made:
    """Makes what is missing; a second time it finds everything there."""
    embedder = settings.monitor(wanted.monitor).embedder
    if embedder.input != "text" or embedder.model is None:
        raise ConfigurationError(f"monitor {wanted.monitor}: the demo's messages want embedder.input text, and embedder.model a path")
    progress("topics", 0.0)
    topics = make_topics(settings, partitions=wanted.partitions)
    model = None
    if not embedder.model.is_file():
        progress("writing the embedder", 0.0)
        model = build_minilm(embedder.model)
    with opened(settings, config=config) as installation:
        there = installation.version(wanted.monitor) is not None
        version = None if there else _reference(installation, wanted, now, progress)
    return Made(topics, model, version)


def _reference(installation: Installation, wanted: Wanted, now: float, progress: Progress) -> int:
    monitor, embedder = installation.effective(wanted.monitor), installation.embedder(wanted.monitor)
    samples = [message.sample(wanted.monitor) for message in ordinary_days(wanted, now)]

    def embedded(done: float) -> None:
        progress("embedding the reference", done / wanted.rows)

    rows = embed_rows(samples, embedder, classes=monitor.classes, progress=embedded)
    origin = Origin(embedder.fingerprint, now, "generated messages")
    return installation.references.build(monitor, rows, origin, progress=progress).version


def ordinary_days(wanted: Wanted, now: float) -> Sequence[Message]:
    """What a good reference is made of: the messages of the last weeks, in order."""
    drawn = Traffic(np.random.default_rng(wanted.seed)).draw(wanted.rows, start=0.0)
    stretch = DAYS * 86_400.0 / drawn[-1].time
    return [replace(message, time=now - DAYS * 86_400.0 + stretch * message.time) for message in drawn]
