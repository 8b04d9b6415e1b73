"""A batch handed to a vendor by a served process: a thin webhook, links that open in a browser, labels back, secrets changed meanwhile."""

from __future__ import annotations

import base64
import json
import socket
import struct
import zlib
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError

from service import annotation
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.app import opened
from service.records import AnnotationBatch, BatchState, Candidate, OutboxItem, Payload, Sample
from service.settings import load

if TYPE_CHECKING:
    from tests.e2e.conftest import Site

OLD, NEW = ("whsec_" + base64.b64encode(bytes([i]) * 32).decode() for i in (1, 2))
NASTY = "<script>document.title='taken over'</script>\n<img src=x onerror=alert(1)> & \"quotes\", ünïcode"


def png(side: int = 8) -> bytes:
    """A red square."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + b"\xff\0\0" * side for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Free(VectorEmbedder):
    """Takes any payload."""

    def check(self, payload: Payload) -> None:
        """Nothing is wrong with any."""

    def embed(self, payloads: Any) -> Any:
        return super().embed([np.full(3, i + 1, np.float32) for i, _ in enumerate(payloads)])


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def vendor(idle: Site, httpserver: HTTPServer) -> Site:
    """A site whose batch is about to leave for a vendor."""
    httpserver.expect_request("/vendor", method="POST").respond_with_data("", 204)
    port = free_port()
    for name in ("sends", "receives"):
        (idle.folder / name).write_text(OLD)

    def declare(document: dict[str, Any]) -> None:
        document["server"] = {"port": port, "public_url": f"http://127.0.0.1:{port}", "webhook_secret_file": "receives"}
        hook = {"type": "webhook", "name": "vendor", "url": httpserver.url_for("/vendor"), "secret_file": "sends"}
        document["outbound"] = {"allow": ["127.0.0.0/8"]}
        document["destinations"] = [hook]
        document["monitors"][0]["annotation"] = {"destination": "vendor"}

    idle.configure(declare)
    config = idle.folder / "driftgate.yaml"
    with opened(load(config), config=config) as installation:
        payloads: dict[str, Payload] = {"m-text": NASTY, "m-image": png()}
        samples = [Sample("chat", name, 1.0, payload) for name, payload in payloads.items()]
        installation.data_sets.add("chat", "pool", samples, Free(3, normalize=False), now=1.0)
        items = tuple(Candidate(name, "novel", 0.1, "all", NASTY if name == "m-text" else "") for name in payloads)
        now = datetime.now(UTC).timestamp()
        batch = AnnotationBatch("b1", "chat", "", 1, BatchState.SENT, items, now, version=1, destination="vendor")
        installation.store.save(batch, outbox=[annotation.outgoing(batch, destination="vendor", price=None, now=now)])
    return idle


def received(site: Site, httpserver: HTTPServer, count: int) -> tuple[dict[str, str], bytes]:
    site.until(lambda: len(httpserver.log) >= count)
    request = httpserver.log[count - 1][0]
    return {name.lower(): value for name, value in request.headers.items()}, request.get_data()


def links(body: bytes) -> dict[str, str]:
    return {each["driftgate_id"]: each["link"] for each in json.loads(body)["data"]["candidates"]}


def give_back(site: Site, secret: str, label: str, *, id: str) -> httpx2.Response:
    now = datetime.now(UTC)
    answers = [{"id": name, "label": label, "annotator": "ana"} for name in ("m-text", "m-image")]
    body = json.dumps({"type": "annotation.returned", "timestamp": now.isoformat(), "data": {"batch": "b1", "labels": answers}})
    signature = Webhook(secret).sign(id, now, body)
    headers = {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return site.client.post("/v1/annotations", content=body, headers={"content-type": "application/json", **headers})


def test_a_thin_batch_its_links_and_labels_back(vendor: Site, httpserver: HTTPServer) -> None:
    vendor.start()
    headers, body = received(vendor, httpserver, 1)

    Webhook(OLD).verify(body, headers)
    assert len(body) < 20_000
    assert b"quotes" not in body
    opened_links = {name: httpx2.get(link) for name, link in links(body).items()}
    assert opened_links["m-image"].content == png()
    vendor.kill()
    vendor.start()
    assert httpx2.get(links(body)["m-image"]).content == png()

    assert give_back(vendor, NEW, "early", id="m1").status_code == 401
    assert give_back(vendor, OLD, "early", id="m2").status_code == 202
    vendor.until(lambda: vendor.get("/v1/annotations/m2")["state"] == "taken")
    assert vendor.get("/v1/batches/b1")["state"] == "closed"


def test_secrets_change_under_a_running_server(vendor: Site, httpserver: HTTPServer) -> None:
    vendor.start()
    received(vendor, httpserver, 1)

    def send(number: int) -> tuple[dict[str, str], bytes]:
        config = vendor.folder / "driftgate.yaml"
        with opened(load(config), config=config) as installation:
            now = datetime.now(UTC).timestamp()
            item = OutboxItem(f"o{number}", "alarm.opened", "vendor", {"alarm": str(number)}, created=now, due=now)
            installation.store.save(outbox=[item])
        return received(vendor, httpserver, number)

    def accepts(secret: str, headers: dict[str, str], body: bytes) -> bool:
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    steps = ((f"{NEW} {OLD}", (True, True)), (NEW, (False, True)))
    for number, (text, good) in enumerate(steps, 2):
        for name in ("sends", "receives"):
            (vendor.folder / name).write_text(text)
        headers, body = send(number)
        assert (accepts(OLD, headers, body), accepts(NEW, headers, body)) == good
        given = tuple(give_back(vendor, secret, "late", id=f"r{number}{secret[-8:-4]}").status_code for secret in (OLD, NEW))
        assert given == tuple(202 if fits else 401 for fits in good)
    vendor.stop()


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.mark.server("chromium")
def test_links_open_in_an_annotator_s_browser(vendor: Site, httpserver: HTTPServer, browser: Browser) -> None:
    vendor.start()
    _, body = received(vendor, httpserver, 1)
    page = browser.new_page()
    asked, complaints = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    page.goto(links(body)["m-text"])
    assert page.locator(".text").inner_text() == NASTY
    assert page.title() == "m-text"
    assert page.evaluate("getComputedStyle(document.querySelector('.text')).whiteSpaceCollapse") == "preserve"
    assert [url for url in asked if not url.endswith("/favicon.ico")] == [links(body)["m-text"]]
    assert complaints == []

    page.goto(links(body)["m-image"])
    assert page.evaluate("document.images[0].naturalWidth") == 8

    tool = f'<!doctype html><img crossorigin="anonymous" src="{links(body)["m-image"]}">'
    httpserver.expect_request("/tool").respond_with_data(tool, content_type="text/html")
    labelling = browser.new_page()
    labelling.goto(httpserver.url_for("/tool"))
    assert labelling.evaluate("document.images[0].naturalWidth") == 8
