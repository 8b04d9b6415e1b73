"""What Alertmanager, PagerDuty, Slack and Apprise are sent. Receivers are real HTTP servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from service.adapters.alertmanager import AlertmanagerDestination as Alertmanager
from service.adapters.apprise_notifier import AppriseDestination as Apprise
from service.adapters.pagerduty import PagerDutyDestination as PagerDuty
from service.adapters.slack import SlackDestination as Slack
from service.errors import ConfigurationError, DeliveryError
from service.notifying import rules, wording
from service.notifying.facts import facts
from service.notifying.rules import Why
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import AlertmanagerDestination, AppriseDestination, PagerDutyDestination, SlackDestination
from tests.service.notifying.conftest import START, opened

NOW = START + 600.0
LINKS = {"console": "https://drift.example/console/alarms/a1", "silence": "https://drift.example/console/alarms/a1#silence"}
quiet_library = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
"""What Apprise imports where it knows no better."""
HOSTILE = "<!channel> <https://evil.example|click> `rm` & @here\u202e"


def news(step: str = rules.OPENED, *, missed: Why | None = None, **changes: Any) -> OutboxItem:
    told = facts(step, opened(), team="payments", budget={"alarms": 2, "accepted": 1.0, "days": 30.0})
    told |= {"links": LINKS, **changes}
    return OutboxItem("i1", step, "there", wording.missed(told, missed) if missed else told, created=START)


@pytest.fixture
def posted(httpserver: HTTPServer) -> Callable[[], list[Any]]:
    """Bodies of what came in."""
    httpserver.expect_request("/in").respond_with_data("ok")
    httpserver.expect_request("/api/v2/alerts").respond_with_data("")
    return lambda: [json.loads(request.get_data()) for request, _ in httpserver.log]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    monkeypatch.setenv("KEY", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("HOOK", httpserver.url_for("/in?secret=s3cret"))


def outgoing() -> Outgoing:
    return Outgoing(["127.0.0.0/8", "::1"], timeout=5.0)


# --- PagerDuty ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pagerduty(stack: ExitStack, httpserver: HTTPServer) -> PagerDuty:
    declared = PagerDutyDestination(type="pagerduty", name="pager", key_env="KEY", url=httpserver.url_for("/in"))
    return stack.enter_context(closing(PagerDuty(declared, outgoing())))


def test_an_incident_begins_with_all_that_one_needs(pagerduty: PagerDuty, posted: Callable[[], list[Any]]) -> None:
    pagerduty.deliver(news(), now=NOW)
    (event,) = posted()
    assert {name: event[name] for name in ("routing_key", "event_action", "dedup_key", "client", "client_url")} == {
        "routing_key": "0123456789abcdef0123456789abcdef",
        "event_action": "trigger",
        "dedup_key": "a1",
        "client": "driftgate",
        "client_url": LINKS["console"],
    }
    payload = event["payload"]
    assert payload["summary"] == "[critical] support locale=de: new content"
    assert (payload["severity"], payload["source"], payload["component"]) == ("critical", "driftgate/support", "support")
    assert (payload["group"], payload["class"], payload["timestamp"]) == ("payments", "new content", "2026-03-01T12:00:00.000Z")
    assert payload["custom_details"]["Effect"] == "31 % (27 to 36 %)"
    assert payload["custom_details"]["Alarm budget"] == "2 alarms in 30 days, 1 accepted as false"
    assert event["links"] == [{"href": LINKS["console"], "text": "Console"}, {"href": LINKS["silence"], "text": "Silence"}]


@pytest.mark.parametrize(
    ("item", "actions"),
    [
        (news(rules.WORSE), ["trigger"]),
        (news(rules.ACKNOWLEDGED), ["acknowledge"]),
        (news(rules.RESOLVED), ["resolve"]),
        (news(rules.RESOLVED, missed=Why.MISSED), ["trigger", "resolve"]),
        (news(rules.ACKNOWLEDGED, missed=Why.LATE), ["trigger", "acknowledge"]),
        (news(rules.TEST), ["trigger", "resolve"]),
        (news(rules.REMINDER), []),
        (OutboxItem("i2", "refresh.opened", "there", {"text": "a cycle"}, created=START), []),
    ],
)
def test_each_step_is_an_action(pagerduty: PagerDuty, posted: Callable[[], list[Any]], item: OutboxItem, actions: list[str]) -> None:
    pagerduty.deliver(item, now=NOW)
    assert [event["event_action"] for event in posted()] == actions
    assert {event["dedup_key"] for event in posted()} <= {"a1"}


def test_what_was_missed_calls_nobody_loudly(pagerduty: PagerDuty, posted: Callable[[], list[Any]]) -> None:
    pagerduty.deliver(news(rules.RESOLVED, missed=Why.MISSED), now=NOW)
    payload = posted()[0]["payload"]
    assert payload["severity"] == "info"
    assert "missed while down" in payload["summary"]


def test_nothing_is_longer_than_pagerduty_takes(pagerduty: PagerDuty, posted: Callable[[], list[Any]]) -> None:
    pagerduty.deliver(news(kind="x" * 5_000, segment="y" * 5_000, alarm="z" * 300), now=NOW)
    (event,) = posted()
    assert len(event["payload"]["summary"]) == 1_024
    assert len(event["dedup_key"]) == 255


def test_a_wrong_key_is_no_reason_to_try_again_and_is_not_shown(pagerduty: PagerDuty, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/in").respond_with_json({"status": "invalid event"}, 400)
    with pytest.raises(DeliveryError) as error:
        pagerduty.deliver(news(), now=NOW)
    assert not error.value.retryable
    assert "0123456789abcdef" not in str(error.value)


# --- Slack ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def slack(stack: ExitStack) -> Slack:
    return stack.enter_context(closing(Slack(SlackDestination(type="slack", name="chat", url_env="HOOK"), outgoing())))


def test_a_message_has_blocks_and_the_same_as_text(slack: Slack, posted: Callable[[], list[Any]]) -> None:
    slack.deliver(news(), now=NOW)
    (body,) = posted()
    header, said, figures, last = body["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "🔴 [critical] support locale=de: new content", "emoji": True}
    assert said["text"]["text"].startswith("support locale=de: new content, effect 31 %")
    assert {"type": "mrkdwn", "text": "*Team*\npayments"} in figures["fields"]
    assert f"<{LINKS['console']}|Console>" in last["elements"][0]["text"]
    assert "`driftgate explain a1`" in last["elements"][0]["text"]
    for part in ("support locale=de: new content", "Effect: 31 %", LINKS["console"], "driftgate explain a1"):
        assert part in body["text"], "Mattermost shows no blocks"


def test_words_of_others_mention_nobody_and_lead_nowhere(slack: Slack, posted: Callable[[], list[Any]]) -> None:
    slack.deliver(news(kind=HOSTILE, terms=[HOSTILE], text=HOSTILE, links={"console": "https://x/|evil>"}), now=NOW)
    (body,) = posted()
    written = json.dumps([body["text"], body["blocks"][1:]])
    assert "<!channel>" not in written
    assert "<https://evil" not in written
    assert "@here" not in written
    assert "https://x/%7Cevil%3E" in written


def test_a_message_is_cut_to_what_slack_takes(slack: Slack, posted: Callable[[], list[Any]]) -> None:
    slack.deliver(news(kind="k" * 9_000, text="t" * 9_000, terms=["w" * 9_000]), now=NOW)
    (body,) = posted()
    header, said, figures, _ = body["blocks"]
    assert (len(header["text"]["text"]), len(said["text"]["text"])) == (150, 3_000)
    assert all(len(field["text"]) <= 2_000 for field in figures["fields"])


def test_the_address_is_a_secret(slack: Slack, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    httpserver.expect_request("/in").respond_with_data("no_service", 404)
    with pytest.raises(DeliveryError) as error:
        slack.deliver(news(), now=NOW)
    assert "s3cret" not in str(error.value)
    monkeypatch.setenv("HOOK", "https:// not an address")
    with pytest.raises(DeliveryError, match="holds the address of one incoming webhook"):
        slack.deliver(news(), now=NOW)
    monkeypatch.delenv("HOOK")
    with pytest.raises(ConfigurationError, match="no address in environment variable HOOK"):
        Slack(SlackDestination(type="slack", name="chat", url_env="HOOK"), outgoing())


def test_other_news_is_told_too(slack: Slack, posted: Callable[[], list[Any]]) -> None:
    cycle = {"monitor": "support", "text": "support: a refresh is due", "todo": "`driftgate refresh start`"}
    slack.deliver(OutboxItem("i2", "refresh.due", "there", cycle, created=START), now=NOW)
    assert "support: a refresh is due" in posted()[0]["text"]


# --- Alertmanager ---------------------------------------------------------------------------------------------------------


def alertmanager(stack: ExitStack, *urls: str, **options: Any) -> Alertmanager:
    declared = AlertmanagerDestination(type="alertmanager", name="alerts", urls=urls, **options)
    return stack.enter_context(closing(Alertmanager(declared, outgoing())))


def test_an_alert_has_stable_labels_and_expires(stack: ExitStack, httpserver: HTTPServer, posted: Callable[[], list[Any]]) -> None:
    alertmanager(stack, httpserver.url_for("/"), labels={"cluster": "eu-1"}).deliver(news(), now=NOW)
    ((alert,),) = posted()
    assert alert["labels"] == {
        "alertname": "DriftgateAlarm", "cluster": "eu-1", "monitor": "support", "segment": "locale=de", "family": "input",
        "severity": "critical", "team": "payments",
    }  # fmt: skip
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:14:00Z")
    assert alert["generatorURL"] == LINKS["console"]
    assert alert["annotations"]["summary"] == "[critical] support locale=de: new content"
    assert alert["annotations"]["command"] == "driftgate explain a1"


def test_what_became_critical_ends_as_a_warning(stack: ExitStack, httpserver: HTTPServer, posted: Callable[[], list[Any]]) -> None:
    alertmanager(stack, httpserver.url_for("/")).deliver(news(rules.WORSE), now=NOW)
    (alerts,) = posted()
    ends = {alert["labels"]["severity"]: alert["endsAt"] for alert in alerts}
    assert ends == {"critical": "2026-03-01T12:14:00Z", "warning": "2026-03-01T12:10:00Z"}


@pytest.mark.parametrize(
    ("item", "name", "ends"),
    [
        (news(rules.RESOLVED, state="resolved"), "DriftgateAlarm", "2026-03-01T12:10:00Z"),
        (news(rules.RESOLVED, missed=Why.MISSED, state="resolved"), "DriftgateAlarmMissed", "2026-03-01T12:15:00Z"),
        (news(rules.TEST), "DriftgateTest", "2026-03-01T12:11:00Z"),
    ],
)
def test_what_is_over_ends(
    stack: ExitStack, httpserver: HTTPServer, posted: Callable[[], list[Any]], item: OutboxItem, name: str, ends: str
) -> None:
    alertmanager(stack, httpserver.url_for("/")).deliver(item, now=NOW)
    ((alert,),) = posted()
    assert (alert["labels"]["alertname"], alert["endsAt"]) == (name, ends)


def test_every_one_of_a_cluster_is_told_and_one_is_enough(
    stack: ExitStack, httpserver: HTTPServer, posted: Callable[[], list[Any]]
) -> None:
    httpserver.expect_request("/two/api/v2/alerts").respond_with_data("", 503)
    alertmanager(stack, httpserver.url_for("/"), httpserver.url_for("/two/"), "http://127.0.0.1:9").deliver(news(), now=NOW)
    assert len(posted()) == 2
    nobody = alertmanager(stack, httpserver.url_for("/two"), "http://127.0.0.1:9")
    with pytest.raises(DeliveryError) as error:
        nobody.deliver(news(), now=NOW)
    assert error.value.retryable


def test_what_stands_is_sent_together(stack: ExitStack, httpserver: HTTPServer, posted: Callable[[], list[Any]]) -> None:
    alertmanager(stack, httpserver.url_for("/")).resend([news(alarm=f"a{n}", segment=f"locale={n}") for n in range(450)], now=NOW)
    assert [len(body) for body in posted()] == [200, 200, 50]


# --- Apprise --------------------------------------------------------------------------------------------------------------


@pytest.mark.long
@quiet_library
def test_apprise_is_given_a_title_and_a_text(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("apprise")
    httpserver.expect_request("/in").respond_with_data("ok")
    monkeypatch.setenv("URLS", httpserver.url_for("/in").replace("http://", "json://"))
    Apprise(AppriseDestination(type="apprise", name="mail", url_env="URLS")).deliver(news(), now=NOW)
    body = json.loads(httpserver.log[0][0].get_data())
    assert (body["title"], body["type"]) == ("[critical] support locale=de: new content", "failure")
    assert "Effect: 31 %" in body["message"]


@pytest.mark.long
@quiet_library
def test_apprise_says_what_is_wrong_without_the_address(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    (tmp_path / "urls").write_text(httpserver.url_for("/nowhere").replace("http://", "json://user:s3cret@"))
    mail = Apprise(AppriseDestination(type="apprise", name="mail", url_file=tmp_path / "urls"))
    with pytest.raises(DeliveryError) as error:
        mail.deliver(news(), now=NOW)
    assert error.value.retryable
    assert "s3cret" not in str(error.value)
    monkeypatch.setenv("URLS", "nonsense://s3cret")
    with pytest.raises(ConfigurationError, match="address 1 of URLS is none that Apprise knows"):
        Apprise(AppriseDestination(type="apprise", name="mail", url_env="URLS"))


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigurationError, match=r"install driftgate\[notify\]"):
        Apprise(AppriseDestination(type="apprise", name="mail", url_env="HOOK"))
