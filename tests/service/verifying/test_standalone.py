"""Two models and labelled samples, and the report of what they come to."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InputError
from service.records import Sample
from service.settings import RefreshSettings
from service.verifying.report import Verified
from service.verifying.standalone import Compared, Sets, compare
from service.verifying.verdict import unusable_verdict
from service.verifying.writing import check_suffix, html, json_text, markdown, write
from tests.service.verifying.models import NEW, OLD, model, samples

pytestmark = pytest.mark.long

KNOWN = ("pay", "ship", "login")
GOLDEN = samples(1_500, 1, *KNOWN)
CHALLENGE = samples(60, 2, "voice")
NASTY = "<script>alert(1)</script>\x1b[31m | `code` @here"


def compared(golden: tuple[Sample, ...] = GOLDEN, challenge: tuple[Sample, ...] = CHALLENGE, **options: Any) -> Compared:
    sets = Sets(golden, challenge, **{name: options.pop(name) for name in ("before", "train", "run") if name in options})
    settings = RefreshSettings.model_validate(options.pop("refresh", {}))
    pair = options.pop("old", OLD), options.pop("new", NEW)
    ticks = iter(range(10_000))
    return compare(*pair, sets, settings, rng=np.random.default_rng(0), clock=lambda: next(ticks) / 1_000, **options)


@pytest.fixture(scope="module")
def found() -> Compared:
    return compared(tags=("locale",), show_golden=True, train=samples(200, 3, *KNOWN, "voice"))


def verified(found: Compared, **changes: Any) -> Verified:
    names = {"name": "old.onnx", "checksum": "0123456789abcdef", "classes": 3}
    return replace(Verified(1_000.0, names, {**names, "name": "new.onnx"}, found.verification, found.shown), **changes)


def test_a_better_model_with_other_classes_in_another_order_is_promoted(found: Compared) -> None:
    verification = found.verification
    assert (verification["verdict"], verification["new_classes"], verification["lost_classes"]) == ("promote", ["voice"], [])
    assert {each["segment"] for each in verification["segments"]} == {"locale=de", "locale=en"}
    assert verification["latency"]["rows"] == 64
    assert verification["calibration"]["new"]["bins"]
    assert verification["fitting"]["fits"] == "well"


def test_a_model_that_lost_a_class_is_rejected_and_says_which() -> None:
    found = compared(new=model("pay", "ship", "voice"))
    assert (found.verification["verdict"], found.verification["lost_classes"]) == ("reject", ["login"])


def test_copies_of_a_golden_row_count_once() -> None:
    copies = tuple(replace(sample, id=f"copy {sample.id}") for sample in GOLDEN[:700])
    found = compared((*GOLDEN[:900], *copies))
    assert found.verification["verdict"] == "insufficient"
    assert found.verification["checks"][0]["rows"] == 900 - found.verification["golden_duplicates"] + 700


def test_the_verdict_with_and_without_a_correction_of_labels() -> None:
    """Labels of one class were wrong; with them the new model seems to break what it mends."""
    wrong = tuple(replace(sample, label="ship") if i % 12 == 0 else sample for i, sample in enumerate(GOLDEN))
    found = compared(before=wrong)
    correction = found.verification["correction"]
    assert (found.verification["verdict"], correction["verdict"]) == ("promote", "promote")
    assert 50 < correction["relabelled"] <= sum(a.label != b.label for a, b in zip(GOLDEN, wrong, strict=True))
    assert correction["golden"]["old_accuracy"] < found.verification["golden"]["old_accuracy"]
    assert "With and without the correction" in markdown(verified(found))


def test_only_rows_that_may_be_shown_are_shown() -> None:
    assert [each.name for each in compared().shown] == ["challenge"]
    assert [each.name for each in compared(show_golden=True).shown] == ["challenge", "golden"]
    assert compared(challenge=()).shown == []


def test_a_golden_set_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.verifying.standalone.MAX_GOLDEN_ROWS", 100)
    with pytest.raises(InputError, match="golden: at most 100 rows, found 1,500"):
        compared()


def test_the_document_is_json_with_samples_by_kind(found: Compared) -> None:
    document = json.loads(json_text(verified(found)))
    assert (document["report"], document["format"], document["made"]) == (1, 2, "1970-01-01T00:16:40Z")
    assert document["new"]["name"] == "new.onnx"
    fixed = document["samples"]["fixed"]
    assert len(fixed) == 20
    assert {(each["label"], each["new"]) for each in fixed} == {("voice", "voice")}
    assert set(document["samples"]) == {"fixed", "still_wrong", "newly_wrong"}


class Page(HTMLParser):
    """Tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name in {"src", "href"} and (value or "").startswith("http") for name, value in attrs)


def test_the_page_stands_alone_and_foreign_text_steers_nothing() -> None:
    texts = tuple(replace(sample, id=NASTY + sample.id, label=sample.label) for sample in CHALLENGE)
    found = compared(challenge=texts)
    page, tickets = html(verified(found, new={"name": NASTY})), markdown(verified(found, new={"name": NASTY}))
    read = Page()
    read.feed(page)
    assert {"svg", "table", "style"} <= read.tags
    assert "script" not in read.tags
    assert "\x1b" not in page + tickets
    assert "`code` @here" not in tickets.replace("\\`code\\` @⁠here", "")


def test_every_section_is_there_in_every_form(found: Compared) -> None:
    page, text = html(verified(found)), markdown(verified(found))
    for title in (
        "Verdict: promote",
        "Accuracy",
        "Segments",
        "Calibration",
        "Training, validation and golden",
        "Latency",
        "Samples: mended",
    ):
        assert title in page
        assert f"## {title}" in text
    assert "passes all 3 tests on golden with probability" in text


def test_too_few_rows_say_what_to_do() -> None:
    found = compared(GOLDEN[:300])
    missing = found.verification["rows_missing"]
    assert found.verification["rows_needed"] == missing + found.verification["checks"][0]["rows"]
    assert f"**Do first:** label {missing:,} more rows" in markdown(verified(found))


def test_too_few_rows_are_not_told_of_one_by_one_nor_together() -> None:
    found = compared(GOLDEN[:300], before=GOLDEN[:300], show_golden=True, tags=("locale",))
    assert [each.name for each in found.shown] == ["challenge"]
    told = found.verification
    assert not {"golden", "correction"} & set(told)
    assert (told["segments"], told["worse_segments"], told["calibration"], told["joint_power"]) == ([], [], None, None)
    assert "golden" not in told["fitting"]


def test_a_model_that_can_not_be_used_has_a_report_too(tmp_path: Path) -> None:
    verdict = verified(Compared(unusable_verdict("the model can't be used: not ONNX"), ()))
    for suffix in (".html", ".md", ".json"):
        write(verdict, tmp_path / "deep" / f"gate{suffix}")
        assert "not ONNX" in (tmp_path / "deep" / f"gate{suffix}").read_text(encoding="utf-8")
    assert len(list((tmp_path / "deep").iterdir())) == 3


def test_what_can_not_be_written_is_told(tmp_path: Path, found: Compared) -> None:
    with pytest.raises(InputError, match=r"a report is written as \.json, \.md, \.html"):
        check_suffix(tmp_path / "gate.pdf")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="can't be written"):
        write(verified(found), tmp_path / "file" / "gate.md")
