"""A model as it came, a single ONNX file or a tar of files, laid out in a folder without trusting a name in it."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from service.errors import InputError

CLASSES, RUN, TOKENIZER = "classes.txt", "run.json", "tokenizer.json"
"""Files that may come beside the model: its classes (one per line), how it was made, its tokenizer."""

_MOST_FILES = 100
_MOST_BESIDE_BYTES = 50_000_000
"""Of each file that is not weights."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The ONNX file of a folder, and the weights beside it."""

    model: Path
    weights: tuple[Path, ...] = ()


def is_tar(path: Path) -> bool:
    """Whether the file is an archive; damaged ones are told when they are read."""
    with path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def unpack(given: Path, folder: Path, *, limit: int) -> Unpacked:
    """Lays the model out in an empty folder; InputError where that would take more than `limit` bytes, or leave the folder."""
    if given.stat().st_size > limit:
        raise too_large(limit)
    if is_tar(given):
        _extract(given, folder, limit)
        return laid_out(folder)
    name = given.name if given.suffix == ".onnx" else "model.onnx"
    shutil.copyfile(given, folder / name)
    for path in beside(given):
        if path.stat().st_size > limit:
            raise too_large(limit)
        shutil.copyfile(path, folder / path.name)
    return laid_out(folder)


def beside(model: Path) -> Iterator[Path]:
    """What belongs to a model in its folder: files named after it (weights, a certificate), and its tokenizer."""
    for path in sorted(model.parent.iterdir()):
        named_after_it = path.name.startswith(model.name) and path.name != model.name
        if path.is_file() and (named_after_it or path.name == TOKENIZER):
            yield path


def laid_out(folder: Path) -> Unpacked:
    """InputError unless there is exactly one ONNX file."""
    models = sorted(folder.glob("*.onnx"))
    if len(models) != 1:
        raise InputError("model", f"an archive must hold one .onnx file at its top, found {len(models)}; weights lie beside it")
    known = {CLASSES, models[0].name}
    return Unpacked(models[0], tuple(sorted(path for path in folder.iterdir() if path.name not in known and path.suffix != ".json")))


def too_large(limit: int) -> InputError:
    """What to say of a model that takes more room than it may."""
    return InputError("too_large", f"the model takes more than {limit:,} bytes, the most that is taken here (server.max_model_bytes)")


def _extract(given: Path, folder: Path, limit: int) -> None:
    try:
        with tarfile.open(given, "r:") as archive:
            _write_all(archive, folder, limit)
    except (tarfile.TarError, EOFError) as error:
        raise InputError("model", f"a damaged archive: {error}; send it again") from error


def _write_all(archive: tarfile.TarFile, folder: Path, limit: int) -> None:
    room = limit
    for number, member in enumerate(archive):
        if number >= _MOST_FILES:
            raise InputError("model", f"an archive of a model holds at most {_MOST_FILES} files")
        if member.isdir() and PurePosixPath(member.name) == PurePosixPath():
            continue
        name = _safe(member)
        room -= member.size
        if room < 0:
            raise too_large(limit)
        if name in {CLASSES, RUN, TOKENIZER} and member.size > _MOST_BESIDE_BYTES:
            raise InputError("too_large", f"{name} of the archive takes {member.size:,} bytes; at most {_MOST_BESIDE_BYTES:,}")
        _write(archive, member, folder / name)


def _safe(member: tarfile.TarInfo) -> str:
    """The plain name of a plain file; everything else could write somewhere else, or be something else than it seems."""
    path = PurePosixPath(member.name)
    name = path.name if str(path) == path.name or str(path) == f"./{path.name}" else ""
    if not member.isreg() or not name or name.startswith(".") or len(name) > 200 or "\\" in name or "\0" in name:
        raise InputError("model", f"the archive's member {member.name!r:.100} is no plain file at its top; pack the files without folders")
    return name


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = archive.extractfile(member)
    if source is None or target.exists():
        raise InputError("model", f"the archive's member {member.name!r:.100} is there twice, or can't be read")
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if target.stat().st_size != member.size:
        raise InputError("model", f"the archive ends within {member.name!r:.100}; send it again")
