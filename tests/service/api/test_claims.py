"""What the monitors of some may not take from those of others: samples, people to tell, a name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from service.access import Access
from service.api.claims import Apart, require_own
from service.app.configuration import accepted
from service.records import Role
from service.settings import MonitorSettings, Settings, parse
from tests.service.api.test_scope import bearer

EMBEDDER = {"model": "m.onnx", "input": "none", "dimension": 3}
THEIRS = {
    "name": "theirs",
    "team": "a",
    "embedder": EMBEDDER,
    "topic": {"name": "chats"},
    "kserve": {"service": "chat", "namespace": "a"},
    "notify": ["pager"],
    "annotation": {"destination": "studio"},
    "refresh": {"destination": ["trainer"]},
}
SETTINGS = parse(
    {
        "destinations": [
            {"name": name, "type": "folder", "path": name} for name in ("pager", "page-a", "page-b", "studio", "trainer", "free")
        ],
        "teams": [{"name": "a", "routes": [{"to": ["page-a"]}]}, {"name": "b", "routes": [{"to": ["page-b"]}]}],
        "monitors": [THEIRS, {"name": "own", "team": "b", "embedder": EMBEDDER, "notify": ["free"]}],
    },
    base=Path("/nowhere"),
)


def wanted(**section: Any) -> MonitorSettings:
    document = {"embedder": EMBEDDER, "team": "b", **section}
    return accepted(SETTINGS, section.get("name", "mine"), document)


def apart(*own: str, settings: Settings = SETTINGS) -> Apart:
    return Apart([each for each in settings.monitors if each.name in own], [each for each in settings.monitors if each.name not in own])


@pytest.mark.parametrize(
    ("section", "claimed"),
    [
        ({"topic": {"name": "chats"}}, "topic chats"),
        ({"kserve": {"service": "chat"}}, "kserve"),
        ({"kserve": {}}, "kserve"),
        ({"kserve": {"service": "chat", "namespace": "a", "source": "x"}}, "kserve"),
        ({"notify": ["pager"]}, "destination pager"),
        ({"notify": ["page-a", "page-b"]}, "destination page-a"),
        ({"annotation": {"destination": "studio"}}, "destination studio"),
        ({"refresh": {"destination": "trainer"}}, "destination trainer"),
    ],
)
def test_what_is_others_is_not_claimed(section: dict[str, Any], claimed: str) -> None:
    with pytest.raises(HTTPException) as caught:
        require_own(wanted(**section), SETTINGS, apart("own"))
    assert caught.value.status_code == 403
    assert caught.value.detail.startswith(f"{claimed}: others have this")


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"topic": {"name": "other"}, "kserve": {"service": "chat", "namespace": "b"}},
        {"notify": ["page-b", "free"], "annotation": {"destination": "free"}},
    ],
)
def test_what_is_nobody_s_or_one_s_own_is(section: dict[str, Any]) -> None:
    require_own(wanted(**section), SETTINGS, apart("own"))


def test_what_a_monitor_was_given_stays_its_own() -> None:
    """By somebody over all; whoever changes something else of it keeps that."""
    shared = {**THEIRS, "name": "shared", "team": "b"}
    settings = parse(
        {
            "destinations": [destination.model_dump() for destination in SETTINGS.destinations],
            "teams": [{"name": "a"}, {"name": "b"}],
            "monitors": [THEIRS, shared],
        },
        base=Path("/nowhere"),
    )
    require_own(settings.monitor("shared"), settings, apart("shared", settings=settings))


def test_a_name_that_was_others_is_not_taken_over(make_site: Any) -> None:
    """What the monitor before took is kept under it."""
    site = make_site(access=Access(loopback=False, key=bytes(32)))
    site.client.app.state.service = replace(
        site.service, settings=lambda: SETTINGS, accept=lambda name, document: accepted(SETTINGS, name, document)
    )
    team_a, team_b, over_all = (bearer(site, Role.ADMIN, **scope) for scope in ({"teams": ("a",)}, {"teams": ("b",)}, {}))

    def put(team: str, headers: dict[str, str]) -> int:
        answer = site.client.put("/v1/monitors/new?version=0", json={"embedder": EMBEDDER, "team": team}, headers=headers)
        return int(answer.status_code)

    assert put("a", team_a) == 200
    version = site.client.get("/v1/monitors/new/declaration", headers=team_a).headers["etag"]
    assert site.client.delete("/v1/monitors/new", headers=team_a | {"if-match": version}).status_code == 204
    assert put("b", team_b) == 403
    assert put("b", over_all) == 200
