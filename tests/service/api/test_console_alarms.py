"""Alarms and monitors on pages: what they say, what their forms do, and that nobody's text gets out of its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from service.records import (
    WHOLE,
    Alarm,
    AlarmState,
    ClusterChange,
    Contribution,
    Decision,
    Event,
    Exemplar,
    Finding,
    Measured,
    Onset,
    Passage,
    Severity,
    Step,
    Term,
    Verdict,
)
from tests.service.api.conftest import NOW, Site

HOSTILE = "<img src=x onerror=alert(1)>=cmd|'/c calc'!A1\u202egnp.exe" + "x" * 1_000_000
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def csrf(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found
    return found.group(1)


def send(site: Site, address: str, page: str, **fields: str) -> tuple[int, str]:
    """A form of a page, as a browser sends it; the status of what it leads to, and its text."""
    token = csrf(site.client.get(page).text)
    answer = site.client.post(address, data={"csrf": token, **fields}, headers={"Origin": "http://127.0.0.1:8080"}, follow_redirects=True)
    return answer.status_code, answer.text


@pytest.fixture
def full(make_alarm: Callable[..., Alarm]) -> Alarm:
    """An alarm with every part that a page shows."""
    exemplar = Exemplar("m-1", "my card was cloned", 0.9)
    return make_alarm(
        clusters=(ClusterChange("card, cloned", 0.02, 0.31, (exemplar,), Measured(0.29, 0.21, 0.36)), ClusterChange("rent", 0.2, 0.1)),
        findings=(Finding("34 % are copies", 0.34, 0.01, "see whether a sender repeats itself"),),
        exemplars=(exemplar,),
        missed=(Exemplar("r-1", "when is the rent due", 0.1),),
        terms=(Term("cloned", 0.4, 0.0),),
        contributions=(Contribution("locale=de", 0.8, 0.3),),
        onset=Onset(NOW - 900, NOW - 1_200, NOW - 700, Measured(500, 400, 600)),
    )


def test_an_alarm_is_understood_on_one_page(site: Site, full: Alarm) -> None:
    site.store.save(full)
    text = site.client.get("/console/alarms/a1").text
    for said in (
        "In support there is new content since about 2026-03-01 11:45:00Z",
        "as far as if 12.0 % of it were new content (8.0 % to 17.0 %)",
        "see whether a sender repeats itself", "card, cloned", "+29.0", "my card was cloned", "when is the rent due", "locale=de",
        "driftgate alarm verdict a1 true", "driftgate explain a1", "90 % sure",
    ):  # fmt: skip
        assert said in text, said
    assert text.count("<h1>") == 1
    assert 'aria-label="Effect 12.0 %, between 8.0 % and 17.0 %' in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_is_kept_with_its_note_and_said(site: Site, full: Alarm, verdict: Verdict) -> None:
    site.store.save(full)
    status, text = send(site, "/console/alarms/a1/verdict", "/console/alarms/a1", verdict=verdict, note="a load test")
    assert status == 200
    assert "Your verdict is kept" in text
    assert f"called {verdict}" in text
    assert site.store.get(Alarm, "a1").history[-1].note == "a load test"


def test_an_alarm_is_taken_and_closed(site: Site, full: Alarm) -> None:
    site.store.save(full)
    assert "You have taken it" in send(site, "/console/alarms/a1/acknowledge", "/console/alarms/a1")[1]
    assert site.store.get(Alarm, "a1").state is AlarmState.ACKNOWLEDGED
    assert "The episode is closed" in send(site, "/console/alarms/a1/resolve", "/console/alarms/a1")[1]
    status, text = send(site, "/console/alarms/a1/resolve", "/console/alarms/a1")
    assert status == 409
    assert "It has changed meanwhile" in text


def test_a_form_that_is_not_the_consoles_changes_nothing(site: Site, full: Alarm) -> None:
    site.store.save(full)
    for fields in ({}, {"csrf": "0" * 64}):
        answer = site.client.post("/console/alarms/a1/resolve", data=fields)
        assert answer.status_code == 403
        assert "You may not do that" in answer.text
    assert site.store.get(Alarm, "a1").state is AlarmState.OPEN


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "maybe"}, "verdict: must be true, false, seasonal"),
        ({}, "verdict: must be filled in"),
        ({"verdict": "true", "note": "x" * 2_001}, "note: at most 2,000 characters"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_in_plain_words(site: Site, full: Alarm, fields: dict[str, str], said: str) -> None:
    site.store.save(full)
    status, text = send(site, "/console/alarms/a1/verdict", "/console/alarms/a1", **fields)
    assert status == 422
    assert said in text
    assert site.store.get(Alarm, "a1").verdict is None


def test_foreign_text_stays_text(site: Site, full: Alarm) -> None:
    hostile = Exemplar(HOSTILE[:200], HOSTILE, 0.5)
    site.store.save(
        replace(
            full,
            kind=HOSTILE[:300],
            segment=f"locale={HOSTILE[:100]}",
            clusters=(ClusterChange(HOSTILE, 0.1, 0.2, (hostile,)),),
            findings=(Finding(HOSTILE, 0.1, 0.0, HOSTILE),),
            exemplars=(hostile,),
            terms=(Term(HOSTILE, 0.1, 0.0),),
            contributions=(Contribution(HOSTILE, 0.1, 0.1),),
            history=(Step("open", HOSTILE, NOW, HOSTILE, HOSTILE),),
        )
    )
    for address in ("/console/alarms/a1", "/console/alarms", "/console/fleet", "/console/monitors/support"):
        answer = site.client.get(address)
        assert answer.status_code == 200
        assert "<img src=x" not in answer.text
        assert "\u202e" not in answer.text
        assert len(answer.text) < 60_000


def test_the_list_is_read_page_by_page_and_narrowed(site: Site, make_alarm: Callable[..., Alarm]) -> None:
    severities = (Severity.WARNING, Severity.CRITICAL)
    site.store.save(*(make_alarm(f"a{n:03}", opened=NOW + n, severity=severities[n % 2], kind=f"kind {n:03}") for n in range(50)))
    seen, address = list[str](), "/console/alarms?severity=critical"
    while address:
        text = site.client.get(address).text
        seen += re.findall(r"kind (\d{3})", text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address = following.group(1).replace("&amp;", "&") if following else ""
    assert seen == [f"{n:03}" for n in range(49, 0, -2)]
    assert "No alarm is as you ask" in site.client.get("/console/alarms?state=resolved").text
    assert site.client.get("/console/alarms?after=gone").status_code == 404


def test_a_monitor_shows_how_it_went(site: Site) -> None:
    def passage(number: int, evidence: float) -> Passage:
        return Passage(WHOLE, 60.0, NOW + 60.0 * number, 10, evidence, 3.0, Measured(0.1, 0.02, 0.2), 1 + number // 6)

    site.store.record_event(Event("e1", "support", "note", NOW, "ada"))
    site.store.decide(Decision("support", 0, 1, timeline=tuple(passage(number, float(number)) for number in range(10))))
    text = site.client.get("/console/monitors/support?span=3h").text
    assert "evidence was strongest at 2026-03-01 12:09:00Z with 9.0, threshold 3.0; above its threshold in 6 of 10" in text
    assert "Reference 2 came into force" in text
    document = site.client.get("/v1/monitors/support/timeline").json()
    assert [each["evidence"] for each in document["passages"]] == [float(number) for number in range(10)]
    assert site.client.get("/v1/monitors/support/timeline?seconds=61").status_code == 400
    assert site.client.get("/console/monitors/nobody").status_code == 404
