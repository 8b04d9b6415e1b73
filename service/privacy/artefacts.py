"""Samples inside published folders: references, data sets, reports. A version loses rows and nothing else; its manifest says how often."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from service.artefacts import MANIFEST, checksum, sync, versions
from service.datasets import ROWS as DATA_ROWS

REFERENCE_ROWS, NUMERIC = "rows.jsonl", "numeric.npz"


def erase_from_references(directory: Path, monitor: str, samples: Collection[str]) -> int:
    """Ids and texts go, embeddings become zeros and labels nothing; thresholds, and all that was learned of many rows, stay.

    A row that shares its embedding's place with nobody keeps that place, so that nothing else moves.
    """
    folder = directory / "references" / monitor
    return sum(_erase_reference(folder / f"v{number}", samples) for number in versions(folder))


def erase_from_data_sets(directory: Path, monitor: str, samples: Collection[str]) -> int:
    """Rows go with their embeddings and logits."""
    gone = 0
    for role in sorted((directory / "datasets" / monitor).glob("*")):
        gone += sum(_erase_data_set(role / f"v{number}", samples) for number in versions(role))
    return gone


def drop_reports(directory: Path, monitor: str, doomed: Callable[[Path], bool]) -> int:
    """Whole reports, which are made again at any time."""
    folder, gone = directory / "reports" / monitor, 0
    for report in sorted(folder.iterdir()) if folder.is_dir() else ():
        if report.is_dir() and doomed(report):
            shutil.rmtree(report)
            gone += 1
    return gone


def shows(folder: Path, wanted: Collection[str]) -> bool:
    """Whether a text file of the folder holds one of the strings, as it stands or as JSON and HTML write it."""
    forms = {form.encode() for text in wanted for form in (text, json.dumps(text)[1:-1], text.replace("&", "&amp;").replace("<", "&lt;"))}
    return any(form in content for content in _contents(folder) for form in forms)


def texts_of(directory: Path, monitor: str, samples: Collection[str]) -> set[str]:
    """By which texts references and data sets show these samples."""
    folders = (path.parent for kind in ("references", "datasets") for path in (directory / kind / monitor).rglob("*.jsonl"))
    found = (row.get("text") for folder in folders for row in _lines(folder / DATA_ROWS) if row["id"] in samples)
    return {text for text in found if text}


def _contents(folder: Path) -> Iterator[bytes]:
    for path in folder.iterdir():
        if path.is_file():
            yield path.read_bytes()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _erase_reference(folder: Path, samples: Collection[str]) -> int:
    rows = list(_lines(folder / REFERENCE_ROWS))
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

    _replace(folder, write, {"erased": len(places)})
    return len(places)


def _erase_data_set(folder: Path, samples: Collection[str]) -> int:
    rows = list(_lines(folder / DATA_ROWS))
    kept = [place for place, row in enumerate(rows) if row["id"] not in samples]
    gone = len(rows) - len(kept)
    if not gone:
        return 0

    def write(draft: Path) -> None:
        _write_lines(draft / DATA_ROWS, [rows[place] for place in kept])
        for path in sorted(folder.glob("*.npy")):
            np.save(draft / path.name, np.load(path, allow_pickle=False)[kept], allow_pickle=False)

    counts = _counted([rows[place] for place in kept])
    _replace(folder, write, {"erased": gone, **counts})
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


def _replace(folder: Path, write: Callable[[Path], None], changes: Mapping[str, Any]) -> None:
    """Puts changed files and the manifest that names them into a published folder. A crash in between leaves the old folder whole, or
    the new one; for a moment there is none."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    draft = Path(tempfile.mkdtemp(prefix=".erasing-", dir=folder.parent))
    try:
        write(draft)
        for path in folder.iterdir():
            if path.name != MANIFEST and not (draft / path.name).exists():
                (draft / path.name).hardlink_to(path)
        files = {path.name: checksum(path) for path in sorted(draft.iterdir())}
        erased = int(manifest.get("erased", 0)) + changes["erased"]
        revised = {**manifest, **changes, "erased": erased, "revision": int(manifest.get("revision", 1)) + 1, "files": files}
        (draft / MANIFEST).write_text(json.dumps(revised, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        for path in draft.iterdir():
            sync(path)
        draft.chmod(0o755)
        old = folder.with_name(f".old-{folder.name}")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        draft.rename(folder)
        sync(folder.parent)
        shutil.rmtree(old)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def mend(directory: Path, monitor: str) -> None:
    """After a crash between the two renames: the folder that was moved away comes back."""
    for kind in ("references", "datasets"):
        for old in (directory / kind / monitor).rglob(".old-v*"):
            place = old.with_name(old.name.removeprefix(".old-"))
            if place.exists():
                shutil.rmtree(old)
            else:
                old.rename(place)
        for draft in (directory / kind / monitor).rglob(".erasing-*"):
            shutil.rmtree(draft, ignore_errors=True)
