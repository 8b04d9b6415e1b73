"""Reports on disk: `reports/<monitor>/<time>/` holds one in every format; the newest few of each monitor are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from service.artefacts import LOCAL
from service.errors import ArtefactError, NotFoundError
from service.ports import Folders, Revision
from service.report.parts import Report
from service.report.ranking import Line, line_of, ranked
from service.report.rendering import FORMATS, SUFFIXES, Format, render

_NAME = "report"
_FORMAT: Literal[1] = 1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Manifest:
    format: Literal[1]
    line: Line


class Kept:
    """The reports below a directory."""

    def __init__(self, directory: Path, *, keep: int, folders: Folders = LOCAL) -> None:
        self._directory, self._folders = directory / "reports", folders
        self._keep = keep
        self._seen: dict[str, tuple[Revision, Line | None]] = {}
        """Of each monitor: when its folder changed last, and what its newest report asked for then."""

    def add(self, report: Report) -> Path:
        """Publishes it, and lets go of the oldest beyond those that are kept; returns its folder."""
        folder = self._directory / report.monitor / _written(report.made)

        def write(draft: Path) -> None:
            for form in FORMATS:
                (draft / (_NAME + SUFFIXES[form])).write_text(render(report, form), encoding="utf-8")

        self._folders.publish(folder, msgspec.to_builtins(_Manifest(_FORMAT, line_of(report))), write)
        for old in self._reports(report.monitor)[: -self._keep]:
            self._folders.remove(old)
        return folder

    def newest(self, monitor: str, form: Format) -> str:
        """The text of a monitor's newest report; NotFoundError says how to make one."""
        path = self._folders.here(self._newest(monitor)) / (_NAME + SUFFIXES[form])
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise ArtefactError(f"{path}: can't be read ({error.strerror}); make the report again") from error

    def line(self, monitor: str) -> Line | None:
        """What a monitor's newest report asks for; None before there is one. A damaged one is as good as none: another will be made."""
        return next((line for _, line in self._readable(monitor)), None)

    def ranking(self, monitors: Iterable[str]) -> Sequence[Line]:
        """Those that have a report, the most urgent first."""
        return ranked(line for monitor in monitors if (line := self._known(monitor)) is not None)

    def _known(self, monitor: str) -> Line | None:
        """As `line`, read anew where a report has come or gone: of a thousand monitors few have."""
        changed = self._folders.changed(self._directory / monitor)
        if not changed:
            return None
        seen = self._seen.get(monitor)
        if seen is None or seen[0] != changed:
            seen = self._seen[monitor] = (changed, self.line(monitor))
        return seen[1]

    def _newest(self, monitor: str) -> Path:
        found = next(self._readable(monitor), None)
        if found is None:
            makes = f"`driftgate report --monitor {monitor}` or POST /v1/monitors/{monitor}/report makes one"
            raise NotFoundError(f"monitor {monitor}: no report yet; {makes}")
        return found[0]

    def _readable(self, monitor: str) -> Iterator[tuple[Path, Line]]:
        """Newest first."""
        for folder in reversed(self._reports(monitor)):
            try:
                yield folder, msgspec.convert(self._folders.manifest(folder), _Manifest).line
            except (ArtefactError, OSError, ValueError) as error:
                log.debug("report unreadable", folder=str(folder), reason=str(error))

    def _reports(self, monitor: str) -> list[Path]:
        """Oldest first."""
        folder = self._directory / monitor
        return [folder / name for name in self._folders.names(folder)]


def _written(made: float) -> str:
    """In an order that is the times' own."""
    return datetime.fromtimestamp(made, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
