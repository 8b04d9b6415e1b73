"""Samples inside published folders: references, data sets, reports. A version loses rows and nothing else; its manifest says how often."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.artefacts import versions
from service.datasets import ROLES
from service.datasets import ROWS as DATA_ROWS
from service.ports import Folders

REFERENCE_ROWS, NUMERIC = "rows.jsonl", "numeric.npz"


KINDS = ("references", "datasets")


@dataclass(frozen=True, slots=True)
class Artefacts:
    """A monitor's published folders, below the installation's directory."""

    directory: Path
    folders: Folders
    monitor: str

    def mend(self) -> None:
        """Makes good what an erasure that was cut short has left."""
        for kind in KINDS:
            self.folders.mend(self.directory / kind / self.monitor)

    def erase_from_references(self, samples: Collection[str]) -> int:
        """Ids and texts go, embeddings become zeros and labels nothing; thresholds, and all that was learned of many rows, stay.

        A row that shares its embedding's place with nobody keeps that place, so that nothing else moves.
        """
        return sum(_erase_reference(self.folders, folder, samples) for folder in self._references())

    def erase_from_data_sets(self, samples: Collection[str]) -> int:
        """Rows go with their embeddings and logits."""
        return sum(_erase_data_set(self.folders, folder, samples) for folder in self._data_sets())

    def drop_reports(self, doomed: Callable[[Path], bool]) -> int:
        """Whole reports, which are made again at any time."""
        kept = self.directory / "reports" / self.monitor
        found = [kept / name for name in self.folders.names(kept)]
        going = [report for report in found if doomed(report)]
        for report in going:
            self.folders.remove(report)
        return len(going)

    def showing(self, wanted: Collection[str]) -> Callable[[Path], bool]:
        """Whether a report shows one of the strings."""
        return lambda report: shows(self.folders.here(report), wanted)

    def texts_of(self, samples: Collection[str]) -> set[str]:
        """By which texts references and data sets show these samples."""
        folders = (self.folders.here(folder) for folder in (*self._references(), *self._data_sets()))
        found = (row.get("text") for folder in folders for row in _lines(folder / DATA_ROWS) if row["id"] in samples)
        return {text for text in found if text}

    def _references(self) -> list[Path]:
        return self._versions(self.directory / "references" / self.monitor)

    def _data_sets(self) -> list[Path]:
        return [each for role in ROLES for each in self._versions(self.directory / "datasets" / self.monitor / role)]

    def _versions(self, folder: Path) -> list[Path]:
        return [folder / f"v{number}" for number in versions(folder, self.folders.names)]


def shows(folder: Path, wanted: Collection[str]) -> bool:
    """Whether a text file of the folder holds one of the strings, as it stands or as JSON and HTML write it."""
    forms = {form.encode() for text in wanted for form in (text, json.dumps(text)[1:-1], text.replace("&", "&amp;").replace("<", "&lt;"))}
    return any(form in content for content in _contents(folder) for form in forms)


def _contents(folder: Path) -> Iterator[bytes]:
    for path in folder.iterdir():
        if path.is_file():
            yield path.read_bytes()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _erase_reference(folders: Folders, folder: Path, samples: Collection[str]) -> int:
    rows = list(_lines(folders.here(folder) / REFERENCE_ROWS))
    places = [place for place, row in enumerate(rows) if row["id"] in samples]
    if not places:
        return 0
    with np.load(folder / NUMERIC, allow_pickle=False) as arrays:
        numeric = dict(arrays)
    numeric["embeddings"] = numeric["embeddings"].copy()
    kept = np.setdiff1d(np.arange(len(rows)), places)
    numeric["embeddings"][places] = numeric["embeddings"][kept].mean(axis=0) if len(kept) else 0.0
    for place in places:
        rows[place] = {"id": f"erased/{place}", "text": ""}

    def write(draft: Path) -> None:
        np.savez(draft / NUMERIC, allow_pickle=False, **numeric)
        _write_lines(draft / REFERENCE_ROWS, rows)

    folders.replace(folder, write, {"erased": len(places)})
    return len(places)


def _erase_data_set(folders: Folders, folder: Path, samples: Collection[str]) -> int:
    rows = list(_lines(folders.here(folder) / DATA_ROWS))
    kept = [place for place, row in enumerate(rows) if row["id"] not in samples]
    gone = len(rows) - len(kept)
    if not gone:
        return 0

    def write(draft: Path) -> None:
        _write_lines(draft / DATA_ROWS, [rows[place] for place in kept])
        for path in sorted(folder.glob("*.npy")):
            np.save(draft / path.name, np.load(path, allow_pickle=False)[kept], allow_pickle=False)

    counts = _counted([rows[place] for place in kept])
    folders.replace(folder, write, {"erased": gone, **counts})
    return gone


def _counted(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """What a data set's manifest says of its rows."""
    labels = [row["label"] for row in rows if row["label"] is not None]
    parts = [row["part"] for row in rows if row["part"]]
    return {
        "rows": len(rows),
        "labels": {label: labels.count(label) for label in sorted(set(labels))},
        "unlabelled": len(rows) - len(labels),
        "parts": {part: parts.count(part) for part in sorted(set(parts))},
    }


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
