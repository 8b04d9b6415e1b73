"""The map, candidates, cycles, blind spots, configuration and health in a real browser: seen, approved, read, selected."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from service.records import AnnotationBatch, Artefact, BatchState, CycleState, RefreshCycle, Step
from tests.browser.conftest import HOSTILE, SHOTS, Console, Scheme, Visit, basics, faint, wait
from tests.service.text_site import CLASSES

pytestmark = pytest.mark.server("chromium")

CHAT = "/console/monitors/chat"
COMPARED = {
    "rows": 400, "old_accuracy": 0.87, "new_accuracy": 0.91, "gain": {"estimate": 0.04, "low": 0.02, "high": 0.06},
    "positive_flips": 20, "negative_flips": 4, "p_value": 0.001, "negative_flip_rate": 0.01, "negative_flip_bound": 0.02,
}  # fmt: skip
CHECK = {
    "name": "accuracy",
    "about": "",
    "outcome": "passed",
    "says": "golden accuracy: +4.0 points",
    "rows": 400,
    "needed": 225,
    "power": 0.9,
}
VERIFICATION = {
    "verdict": "promote", "passed": True, "reasons": ["golden accuracy: +4.0 points", HOSTILE[0]], "checks": [CHECK],
    "golden": COMPARED, "challenge": COMPARED, "rows_needed": 225, "joint_power": 0.9,
}  # fmt: skip


@pytest.fixture(scope="module")
def batch(console: Console) -> AnnotationBatch:
    """What a refresh cycle has proposed, and waits with for a person's word."""
    store = console.serving.installation.store
    found = list(store.find(AnnotationBatch, monitor="chat", states=[BatchState.PROPOSED]))
    if not found:
        answer = console.client.post("/v1/monitors/chat/refresh", json={"actor": "ada"})
        assert answer.status_code == 201, answer.text
        found = list(store.find(AnnotationBatch, monitor="chat", states=[BatchState.PROPOSED]))
    return found[0]


@pytest.fixture(scope="module")
def addresses(console: Console, batch: AnnotationBatch, verified: RefreshCycle) -> list[str]:
    """All of these pages, a made report and marked failures among them."""
    for sample, label in (("odd-1", "parcel"), ("odd-41", None)):
        body = {"sample": sample, "actor": "ada"} | ({"label": label} if label else {})
        console.client.post("/v1/monitors/chat/failures", json=body)
    console.client.post("/v1/monitors/chat/report")
    wait(lambda: not console.get("/v1/reports")["under_way"])
    everywhere = "left=-9&right=9&bottom=-9&top=9"
    return [
        f"{CHAT}/map",
        f"{CHAT}/map?by=cluster&view=distance&{everywhere}",
        f"{CHAT}/candidates",
        f"{CHAT}/candidates?look=true",
        f"{CHAT}/blind-spots?section=performance",
        f"{CHAT}/failures",
        f"{CHAT}/similar?sample=odd-0",
        f"{CHAT}/configuration",
        "/console/monitors/quiet/candidates",
        "/console/monitors/quiet/blind-spots",
        "/console/monitors/quiet/configuration",
        "/console/batches?state=all",
        f"/console/batches/{batch.id}",
        "/console/cycles",
        f"/console/cycles/{batch.cycle}",
        f"/console/cycles/{verified.id}",
        "/console/blind-spots",
        "/console/configuration",
        "/console/health",
        "/console/outbox?state=all",
        "/console/dead-letters",
    ]


@pytest.fixture(scope="module")
def verified(console: Console, batch: AnnotationBatch, model: Path) -> RefreshCycle:
    """A cycle whose model is proven and waits for a person's word; the model is the one in force under another name."""
    directory = console.serving.installation.settings.directory
    folder = directory / "models" / "chat" / "proven"
    shutil.copytree(model.parent, folder)
    artefact = Artefact(f"models/chat/proven/{model.name}", "0" * 64, CLASSES, "model-2", 2.0)
    steps = tuple(Step(state, "as it should", time.time()) for state in ("annotating", "training", "verifying", "verified"))
    cycle = RefreshCycle(
        "ab" * 10,
        "chat",
        1,
        "alarm",
        1,
        CycleState.VERIFIED,
        time.time(),
        batch.id,
        VERIFICATION,
        steps,
        1,
        model=artefact,
        served=artefact,
    )
    console.serving.installation.store.save(cycle)
    return cycle


def drawn(page: Page) -> None:
    """Waits until the map stands."""
    expect(page.locator("#map[data-ready=yes]")).to_be_attached(timeout=20_000)
    page.wait_for_function("Number(document.getElementById('map').dataset.drawn) > 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean_and_can_be_read(visit: Visit, addresses: list[str], scheme: Scheme) -> None:
    for address in addresses if scheme == "light" else addresses[::2]:
        opened = visit(address, scheme=scheme)
        if "/map" in address:
            drawn(opened.page)
        opened.check()
        assert faint(opened) == [], address
        basics(opened)
        assert opened.page.locator("main script, main iframe, main [onerror], main [onmouseover]").count() == 0
        assert "caught" not in opened.page.title()
        assert opened.page.evaluate("document.documentElement.innerText.includes('\\u202e')") is False
        assert len(opened.page.content()) < 600_000, address
        opened.shot(f"{_name(address)}-{scheme}")
        opened.page.set_viewport_size({"width": 360, "height": 800})
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360, f"{address} sticks out of a narrow window"


def test_candidates_are_looked_at_chosen_among_and_approved_without_scripts(visit: Visit, console: Console, batch: AnnotationBatch) -> None:
    store = console.serving.installation.store
    page = visit("/console/batches", scripts=False).page
    page.locator("tbody tr", has_text="chat").first.get_by_role("link").first.click()
    assert "It waits: annotation.approval is operator" in page.locator("p.todo").first.inner_text()
    row = page.locator("tbody tr", has=page.locator("input[name=pick]")).first
    assert re.search(r"junk [\d.]+ %.*contested [\d.]+ %.*influence [\d.]+ %", row.inner_text(), re.DOTALL)
    assert row.locator(".near").count() > 0, "the neighbours are shown"
    taken = row.locator("input[name=pick]").get_attribute("value")
    row.locator("input[name=pick]").check()
    page.get_by_role("button", name="Take out those ticked").click()
    assert "not proposed again" in page.locator("p.notice").inner_text()
    assert [item.id for item in store.get(AnnotationBatch, batch.id).dropped] == [taken]
    page.get_by_role("link", name="Those taken out").click()
    page.locator("input[name=pick]").first.check()
    page.get_by_role("button", name="Put those ticked back").click()
    assert store.get(AnnotationBatch, batch.id).dropped == ()
    page.get_by_role("link", name="Those in the batch").click()
    page.get_by_label("Note").first.fill("within the quarter")
    page.get_by_role("button", name=re.compile("Approve: send")).click()
    assert "on its way to the annotators" in page.locator("p.notice").inner_text()
    sent = store.get(AnnotationBatch, batch.id)
    assert sent.state is BatchState.SENT
    approved = next(step for step in sent.history if step.state == BatchState.APPROVED)
    assert (approved.note, approved.actor) == ("within the quarter", "local")
    page.goto(f"{console.address}/console/cycles/{batch.cycle}")
    assert "labels: 0 of" in page.locator("p.todo").inner_text()


def test_samples_are_selected_in_the_map_by_pointer(visit: Visit) -> None:
    opened = visit(f"{CHAT}/map?by=cluster")
    page = opened.page
    drawn(page)
    frame = page.locator(".map-marks").bounding_box()
    assert frame
    page.mouse.move(frame["x"] + 30, frame["y"] + 30)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] - 30, frame["y"] + frame["height"] - 30, steps=5)
    page.mouse.up()
    rows = page.locator("#selection tbody tr")
    expect(rows.first).to_be_visible(timeout=10_000)
    assert rows.count() == 20, "a page of them"
    assert "left=" in page.url, "the selection can be sent to somebody"
    before = rows.first.inner_text()
    page.locator("#selection .pager a", has_text="Next page").click()
    expect(page.locator("#selection tbody tr").first).not_to_have_text(before, timeout=10_000)
    expect(page.locator("#selection").get_by_role("link", name="find similar").first).to_be_visible()
    opened.check()


def test_what_is_hidden_in_the_legend_is_not_selected(visit: Visit) -> None:
    page = visit(f"{CHAT}/map?left=-9&right=9&bottom=-9&top=9").page
    drawn(page)
    everything = _total(page)
    page.locator(".map-legend button", has_text="reference").click()
    assert page.locator(".map-legend button[aria-pressed=false]").inner_text() == "reference"
    page.get_by_role("button", name="List samples").click()
    expect(page.locator("#selection p").first).to_contain_text("hidden colours left out", timeout=10_000)
    assert 0 < _total(page) < everything
    assert "hide=0" in page.url


def test_the_map_is_used_by_keys_alone(visit: Visit) -> None:
    opened = visit(f"{CHAT}/map")
    page = opened.page
    drawn(page)
    page.locator(".map-marks").focus()
    for key in ("ArrowLeft", "+", "-", "0", "b", "]", "]", "]", "]", "]", "Shift+ArrowUp"):
        page.keyboard.press(key)
    assert "points in the box" in page.locator("#map-state").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#selection tbody tr").first).to_be_visible(timeout=10_000)
    page.keyboard.press("Escape")
    assert page.locator("input[name=left]").input_value() == ""
    opened.check()


def test_a_sample_is_shown_where_the_pointer_is(visit: Visit) -> None:
    opened = visit(f"{CHAT}/map")
    page = opened.page
    drawn(page)
    frame = page.locator(".map-marks").bounding_box()
    assert frame
    card = page.locator(".map-card")
    for x, y in _spots(frame):
        page.mouse.move(x, y)
        page.wait_for_timeout(20)
        if page.evaluate("getComputedStyle(document.querySelector('.map-marks')).cursor") and _near(page, card):
            break
    expect(card).to_be_visible(timeout=5_000)
    assert "novelty" in card.inner_text()
    opened.check()


def test_without_scripts_ranges_list_the_samples(visit: Visit) -> None:
    page = visit(f"{CHAT}/map", scripts=False).page
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    for name, value in (("left", "-9"), ("right", "9"), ("bottom", "-9"), ("top", "9")):
        page.locator(f"input[name={name}]").fill(value)
    page.get_by_role("button", name="List samples").click()
    assert page.locator("#selection tbody tr").count() == 20
    assert "novel" in page.locator("section", has_text="What has changed").inner_text()


def test_a_verification_is_read_and_promoted(visit: Visit, console: Console, verified: RefreshCycle) -> None:
    opened = visit(f"/console/cycles/{verified.id}")
    page = opened.page
    assert page.locator(".way .now").inner_text().startswith("verified")
    text = page.locator("#verification").inner_text()
    assert "Verdict: promote" in text
    assert "golden accuracy" in text
    page.get_by_role("button", name="Show samples").click()
    expect(page.get_by_role("heading", name="Samples: mended")).to_be_visible(timeout=30_000)
    opened.shot("verification")
    page.get_by_role("button", name="Promote the model").click()
    assert "Its promotion is announced" in page.locator("p.notice").inner_text()
    assert console.serving.installation.store.get(RefreshCycle, verified.id).state in {"deploying", "promoted"}
    assert page.get_by_role("button", name="Go back to the model before").is_visible()
    opened.check()


def test_frames_while_20_000_points_are_moved(visit: Visit, console: Console) -> None:
    """Told, not asserted: the machine's own speed."""
    opened = visit("/console/monitors/quiet/configuration")
    page = opened.page
    page.goto(f"{console.address}{CHAT}/map")
    page.route("**/map/points*", lambda route: route.fulfill(json=_cloud(20_000)))
    page.reload()
    drawn(page)
    page.locator("[data-tool=pan]").click()
    found = page.evaluate(_PAN)
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / "map-frames.json").write_text(json.dumps(found), encoding="utf-8")
    assert found["frames"] > 10
    opened.shot("map-20000")


_PAN = """async () => {
  const marks = document.querySelector('.map-marks'), box = marks.getBoundingClientRect(), times = [];
  const at = (type, x) => marks.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, button: 0, clientX: box.left + x, clientY: box.top + 200 }));
  marks.setPointerCapture = () => {};
  at('pointerdown', 200);
  let last = performance.now();
  for (let step = 0; step < 60; step++) {
    at('pointermove', 200 + 4 * (step % 30));
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  at('pointerup', 200);
  times.sort((a, b) => a - b);
  const mean = times.reduce((a, b) => a + b, 0) / times.length;
  return { points: 20000, frames: times.length, fps: 1000 / mean, median_ms: times[30], p95_ms: times[57] };
}"""


def _cloud(count: int) -> dict[str, Any]:
    """As many points as a map has at most."""
    across = [((n * 7_919) % 10_007) / 5_000 - 1 for n in range(count)]
    up = [((n * 104_729) % 10_009) / 5_000 - 1 for n in range(count)]
    sides = [int(n >= count // 2) for n in range(count)]
    return {
        "monitor": "chat", "reference": count // 2, "ids": [f"s{n}" for n in range(count)],
        "across": across, "up": up, "distance": up, "novelty": [0.5] * count,
        "colourings": [{"name": "side", "title": "", "values": ["reference", "recent"], "of": sides}],
    }  # fmt: skip


def _spots(frame: Any) -> Iterator[tuple[float, float]]:
    for row in range(1, 20):
        for column in range(1, 30):
            yield frame["x"] + frame["width"] * column / 30, frame["y"] + frame["height"] * row / 20


def _near(page: Page, card: Any) -> bool:
    page.wait_for_timeout(150)
    return bool(card.is_visible())


def _total(page: Page) -> int:
    return int(page.locator("#selection p strong").inner_text().replace(",", ""))


def _name(address: str) -> str:
    return re.sub(r"[^a-z]+", "-", address.removeprefix("/console/").partition("?")[0].replace("monitors/", "")).strip("-")
