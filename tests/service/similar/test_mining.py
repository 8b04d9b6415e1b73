"""The kept samples that are most like something: searched, narrowed, merged and sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service import refresh
from service.datasets import DataSets, Role
from service.errors import ConflictError, InputError, NotFoundError
from service.failures.known import gather
from service.failures.listing import Failures
from service.records import AnnotationBatch, BatchState, Candidate, Judgement, Purpose, Sample, Truths
from service.reference import References
from service.similar.mining import Asked, Matches, Mining
from service.similar.pool import Narrowing
from tests.service.failures.conftest import answered
from tests.service.text_site import Installed

if TYPE_CHECKING:
    from tests.service.text_site import Site

NOW = 3_000.0


@dataclass
class Desk(Installed):
    """Somebody who asks."""

    @property
    def mining(self) -> Mining:
        failures = Failures(self.site.store, self.site.references, self.site.data_sets, self)
        return Mining(self.site.store, self.site.references, self.site.data_sets, failures, self, sends=self)

    def find(self, asked: Asked) -> Matches:
        return self.mining.find("chat", asked, now=NOW)

    def ids(self, asked: Asked) -> list[str]:
        return [match.row.id for match in self.find(asked).matches]


class Reembedded(DataSets):
    """Data sets that another model embedded."""

    def versions(self, monitor: str, role: Role | None = None) -> Sequence[Mapping[str, Any]]:
        return [{**manifest, "fingerprint": "another"} for manifest in super().versions(monitor, role)]


@pytest.fixture
def desk(site: Site) -> Desk:
    return Desk(site)


def text(words: str) -> Asked:
    return Asked(given=Sample("chat", "the text", 0.0, words))


def test_the_nearest_come_first_with_what_is_known_of_them(desk: Desk) -> None:
    desk.site.keep(
        [
            answered("money", "my money please", "parcel", sure=0.8),
            answered("rain", "rain today and", "weather"),
            answered("odd", "alien alien", "parcel"),
        ]
    )
    found = desk.find(text("the refund is my money"))
    assert found.matches[0].row.id == "money"
    assert [match.similarity for match in found.matches] == sorted((match.similarity for match in found.matches), reverse=True)
    first = found.matches[0]
    assert (first.place, first.near, first.predicted, first.confidence, first.label, first.asked) == (
        "recent",
        "the text",
        "parcel",
        0.8,
        None,
        False,
    )
    far = {match.row.id: match.percentile for match in found.matches}
    assert far["odd"] > 0.95 > far["money"]
    assert (found.kept, found.searched) == (3, 3)


def test_a_sample_is_no_answer_to_itself_and_copies_are_told_once(desk: Desk) -> None:
    desk.site.keep(
        [answered(f"same{i}", "my money please", "parcel") for i in range(30)] + [answered("else", "charged for it and", "parcel")]
    )
    found = desk.find(Asked(sample="same3", limit=2))
    same, other = found.matches
    assert (same.row.id[:4], same.count) == ("same", 29)  # which of them stands for all is rounding's
    assert (other.row.id, other.count) == ("else", 1)
    assert len(same.copies) == 20
    assert "same3" not in {same.row.id, *same.copies}


def test_what_the_reserve_has_kept_is_found_when_the_recent_have_gone(desk: Desk) -> None:
    wrong = answered("w0", "my money please", "parcel")
    desk.site.keep([wrong])
    desk.site.store.judge(Truths("chat", (Judgement("chat", "w0", "parcel", "refund", 0.9, {}, 0, 1, 1.0, 2.0),), 100))
    gather(desk.site.store, desk.site.settings, now=NOW)
    desk.site.keep([answered(f"later{i}", "a storm and rain", "weather") for i in range(3)])
    (failing,) = [match for match in desk.find(text("the refund is my money")).matches if match.row.id == "w0"]
    assert failing.label == "refund"
    assert failing.place in {"recent", "reserve"}


def test_pools_that_were_imported_are_searched_too(desk: Desk, tmp_path: Path) -> None:
    desk.site = replace(desk.site, data_sets=DataSets(tmp_path))
    samples = [Sample("chat", f"p{i}", float("nan"), words) for i, words in enumerate(("my money for it", "a storm"))]
    desk.site.data_sets.add("chat", "pool", samples, desk.site.model, now=1.0)
    found = desk.find(text("the refund is my money"))
    assert [(match.row.id, match.place) for match in found.matches] == [("p0", "pool set 1"), ("p1", "pool set 1")]
    assert np.isnan(found.matches[0].confidence)
    assert desk.ids(Asked(data_set="pool")) == []  # its own rows are no answer
    desk.site.keep([answered("money", "my money and", "parcel")])
    assert desk.ids(Asked(data_set="pool:1")) == ["money"]


@pytest.mark.parametrize(
    ("narrowing", "left"),
    [
        (Narrowing(), {"a", "b", "c", "d"}),
        (Narrowing(segment="locale=de"), {"a", "b", "d"}),
        (Narrowing(segment="locale=en"), {"c"}),
        (Narrowing(since=1_500.0), {"b", "c", "d"}),
        (Narrowing(until=1_500.0), {"a"}),
        (Narrowing(label="refund"), {"a"}),
        (Narrowing(predicted="weather"), {"b", "d"}),
        (Narrowing(confidence=(0.5, 0.7)), {"b"}),
        (Narrowing(confidence=(0.0, 1.0)), {"a", "b", "d"}),  # of `c` no confidence is known
        (Narrowing(predicted="weather", since=1_600.0), {"d"}),
    ],
)
def test_only_what_was_asked_for_answers(desk: Desk, narrowing: Narrowing, left: set[str]) -> None:
    desk.site.keep(
        [
            answered("a", "my money", "parcel", time=1_400.0),
            answered("b", "rain today", "weather", sure=0.6, time=1_500.0),
            replace(answered("c", "the courier", "parcel", time=1_550.0), segments={"locale": "en"}, output=None),
            answered("d", "a storm is", "weather", time=1_700.0),
        ]
    )
    desk.site.store.judge(Truths("chat", (Judgement("chat", "a", "parcel", "refund", 0.9, {}, 0, 1, 1_400.0, 1_900.0),), 100))
    found = desk.find(replace(text("my money"), narrowing=narrowing))
    assert {match.row.id for match in found.matches} == left
    assert (found.kept, found.searched) == (4, len(left))


def test_only_samples_under_the_reference_in_force_answer(desk: Desk) -> None:
    desk.site.keep([answered("old", "my money", "parcel")], version=7)
    assert desk.find(text("my money")).matches == ()


def test_several_models_order_the_nearest_together(desk: Desk) -> None:
    desk.site.keep([answered("money", "my money please", "parcel"), answered("rain", "rain today and", "weather")])
    plain, several = (
        desk.ids(replace(text("the refund is my money"), extractors=models)) for models in ((), (Path("a.onnx"), Path("b.onnx")))
    )
    assert plain == several == ["money", "rain"]
    assert desk.loaded == [Path("a.onnx"), Path("b.onnx")]
    desk.site.keep([answered("bare", "my money", "parcel")], payloads=False)
    assert "bare" in desk.ids(replace(text("the refund is my money"), extractors=(Path("a.onnx"),)))


def test_without_payloads_further_models_have_nothing_to_read(desk: Desk) -> None:
    desk.site.keep([answered("bare", "my money", "parcel")], payloads=False)
    with pytest.raises(InputError, match=r"pool\.keep_payloads: true keeps them"):
        desk.find(replace(text("my money"), extractors=(Path("a.onnx"),)))


def test_what_is_sent_has_no_label_and_was_not_asked_about(desk: Desk) -> None:
    desk.site.keep(
        [
            answered("new", "my money please", "parcel"),
            answered("known", "my money and", "parcel"),
            answered("asked", "charged for it", "parcel"),
        ]
    )
    desk.site.store.judge(Truths("chat", (Judgement("chat", "known", "parcel", "refund", 0.9, {}, 0, 1, 1_400.0, 1_900.0),), 100))
    desk.site.store.save(AnnotationBatch("b1", "chat", "y", 1, BatchState.SENT, (Candidate("asked", "novel", 0.1, "all"),), 1.0, version=1))
    found = desk.find(text("the refund is my money"))
    assert {match.row.id: match.asked for match in found.matches} == {"new": False, "known": False, "asked": True}
    first, again = (desk.mining.send(found, actor=actor, now=NOW) for actor in ("ana", "ben"))
    assert first == again  # the same cycle, whoever asks again
    (candidate,) = desk.site.store.get(AnnotationBatch, first.batch).items
    assert (candidate.id, candidate.purpose, candidate.failure, candidate.text) == ("new", Purpose.PROBE, "", "my money please")
    assert "asked for by ana" in candidate.reason
    assert 0 < candidate.risk < 1
    assert all(0 <= part <= 1 for part in (candidate.junk, candidate.contested, candidate.influence))
    assert {name[0] for name in candidate.nearest} == {"r"}
    with pytest.raises(InputError, match="none is without a label"):
        desk.mining.send(replace(found, matches=found.matches[-1:]), actor="ana", now=NOW)


def test_rows_too_close_to_those_that_judge_are_not_sent(desk: Desk) -> None:
    golden = desk.site.data_sets.load("chat", "golden")
    verified, chosen_by = (golden.part(part).samples[0] for part in ("verify", "select"))
    words = str(verified.payload)
    desk.site.keep([answered("copy", words, "parcel"), answered("own", "alien money", "parcel")])
    found = desk.find(text(words))
    assert {match.row.id for match in found.matches} == {"copy", "own"}
    cycle = desk.mining.send(found, actor="ana", now=NOW)
    assert [item.id for item in desk.site.store.get(AnnotationBatch, cycle.batch).items] == ["own"]
    with pytest.raises(InputError, match="none may learn from what is chosen by it"):
        desk.mining.send(desk.find(Asked(sample=verified.id)), actor="ana", now=NOW)
    desk.site.keep([answered("other", "alien storm", "parcel")])
    refresh.cancel(desk.site.store, cycle.id, actor="ana", now=NOW)
    assert desk.mining.send(desk.find(Asked(sample=chosen_by.id)), actor="ana", now=NOW).batch


def test_a_golden_set_is_asked_by_the_part_that_is_there_for_it(desk: Desk) -> None:
    desk.site.keep([answered("money", "alien money", "parcel")])
    found = desk.find(Asked(data_set="golden"))
    golden = desk.site.data_sets.load("chat", "golden")
    assert set(found.query.ids) == {sample.id for sample in golden.part("select").samples}
    assert found.query.apart == {sample.id for sample in golden.samples}


def test_a_challenge_set_may_be_looked_around_but_not_learnt_by(desk: Desk, tmp_path: Path) -> None:
    desk.site = replace(desk.site, data_sets=DataSets(tmp_path))
    desk.site.data_sets.add("chat", "challenge", [Sample("chat", "c0", 1.0, "a storm", label="weather")], desk.site.model, now=1.0)
    desk.site.keep([answered("near", "a storm and alien", "parcel")])
    found = desk.find(Asked(data_set="challenge"))
    assert [match.row.id for match in found.matches] == ["near"]
    with pytest.raises(InputError, match="models are judged by challenge set version 1"):
        desk.mining.send(found, actor="ana", now=NOW)


def test_a_golden_set_of_another_model_says_nothing_of_what_is_too_close(desk: Desk) -> None:
    desk.site.keep([answered("own", "alien money", "parcel")])
    found = desk.find(text("my money"))
    desk.site = replace(desk.site, data_sets=Reembedded(desk.site.data_sets._directory.parent))
    with pytest.raises(ConflictError, match="the golden set was embedded by another model"):
        desk.mining.send(found, actor="ana", now=NOW)


def test_a_sample_whose_copy_was_asked_about_was_asked_about(desk: Desk) -> None:
    desk.site.keep([answered("first", "my money please", "parcel"), answered("second", "my money please", "parcel")])
    items = (Candidate("first", "drawn", 0.0, "all", purpose=Purpose.CHALLENGE),)
    desk.site.store.save(AnnotationBatch("b1", "chat", "y", 1, BatchState.SENT, items, 1.0, version=1))
    (match,) = desk.find(text("my money please")).matches
    assert (match.row.id, match.copies, match.asked) == ("second", ("first",), True)


def test_what_can_not_be_looked_for_says_why(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no sample 'nope'"):
        desk.find(Asked(sample="nope"))
    with pytest.raises(InputError, match="limit: 1 to 1,000, found 0"):
        Asked(sample="a", limit=0)
    with pytest.raises(InputError, match="found 0"):
        Asked()
    with pytest.raises(InputError, match="empty or blank"):
        desk.find(text(" "))
    desk.site.keep([answered("bare", "my money", "parcel")], payloads=False, version=7)
    with pytest.raises(InputError, match="send it with --input FILE"):
        desk.find(Asked(sample="bare"))
    desk.site = replace(desk.site, references=References(tmp_path))
    with pytest.raises(NotFoundError, match="`driftgate reference build` makes one"):
        desk.find(text("my money"))
