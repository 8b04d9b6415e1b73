"""What people say of samples, and how they take it back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from service.errors import ConflictError, InputError, NotFoundError
from service.failures import marks
from service.failures.known import PART, known_failures
from service.failures.marks import Word
from service.records import FailureMark, MarkState
from service.settings import PrivacySettings
from tests.service.failures.conftest import answered

if TYPE_CHECKING:
    from tests.service.failures.conftest import Failing

ANA = Word("ana", "a customer complained", 2_000.0)


def test_a_marked_sample_is_a_failure_with_who_said_so(failing: Failing) -> None:
    failing.site.keep([answered("m1", "my money", "parcel"), answered("m2", "my parcel", "parcel")])
    mark = failing.failures.mark("chat", "m1", "refund", ANA)
    assert (mark.state, mark.label, mark.history[-1].actor, mark.history[-1].note) == (MarkState.MARKED, "refund", "ana", ANA.note)
    (found,) = known_failures(failing.site.store, failing.settings, version=1)
    assert (found.row.id, found.label, found.answer, found.mark) == ("m1", "refund", "parcel", mark)
    assert [each.row.id for each in failing.site.store.reserve("chat", part=PART)] == ["m1"]


def test_repeating_it_changes_nothing_and_another_label_corrects_it(failing: Failing) -> None:
    failing.site.keep([answered("m1", "my money", "parcel")])
    first = failing.failures.mark("chat", "m1", None, ANA)
    assert failing.failures.mark("chat", "m1", None, replace(ANA, note="", time=3_000.0)) == first
    corrected = failing.failures.mark("chat", "m1", "refund", replace(ANA, time=4_000.0))
    assert (corrected.version, corrected.label, len(corrected.history)) == (2, "refund", 2)
    assert failing.failures.mark("chat", "m1", None, replace(ANA, time=5_000.0)) == corrected  # what is known is not forgotten


def test_taken_back_it_is_none_and_may_be_marked_again(failing: Failing) -> None:
    failing.site.keep([answered("m1", "my money", "parcel")])
    failing.failures.mark("chat", "m1", "refund", ANA)
    taken_back = failing.failures.unmark("chat", "m1", replace(ANA, note="it was right"))
    assert (taken_back.state, taken_back.history[-1].note) == (MarkState.UNMARKED, "it was right")
    assert failing.failures.unmark("chat", "m1", ANA) == taken_back
    assert failing.site.store.reserve("chat", part=PART) == []
    assert known_failures(failing.site.store, failing.settings) == []
    assert failing.failures.mark("chat", "m1", None, ANA).version == 3
    with pytest.raises(NotFoundError, match="nobody marked sample 'm7'"):
        failing.failures.unmark("chat", "m7", ANA)


def test_a_label_that_came_stays_when_a_mark_goes(failing: Failing) -> None:
    failing.fail(["my money"], "refund", "parcel", prefix="w")
    failing.failures.mark("chat", "w0", None, ANA)
    (found,) = known_failures(failing.site.store, failing.settings)
    assert (found.label, found.mark is not None) == ("refund", True)
    failing.failures.unmark("chat", "w0", ANA)
    (found,) = known_failures(failing.site.store, failing.settings)
    assert (found.label, found.mark) == ("refund", None)
    assert [each.row.id for each in failing.site.store.reserve("chat", part=PART)] == ["w0"]


def test_a_sample_that_is_not_kept_comes_along(failing: Failing) -> None:
    with pytest.raises(NotFoundError, match="failure mark g1 --monitor chat --input FILE"):
        failing.failures.mark("chat", "g1", "refund", ANA)
    given = replace(answered("g1", "the courier is still about", "parcel"), output=None, label="weather")
    assert failing.failures.mark("chat", "g1", None, ANA, given=given).label == "weather"
    (found,) = known_failures(failing.site.store, failing.settings, version=1)
    assert (found.row.payload, found.label, found.answer) == ("the courier is still about", "weather", "parcel")  # by the model in force
    assert 0 <= found.row.novelty <= 1


def test_a_sample_that_comes_along_is_kept_without_payload_where_none_may_be(failing: Failing) -> None:
    failing.settings = failing.settings.model_copy(update={"privacy": PrivacySettings(payloads="none")})
    failing.failures.mark("chat", "g1", "refund", ANA, given=answered("g1", "the courier is still about", "parcel"))
    (found,) = known_failures(failing.site.store, failing.settings, version=1)
    assert (found.row.id, found.row.payload) == ("g1", None)


def test_what_can_not_be_marked_is_refused_before_anything_is_kept(failing: Failing) -> None:
    failing.site.keep([answered("m1", "my money", "parcel")])
    with pytest.raises(InputError, match=r"'refnd' is no class of the monitor; allowed: refund, parcel, weather\. A class"):
        failing.failures.mark("chat", "m1", "refnd", ANA)
    with pytest.raises(InputError, match="'parcel' is what the model answered"):
        failing.failures.mark("chat", "m1", "parcel", ANA)
    with pytest.raises(InputError, match="empty or blank"):
        failing.failures.mark("chat", "g1", None, ANA, given=answered("g1", " ", "parcel"))
    failing.settings = failing.settings.model_copy(update={"pool": failing.settings.pool.model_copy(update={"reserve_rows": 0})})
    with pytest.raises(InputError, match=r"pool\.reserve_rows is 0"):
        failing.failures.mark("chat", "g1", None, ANA, given=answered("g1", "my money", "parcel"))
    assert failing.site.store.find(FailureMark) == []


def test_marks_are_bounded(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MOST_MARKS", 2)
    failing.site.keep([answered(f"m{i}", "my money", "parcel") for i in range(3)])
    for name in ("m0", "m1", "m0"):
        failing.failures.mark("chat", name, None, ANA)
    with pytest.raises(ConflictError, match="2 samples are marked, and no more are kept"):
        failing.failures.mark("chat", "m2", None, ANA)
    failing.failures.unmark("chat", "m0", ANA)
    assert failing.failures.mark("chat", "m2", None, ANA).state is MarkState.MARKED


def test_a_mark_whose_sample_has_gone_is_counted(failing: Failing) -> None:
    marks.mark(failing.site.store, "chat", "gone", None, ANA)
    assert failing.failures.listing("chat").unkept == 1


def test_of_a_history_the_newest_steps_are_kept(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_MOST_STEPS", 3)
    words = [Word("ana", f"word {i}", 2_000.0 + i) for i in range(6)]
    for word in words[:5]:
        marks.mark(failing.site.store, "chat", "m1", None, word)
    taken_back = marks.unmark(failing.site.store, "chat", "m1", words[5])
    assert [step.note for step in taken_back.history] == ["word 3", "word 4", "word 5"]
    assert taken_back.version == 6


def test_to_take_a_mark_back_only_the_kept_failures_are_read(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    failing.site.keep([answered("m1", "my money", "parcel"), answered("m2", "my money please", "parcel")])
    for name in ("m1", "m2"):
        failing.failures.mark("chat", name, None, ANA)
    monkeypatch.setattr(type(failing.site.store), "pool", lambda *_, **__: pytest.fail("all recent samples were read"))
    failing.failures.unmark("chat", "m1", ANA)
    assert [each.row.id for each in failing.site.store.reserve("chat", part=PART)] == ["m2"]
