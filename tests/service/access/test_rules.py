"""What requests ask for, whether there is such a route or not."""

from __future__ import annotations

import pytest

from service.access.rules import need, over_all
from service.records import Role


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/healthz", None),
        ("HEAD", "/readyz", None),
        ("POST", "/healthz", Role.OPERATOR),
        ("GET", "/healthz/", Role.READER),
        ("GET", "/v1/links/AAAA", None),
        ("GET", "/v1/linksx", Role.READER),
        ("POST", "/v1/annotations/label-studio/studio", None),
        ("GET", "/v1/annotations/label-studio/studio", Role.READER),
        ("POST", "/v1/annotations", Role.OPERATOR),
        ("POST", "/v1/monitors/chat/samples", Role.INGEST),
        ("POST", "/v1/monitors/a/b/samples", Role.OPERATOR),
        ("GET", "/v1/monitors/chat/samples", Role.READER),
        ("POST", "/v1/cloudevents/anything", Role.INGEST),
        ("POST", "/v1/cloudevents/anything/else", Role.OPERATOR),
        ("PUT", "/v1/monitors/chat", Role.ADMIN),
        ("DELETE", "/v1/tokens/a", Role.ADMIN),
        ("HEAD", "/v1/tokens", Role.ADMIN),
        ("POST", "/v1/alarms/a/acknowledge", Role.OPERATOR),
        ("GET", "/metrics", Role.READER),
        ("GET", "/nowhere", Role.READER),
        ("BREW", "/coffee", Role.OPERATOR),
        ("GET", "/console/static/console.css", None),
        ("POST", "/console/static/console.css", Role.OPERATOR),
        ("POST", "/console/login", None),
        ("GET", "/console/alarms", Role.READER),
        ("POST", "/console/alarms/a/verdict", Role.OPERATOR),
    ],
)
def test_needs(method: str, path: str, role: Role | None) -> None:
    assert need(method, path) is role


def test_tokens_and_all_metrics_are_nothing_for_a_part() -> None:
    assert over_all("POST", "/v1/tokens")
    assert over_all("GET", "/metrics")
    assert not over_all("GET", "/v1/alarms")
