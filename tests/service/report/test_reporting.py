"""Reports that are kept, made in the background, and made again when they have grown old."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import ArtefactError, ConflictError, NotFoundError
from service.reference import References
from service.report.kept import Kept
from service.report.material import Material, Progress
from service.report.rendering import FORMATS
from service.report.reporting import Reporting, Schedule
from tests.service.conftest import monitor_settings
from tests.service.report.made_up import FULL, MADE

PATIENCE = 30.0


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path, keep=2)


# --- on disk -------------------------------------------------------------------------------------------------------


def test_a_report_is_kept_in_every_format(kept: Kept) -> None:
    folder = kept.add(FULL)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "report.md", "report.html", "report.json"}
    assert "chat" in kept.newest("chat", "html")
    assert all(
        kept.newest("chat", form) == (folder / f"report{suffix}").read_text()
        for form, suffix in zip(FORMATS, (".md", ".html", ".json"), strict=True)
    )


def test_the_newest_few_are_kept(kept: Kept, tmp_path: Path) -> None:
    for hour in (3, 1, 2):
        kept.add(replace(FULL, made=MADE + 3_600 * hour))
    assert sorted(path.name for path in (tmp_path / "reports" / "chat").iterdir()) == ["20260301T140000.000000Z", "20260301T150000.000000Z"]
    line = kept.line("chat")
    assert line
    assert line.made == MADE + 3 * 3_600


def test_without_a_report_it_says_how_to_make_one(kept: Kept) -> None:
    with pytest.raises(NotFoundError, match=r"no report yet; `driftgate report --monitor chat` or POST /v1/monitors/chat/report makes one"):
        kept.newest("chat", "json")
    assert kept.line("chat") is None


def test_a_page_that_somebody_removed_is_named(kept: Kept) -> None:
    (kept.add(FULL) / "report.html").unlink()
    with pytest.raises(ArtefactError, match="make the report again"):
        kept.newest("chat", "html")


def test_reports_are_ranked_without_being_read(kept: Kept) -> None:
    kept.add(FULL)
    kept.add(replace(FULL, monitor="calm", sections=FULL.sections[1:2]))
    assert [(line.monitor, line.todo[:10]) for line in kept.ranking(["calm", "chat", "new"])] == [
        ("chat", "Look at al"),
        ("calm", "Nothing st"),
    ]


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"format": 9, "line": {}}', "\udcff"])
def test_a_damaged_report_gives_way_to_the_one_before(kept: Kept, manifest: str) -> None:
    kept.add(replace(FULL, made=MADE))
    damaged = kept.add(replace(FULL, made=MADE + 60))
    (damaged / "manifest.json").write_text(manifest, encoding="utf-8", errors="surrogateescape")
    assert [line.made for line in kept.ranking(["chat"])] == [MADE]
    assert "12:00:00" in kept.newest("chat", "markdown")


def test_with_nothing_but_a_damaged_report_there_is_none(kept: Kept) -> None:
    (kept.add(FULL) / "manifest.json").unlink()
    assert kept.ranking(["chat"]) == []
    with pytest.raises(NotFoundError, match="no report yet"):
        kept.newest("chat", "json")


def test_a_disk_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(ArtefactError, match=r"chat/2026\S+: can't be written \(Not a directory\); see to room and rights"):
        Kept(tmp_path, keep=2).add(FULL)


# --- in the background ---------------------------------------------------------------------------------------------


class Gate:
    """Gathers material only once it is let; or fails."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(":memory:")
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self._folder = folder

    def __call__(self, monitor: str, *, now: float, progress: Progress) -> Material:
        assert self.open.wait(PATIENCE)
        if self.error:
            raise self.error
        references, sets = References(self._folder), DataSets(self._folder)
        return Material(monitor_settings(name=monitor), self.store, references, sets, now=now, progress=progress)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def reporting(gate: Gate, kept: Kept) -> Reporting:
    return Reporting(gate, kept)


@pytest.fixture
def done(reporting: Reporting) -> Callable[[], None]:
    """Waits for what is under way."""

    def wait() -> None:
        end = threading.Event()
        while reporting.under_way is not None:
            end.wait(0.005)

    return wait


def test_one_report_at_a_time(reporting: Reporting, gate: Gate, done: Callable[[], None]) -> None:
    gate.open.clear()
    assert reporting.begin("chat", now=MADE).monitor == "chat"
    with pytest.raises(ConflictError, match="a report of monitor chat is being made, and there is one at a time"):
        reporting.begin("other", now=MADE)
    gate.open.set()
    done()
    assert reporting.kept.newest("chat", "markdown").startswith("# Blind spots of chat")
    reporting.begin("other", now=MADE)
    done()
    assert reporting.kept.line("other")


def test_why_a_report_could_not_be_made_is_kept_until_one_is(reporting: Reporting, gate: Gate, done: Callable[[], None]) -> None:
    gate.error = ArtefactError("no room left")
    reporting.begin("chat", now=MADE)
    done()
    assert reporting.failures == {"chat": "no room left"}
    gate.error = None
    reporting.begin("chat", now=MADE)
    done()
    assert reporting.failures == {}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError("no room"), ValueError("no row")], ids=repr)
def test_an_error_that_nobody_foresaw_is_told_too(reporting: Reporting, gate: Gate, done: Callable[[], None], error: Exception) -> None:
    gate.error = error
    reporting.begin("chat", now=MADE)
    done()
    assert reporting.failures == {"chat": str(error)}
    assert reporting.under_way is None


def test_a_report_under_way_is_given_up_at_the_end(reporting: Reporting, gate: Gate) -> None:
    gate.open.clear()
    reporting.begin("chat", now=MADE)
    threading.Timer(0.05, gate.open.set).start()
    reporting.close()
    assert reporting.under_way is None
    assert reporting.kept.line("chat") is None


# --- on a schedule -------------------------------------------------------------------------------------------------


def test_the_oldest_report_is_made_again_first(reporting: Reporting, done: Callable[[], None]) -> None:
    schedule = Schedule(reporting, lambda: ["chat", "other"], lambda: 24.0)
    begun = []
    for hour in (0, 1, 2, 23, 24.5, 25.5, 26):
        if schedule.step(MADE + 3_600 * hour):
            assert reporting.under_way
            begun.append((hour, reporting.under_way.monitor))
        done()
    assert begun == [(0, "chat"), (1, "other"), (24.5, "chat"), (25.5, "other")]


def test_one_that_fails_is_not_tried_at_every_turn(reporting: Reporting, gate: Gate, done: Callable[[], None]) -> None:
    gate.error = ArtefactError("no room left")
    schedule = Schedule(reporting, lambda: ["chat"], lambda: 1.0)
    begun = [_stepped(schedule, done, MADE + 60 * minute) for minute in (0, 1, 59, 61)]
    assert begun == [1, 0, 0, 1]


def test_one_that_fails_is_tried_again_within_the_hour_when_reports_are_rare(
    reporting: Reporting, gate: Gate, done: Callable[[], None]
) -> None:
    gate.error = ArtefactError("no room left")
    schedule = Schedule(reporting, lambda: ["chat"], lambda: 24.0)
    assert [_stepped(schedule, done, MADE + 60 * minute) for minute in (0, 1, 59, 61)] == [1, 0, 0, 1]
    gate.error = None
    assert [_stepped(schedule, done, MADE + 60 * minute) for minute in (122, 183, 23 * 60)] == [1, 0, 0]


def test_a_damaged_report_keeps_no_monitor_from_its_own(reporting: Reporting, done: Callable[[], None]) -> None:
    (reporting.kept.add(replace(FULL, monitor="other")) / "manifest.json").write_text("{", encoding="utf-8")
    schedule = Schedule(reporting, lambda: ["chat", "other"], lambda: 24.0)
    assert [_stepped(schedule, done, MADE + 60 + second) for second in (0, 1, 2)] == [1, 1, 0]
    assert [line.monitor for line in reporting.kept.ranking(["chat", "other"])] == ["chat", "other"]


def test_a_report_that_somebody_asked_for_in_between_is_no_failure(reporting: Reporting, gate: Gate, done: Callable[[], None]) -> None:
    gate.open.clear()

    def asked() -> list[str]:
        reporting.begin("chat", now=MADE)
        return ["other"]

    assert Schedule(reporting, asked, lambda: 1.0).step(MADE) == 0
    gate.open.set()
    done()


def _stepped(schedule: Schedule, done: Callable[[], None], now: float) -> int:
    begun = schedule.step(now)
    done()
    return begun


def test_without_a_schedule_or_while_one_is_made_none_is_begun(reporting: Reporting, gate: Gate, done: Callable[[], None]) -> None:
    assert Schedule(reporting, lambda: ["chat"], lambda: None).step(MADE) == 0
    gate.open.clear()
    reporting.begin("chat", now=MADE)
    assert Schedule(reporting, lambda: ["other"], lambda: 1.0).step(MADE) == 0
    gate.open.set()
    done()
    assert Schedule(reporting, list, lambda: 1.0).step(MADE) == 0
