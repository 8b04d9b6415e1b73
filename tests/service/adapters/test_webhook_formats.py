"""What receivers of each kind read: a bearer token, two secrets, CloudEvents, GitHub's dispatch. Receivers are real HTTP servers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError

from service.adapters.webhook import WebhookDestination
from service.errors import ConfigurationError, DeliveryError
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import WebhookDestination as Declared

pytestmark = pytest.mark.long

OLD, NEW = ("whsec_" + base64.b64encode(bytes([i]) * 32).decode() for i in (1, 2))
EVENT = {
    "specversion": "1.0",
    "id": "c1",
    "type": "io.driftgate.refresh.requested",
    "source": "/driftgate/monitors/support",
    "subject": "c1",
    "time": "2026-03-01T12:00:00Z",
    "datacontenttype": "application/json",
    "data": {"cycle": "c1", "note": "grüße"},
}
REQUEST = OutboxItem("o1", "refresh.requested", "ci", EVENT, created=1_700_000_000.0)
ALARM = OutboxItem("o2", "alarm.opened", "ci", {"alarm": "a1", "monitor": "support", "kind": "new 100 % é"}, created=1_700_000_000.0)

LOCAL = ["127.0.0.0/8", "::1"]


@pytest.fixture
def make(httpserver: HTTPServer) -> Iterator[Callable[..., WebhookDestination]]:
    with ExitStack() as stack:

        def made(**options: Any) -> WebhookDestination:
            httpserver.expect_request("/in", method="POST").respond_with_data("", 204)
            declared = Declared(type="webhook", name="ci", url=httpserver.url_for("/in"), **options)
            return stack.enter_context(closing(WebhookDestination(declared, Outgoing(LOCAL))))

        yield made


def sent(httpserver: HTTPServer) -> tuple[dict[str, str], bytes]:
    request = httpserver.log[-1][0]
    return {name.lower(): value for name, value in request.headers.items()}, request.get_data()


def test_two_secrets_sign_while_one_is_changed(httpserver: HTTPServer, make: Any, tmp_path: Path) -> None:
    """The steps of a rotation, each read from the file without a restart."""
    (tmp_path / "secret").write_text(OLD)
    hook, now = make(secret_file=tmp_path / "secret"), datetime.now(UTC).timestamp()

    def accepted(secret: str) -> bool:
        hook.deliver(ALARM, now=now)
        headers, body = sent(httpserver)
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    assert (accepted(OLD), accepted(NEW)) == (True, False)
    (tmp_path / "secret").write_text(f"{NEW}\n{OLD}\n")
    assert (accepted(OLD), accepted(NEW)) == (True, True)
    (tmp_path / "secret").write_text(NEW)
    assert (accepted(OLD), accepted(NEW)) == (False, True)


def test_a_secret_that_is_missing_for_a_moment_is_waited_for(make: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(OLD)
    hook = make(secret_file=tmp_path / "secret")
    (tmp_path / "secret").unlink()
    with pytest.raises(DeliveryError, match="no secret in file") as error:
        hook.deliver(ALARM, now=1.0)
    assert error.value.retryable


def test_a_secret_that_is_missing_from_the_start_is_said_then(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no secret in file"):
        make(secret_file=tmp_path / "secret")


def test_a_structured_cloud_event_with_a_token(httpserver: HTTPServer, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGO_TOKEN", "t0ken")
    make(format="cloudevents", token_env="ARGO_TOKEN").deliver(REQUEST, now=1.0)
    headers, body = sent(httpserver)

    assert headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert headers["authorization"] == "Bearer t0ken"
    assert "webhook-signature" not in headers
    assert json.loads(body) == EVENT


@pytest.mark.parametrize("form", ["cloudevents", "cloudevents-binary"])
@pytest.mark.parametrize("item", [REQUEST, ALARM])
def test_the_library_reads_our_cloud_events(httpserver: HTTPServer, make: Any, form: str, item: OutboxItem) -> None:
    make(format=form).deliver(item, now=1.0)
    headers, body = sent(httpserver)
    found = from_http_event(HTTPMessage(headers, body))

    content = EVENT["data"] if item is REQUEST else ALARM.payload
    data = found.get_data()
    assert (json.loads(data) if isinstance(data, bytes | str) else data) == content
    assert found.get_type() == f"io.driftgate.{item.kind}"
    assert found.get_id() == ("c1" if item is REQUEST else "o2")
    assert found.get_source() == "/driftgate/monitors/support"
    assert found.get_subject() == ("c1" if item is REQUEST else "a1")


def test_cloud_events_are_signed_too_where_there_is_a_secret(httpserver: HTTPServer, make: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(OLD)
    make(format="cloudevents", secret_file=tmp_path / "secret").deliver(REQUEST, now=datetime.now(UTC).timestamp())
    headers, body = sent(httpserver)
    Webhook(OLD).verify(body, headers)


def test_github_gets_a_dispatch(httpserver: HTTPServer, make: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("github_pat_1\n")
    make(format="github", token_file=tmp_path / "token").deliver(REQUEST, now=1.0)
    headers, body = sent(httpserver)

    assert headers["authorization"] == "Bearer github_pat_1"
    assert headers["accept"] == "application/vnd.github+json"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["user-agent"] == "driftgate"
    document = json.loads(body)
    assert document.keys() == {"event_type", "client_payload"}
    assert document["event_type"] == "io.driftgate.refresh.requested"
    assert len(document["client_payload"]) <= 10
    assert document["client_payload"]["data"] == EVENT["data"]
    assert document["client_payload"]["id"] == "c1"


def test_github_takes_no_more_than_it_says(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "x")
    large = OutboxItem("o1", "refresh.requested", "ci", {**EVENT, "data": "x" * 66_000}, created=1.0)
    with pytest.raises(DeliveryError, match="at most 65,535") as error:
        make(format="github", token_env="TOKEN").deliver(large, now=1.0)
    assert not error.value.retryable


@pytest.mark.parametrize(
    ("status", "headers", "retryable", "wait"),
    [
        (403, {}, False, None),
        (403, {"x-ratelimit-remaining": "0"}, True, None),
        (403, {"retry-after": "60"}, True, 60.0),
        (401, {}, False, None),
        (404, {}, False, None),
        (422, {}, False, None),
        (429, {}, True, None),
    ],
)
def test_github_s_limits_are_waited_for_and_its_refusals_are_not(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], retryable: bool, wait: float | None
) -> None:
    monkeypatch.setenv("TOKEN", "x")
    httpserver.expect_request("/gh").respond_with_data('{"message": "no"}', status, headers)
    declared = Declared(type="webhook", name="gh", url=httpserver.url_for("/gh"), format="github", token_env="TOKEN")
    with closing(WebhookDestination(declared, Outgoing(LOCAL))) as destination, pytest.raises(DeliveryError) as error:
        destination.deliver(REQUEST, now=1.0)
    assert (error.value.retryable, error.value.retry_after) == (retryable, wait)


@pytest.mark.parametrize("form", ["standard", "cloudevents", "cloudevents-binary", "github"])
def test_every_attempt_carries_the_same_body(httpserver: HTTPServer, make: Any, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("TOKEN", "x")
    monkeypatch.setenv("SECRET", OLD)
    destination = make(format=form, token_env="TOKEN", secret_env="SECRET")
    for now in (1_000.0, 2_000.0):
        destination.deliver(REQUEST, now=now)
    first, second = (request for request, _ in httpserver.log)
    assert first.get_data() == second.get_data()
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "o1"


def test_gone_is_told_apart(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    httpserver.expect_request("/gone").respond_with_data("", 410)
    declared = Declared(type="webhook", name="ci", url=httpserver.url_for("/gone"), format="cloudevents")
    with closing(WebhookDestination(declared, Outgoing(LOCAL))) as destination, pytest.raises(DeliveryError) as error:
        destination.deliver(ALARM, now=1.0)
    assert error.value.gone
