"""Real drift over years: what developers of one project wrote about their changes, in order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import column, public_sets
from benchmarks.replaying import Document, Replayed, replays
from service.model_build import cached_minilm
from service.settings import EmbedderSettings

REFERENCE, RUN_LENGTH = 3_000, 10_000
MONTH = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Commit:
    """A message with its kind and time."""

    text: str
    label: str
    split: str
    time: datetime


def run(progress: Progress) -> Sequence[Figure]:
    """A reference of messages up to 2015; those since 2016 replayed in order of time."""
    progress("building MiniLM, the first time only")
    embedder = EmbedderSettings(model=cached_minilm(Path(".cache/models").resolve()))
    commits = read(public_sets() / "text/commits_numpy.parquet")
    old = [n for n, commit in enumerate(commits) if commit.split == "train"]
    new = [n for n, commit in enumerate(commits) if commit.split != "train"]
    reference = sorted(np.random.default_rng(0).choice(old, REFERENCE, replace=False).tolist())
    years = Years([commits[n].time.year for n in new])
    with replays(embedder, run_length=RUN_LENGTH, pane_seconds=MONTH, order="time", accept_supported=True) as service:
        service.learn(({**_document(commits[n], n), "label": commits[n].label} for n in reference), progress)
        found = service.run((_document(commits[n], n) for n in new), progress, watch=years.note)
    return [*alarm_figures(found, [commits[n] for n in new]), *years.figures(), *chosen_figures(found, commits)]


def read(path: Path) -> list[Commit]:
    """In order of time, without empty messages."""
    columns = [column(path, name) for name in ("text", "label", "split", "ts")]
    commits = [Commit(*row) for row in zip(*columns, strict=True) if row[0].strip()]
    return sorted(commits, key=lambda commit: commit.time)


class Years:
    """The whole stream's effect at the end of each year."""

    def __init__(self, years: Sequence[int]) -> None:
        self._years = years
        self._last: dict[int, Mapping[str, Any]] = {}

    def note(self, taken: int, status: Mapping[str, Any]) -> None:
        """Keeps the latest status within each year."""
        if taken and status:
            self._last[self._years[taken - 1]] = status["streams"][0]

    def figures(self) -> list[Figure]:
        """Effect with its interval, the share of novel content, and the window that they are of."""
        return [Figure(f"{year}: effect, novel share", _measured(status)) for year, status in self._last.items()]


def _measured(status: Mapping[str, Any]) -> str:
    effect, novel = (f"{m['estimate']:.2f} [{m['low']:.2f}, {m['high']:.2f}]" for m in (status["effect"], status["novel_share"]))
    return f"{effect}, {novel} over the last {status['window_samples']:,}"


def alarm_figures(found: Replayed, stream: Sequence[Commit]) -> list[Figure]:
    """When the alarms came."""
    if not found.alarms:
        return [Figure("first alarm", "none")]
    first = found.alarms[0]
    effect = f"{first.effect.estimate:.2f} [{first.effect.low:.2f}, {first.effect.high:.2f}]"
    value = f"{stream[first.at_sample - 1].time:%Y-%m-%d}, sample {first.at_sample:,}: {first.kind} ({first.channel}), effect {effect}"
    return [Figure("first alarm", value), Figure("alarms in all", str(len(found.alarms)))]


def chosen_figures(found: Replayed, commits: Sequence[Commit]) -> list[Figure]:
    """Which kinds of message the candidates are, against their share in the reference's years."""
    if not found.candidates:
        return [Figure("candidates", "none")]
    chosen = Counter(commits[int(candidate.id)].label for candidate in found.candidates)
    before = Counter(commit.label for commit in commits if commit.split == "train")
    kinds = ", ".join(f"{kind} {n / chosen.total():.0%} ({before[kind] / before.total():.0%})" for kind, n in chosen.most_common(6))
    return [Figure(f"{chosen.total()} candidates, by kind (share before 2016)", kinds)]


def _document(commit: Commit, number: int) -> Document:
    return {"id": str(number), "time": commit.time.timestamp(), "text": commit.text}
