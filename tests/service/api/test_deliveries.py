"""What came in of labels is listed with what it did; a tool's own webhook is let in by its token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from service.access import Access
from service.errors import InputError, NotFoundError
from service.records import AnnotationBatch, Label
from service.signatures import Secret

TOKEN = "correct-horse-battery"
HOOK = "/v1/annotations/label-studio/annotators"
SHOWN = {"authorization": "Bearer shared"}


class Hook:
    """Reads `[[batch, sample, label], …]`."""

    def admits(self, authorization: str) -> bool:
        return authorization == SHOWN["authorization"]

    def read(self, body: bytes) -> Sequence[Label]:
        try:
            return [Label("", batch, sample, label, 3.0, "ana") for batch, sample, label in json.loads(body)]
        except ValueError as error:
            raise InputError("json", "not JSON") from error


def hook_of(name: str) -> Hook:
    if name != "annotators":
        raise NotFoundError(f"no destination {name!r}")
    return Hook()


@pytest.fixture
def site(make_site: Any, webhook_secret: str) -> Any:
    """Off loopback."""
    return make_site(access=Access(loopback=False, token=TOKEN, webhook_secrets=(Secret.parse(webhook_secret),)), hook=hook_of)


def sent(site: Any) -> str:
    batch = site.service.actions.open_refresh("support", actor="ana", note="", now=0.0).batch
    return str(site.service.actions.approve_batch(batch, actor="ana", note="", now=0.0).id)


def test_what_a_tool_tells_is_kept_and_worked_off(site: Any) -> None:
    batch = sent(site)
    told = json.dumps([[batch, "m-1", "refund"], [batch, "ghost", "refund"]])
    first, again = (site.client.post(HOOK, content=told, headers=SHOWN) for _ in range(2))
    assert (first.status_code, first.json()) == (202, again.json())
    site.service.inbox.step(site.service.clock())
    known = {"authorization": f"Bearer {TOKEN}"}
    (listed,) = site.client.get("/v1/annotations", params={"monitor": "support", "state": "taken"}, headers=known).json()["deliveries"]
    (name,) = first.json()["deliveries"]
    assert listed == site.client.get(f"/v1/annotations/{name}", headers=known).json()
    assert (listed["source"], listed["count"], listed["changed"], listed["unknown"]) == ("annotators", 2, 1, ["ghost"])
    assert site.store.get(AnnotationBatch, batch).returned == 1


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        (HOOK, "[]", {}, 403),
        (HOOK, "[]", {"authorization": f"Bearer {TOKEN}"}, 403),
        (HOOK, "<html>", SHOWN, 400),
        (HOOK, '[["nowhere", "m-1", "refund"]]', SHOWN, 404),
        (f"{HOOK}-2", "[]", SHOWN, 404),
        (HOOK, "[]", SHOWN, 202),
    ],
)
def test_who_is_let_in(site: Any, path: str, body: str, headers: dict[str, str], status: int) -> None:
    assert site.client.post(path, content=body, headers=headers).status_code == status


def test_a_tool_says_nothing_of_batches_that_went_elsewhere(make_site: Any) -> None:
    site = make_site(hook=lambda _: Hook())
    answer = site.client.post(f"{HOOK}-2", content=json.dumps([[sent(site), "m-1", "refund"]]), headers=SHOWN)
    assert (answer.status_code, site.store.labels("support")) == (409, [])


@pytest.mark.parametrize("path", ["/v1/annotations", "/v1/annotations/d1", HOOK])
def test_reading_asks_for_the_token(site: Any, path: str) -> None:
    assert site.client.get(path).status_code == 401


def test_what_is_not_there(site: Any) -> None:
    known = {"authorization": f"Bearer {TOKEN}"}
    assert site.client.get("/v1/annotations/nothing", headers=known).status_code == 404
    assert site.client.get("/v1/annotations", params={"monitor": "nobody"}, headers=known).status_code == 404
