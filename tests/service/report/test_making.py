"""Every monitor's report has the same sections, whatever is there to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.datasets import DataSets
from service.errors import ArtefactError, InputError, UnavailableError
from service.figures import describe_status
from service.observe import Silent
from service.records import WHOLE, Alarm, AlarmState, ClusterChange, Confusion, Family, Measured, Regime, Severity, Term, Verdict
from service.reference import References
from service.report import making
from service.report.drift import drift
from service.report.making import SECTIONS, make
from service.report.material import Material
from service.report.parts import Section, Standing
from service.report.ranking import line_of
from service.streams import MonitorStreams
from tests.service.conftest import World

NOW = 5_000.0


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@pytest.fixture
def bare(world: World, store: SqliteStore, tmp_path: Path) -> Material:
    """A monitor that was declared and nothing else."""
    return Material(world.settings, store, References(tmp_path), DataSets(tmp_path), now=NOW)


@pytest.fixture
def watched(world: World, store: SqliteStore, tmp_path: Path) -> Material:
    """With a reference in force."""
    return Material(world.settings, store, world.references, DataSets(tmp_path), now=NOW)


# --- the frame -----------------------------------------------------------------------------------------------------


def test_a_bare_monitor_has_every_section_and_each_names_what_it_lacks(bare: Material) -> None:
    report = make(bare)
    assert [section.name for section in report.sections] == list(SECTIONS)
    assert all(section.missing for section in report.sections)
    assert {section.standing for section in report.sections} == {Standing.UNKNOWN}
    assert (report.reference_version, report.versions) == (None, {})


def test_a_monitor_that_watches_nothing_has_the_most_to_do(bare: Material) -> None:
    line = line_of(make(bare))
    assert (line.urgency, line.section) == (0.5, "Drift")
    assert line.todo == "Build a reference: `driftgate reference build --monitor chat --input FILE`, or with `--from-stream`."


def test_sections_come_in_one_order_and_are_named_as_they_name_themselves(watched: Material) -> None:
    report = make(watched)
    assert [(section.name, section.title) for section in report.sections] == [(name, title) for name, (title, _) in SECTIONS.items()]
    assert report.versions["reference"] == "version 1, 1,200 rows"


def test_only_what_was_asked_for_is_made(watched: Material) -> None:
    heard: list[float] = []
    assert [section.name for section in make(watched, ["drift"], told=heard.append).sections] == ["drift"]
    assert heard == [1.0]


def test_a_section_that_nobody_knows_is_refused_with_those_there_are(watched: Material) -> None:
    with pytest.raises(InputError, match=r"no section 'drifft'; there are: drift"):
        make(watched, ["drifft"])


def test_what_is_damaged_is_named_in_its_section_and_keeps_no_other_from_being_made(
    watched: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: Material) -> Section:
        raise ArtefactError("embeddings.npy: damaged; restore it from a backup")

    monkeypatch.setattr(making, "SECTIONS", {"coverage": ("Coverage", damaged), "drift": SECTIONS["drift"]})
    broken, whole = make(watched).sections
    assert (broken.name, broken.title, broken.standing) == ("coverage", "Coverage", Standing.UNKNOWN)
    assert broken.missing[0].why == "embeddings.npy: damaged; restore it from a backup"
    assert whole.name == "drift"


@pytest.mark.parametrize("error", [ValueError("zero-size array"), KeyError("line"), MemoryError()], ids=repr)
def test_what_nobody_foresaw_keeps_no_other_section_from_being_made(
    error: Exception, watched: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Material) -> Section:
        raise error

    monkeypatch.setattr(making, "SECTIONS", {"coverage": ("Coverage", fails), "drift": SECTIONS["drift"]})
    broken, whole = make(watched).sections
    assert (broken.standing, broken.says) == (Standing.UNKNOWN, f"Could not be told: an error that nobody foresaw ({type(error).__name__})")
    assert whole.name == "drift"


@pytest.mark.parametrize("error", [UnavailableError("Redis can't be reached"), CancelledError()], ids=repr)
def test_what_mends_by_itself_or_was_given_up_ends_the_report(error: Exception, watched: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Material) -> Section:
        raise error

    monkeypatch.setattr(making, "SECTIONS", {"coverage": ("Coverage", fails)})
    with pytest.raises(type(error)):
        make(watched)


def test_a_damaged_reference_does_not_end_the_report(
    world: World, store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = References(tmp_path)

    def load(*_: object) -> None:
        raise ArtefactError("model.npz: damaged")

    monkeypatch.setattr(references, "load", load)
    report = make(Material(world.settings, store, references, DataSets(tmp_path), now=NOW), ["drift"])
    assert "model.npz: damaged" in report.sections[0].says
    assert report.reference_version is None


# --- drift ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def raised(store: SqliteStore, watched: Material) -> Callable[..., Section]:
    """The section once these alarms are there."""

    def look(*alarms: Alarm) -> Section:
        store.save(*alarms)
        return drift(watched)

    return look


def alarm(id: str = "a1", **changes: object) -> Alarm:
    told: dict[str, object] = {
        "id": id, "monitor": "chat", "segment": WHOLE, "family": Family.INPUT, "reference_version": 1, "kind": "new content",
        "severity": Severity.WARNING, "state": AlarmState.OPEN, "at_sample": 320, "at_sequence": 20, "opened": NOW - 60,
        "window_samples": 100, "window_start": NOW - 600, "effect": Measured(0.3, 0.2, 0.4), "novel_share": Measured(0.2, 0.1, 0.3),
        "channel": "features", "version": 1, **changes,
    }  # fmt: skip
    return Alarm(**told)  # type: ignore[arg-type]  # the fields are those of an alarm


def test_before_the_first_decision_it_says_what_is_still_waited_for(watched: Material) -> None:
    found = drift(watched)
    assert found.standing is Standing.UNKNOWN
    assert "Warming up: " in found.says
    assert "a first decision" in [missing.what for missing in found.missing]
    delays = next(table for table in found.tables if table.title == "How soon drift would be seen")
    assert [row[0] for row in delays.rows] == [0.05, 0.1, 0.2, 0.5]


def test_an_open_alarm_asks_to_be_looked_at(raised: Callable[..., Section]) -> None:
    moved = ClusterChange("novel", 0.01, 0.2), ClusterChange("billing", 0.3, 0.28)
    found = raised(alarm("weak", effect=Measured(0.1, 0.05, 0.2)), alarm("strong", clusters=moved, terms=(Term("cloned", 0.2, 0.0),)))
    assert (found.standing, found.urgency) == (Standing.ACT, 0.2), "the lower bound of what was picked for being large"
    assert found.todo == "Look at alarm strong (new content on all): `driftgate explain strong`, then give its verdict."
    assert "2 alarms are open, first of all: new content on all, 30.0 % (20.0 to 40.0)." in found.says
    row = found.tables[0].rows[0]
    assert row[0] == "strong"
    assert row[-1] == "novel: 1.0 % → 20.0 %; billing: 30.0 % → 28.0 %; terms: cloned"


def test_of_changed_answers_it_says_what_is_taken_for_what(raised: Callable[..., Section]) -> None:
    taken = Confusion("banking", "meta", 0.021, 0.001, Measured(0.02, 0.01, 0.03))
    assert raised(alarm(family=Family.CONCEPT, confusions=(taken,))).tables[0].rows[0][-1] == "banking taken for meta: 0.1 % → 2.1 %"


def test_the_whole_stream_is_looked_at_before_its_segments_however_strong(raised: Callable[..., Section]) -> None:
    found = raised(alarm("part", segment="locale=de", effect=Measured(0.6, 0.4, 0.8)), alarm("whole"), alarm("blind", family=Family.FEED))
    assert [row[0] for row in found.tables[0].rows] == ["blind", "whole", "part"]


def test_what_somebody_takes_care_of_or_the_budget_leaves_out_is_to_be_watched(raised: Callable[..., Section]) -> None:
    found = raised(alarm(state=AlarmState.ACKNOWLEDGED), alarm("a2", regime=Regime.ADVISORY))
    assert found.standing is Standing.WATCH


def test_alarms_are_counted_by_verdict_over_thirty_days(raised: Callable[..., Section]) -> None:
    over = {"state": AlarmState.RESOLVED}
    found = raised(
        alarm("a", verdict=Verdict.TRUE, **over),
        alarm("b", verdict=Verdict.FALSE, **over),
        alarm("c", verdict=Verdict.TRUE, **over),
        alarm("d", **over),
        alarm("e", opened=NOW - 31 * 86_400, **over),
    )
    assert "Alarms in the last 30 days: 2 true, 1 false, 1 not judged." in found.says
    assert not found.todo


def test_traffic_without_alarm_is_fine_and_drift_by_stream_is_drawn(world: World, store: SqliteStore, watched: Material) -> None:
    world.log(store).add(world.ordinary(320, 1))
    controller = Controller(world.settings, world.reference, store, Silent())
    while controller.step(now=NOW):
        pass
    found = drift(watched)
    assert (found.standing, found.urgency, found.todo) == (Standing.FINE, 0.0, "")
    assert found.says.startswith("No alarm is open.")
    assert "effect now, as a share of new content" in [figure.name for figure in found.figures]


def test_a_monitor_that_sees_nothing_has_to_be_looked_at(watched: Material, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {**drift_status(watched), "state": "blind"}
    monkeypatch.setattr(store, "status", lambda _: seen)
    found = drift(watched)
    assert (found.standing, found.urgency) == (Standing.ACT, 0.5)
    assert found.todo == "See what keeps samples from the monitor: `driftgate status --monitor chat`."


def drift_status(material: Material) -> dict[str, object]:
    assert material.reference
    return dict(describe_status(MonitorStreams(material.settings, material.reference)))
