"""Is it us? Over the real process: what a client sends again and again is told as the feed's, where only a small segment sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from service.app import opened
from service.records import Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import load

if TYPE_CHECKING:
    from tests.e2e.conftest import Site

GERMAN = 0.15
"""Share of the traffic in the small segment."""


def tagged(site: Site, n: int, seed: int) -> list[dict[str, Any]]:
    """Ordinary samples with their locale."""
    german = np.random.default_rng(seed).random(n) < GERMAN
    bodies = site.bodies(site.draw(n, seed), f"s{seed}")
    return [{**body, "segments": {"locale": "de" if own else "en"}} for body, own in zip(bodies, german, strict=True)]


def with_segments(site: Site) -> None:
    """A reference whose samples have a locale."""
    site.configure(lambda document: document["monitors"][0].update(segments={"tags": ["locale"]}))
    with opened(load(site.folder / "driftgate.yaml")) as installation:
        ordinary = tagged(site, 2_400, 1)
        samples = [Sample("chat", body["id"], 1.0, np.array(body["vector"], np.float32), body["segments"]) for body in ordinary]
        embedder = installation.embedder("chat")
        installation.references.build(
            installation.settings.monitor("chat"), embed_rows(samples, embedder), Origin(embedder.fingerprint, 1.0)
        )


def test_a_retry_storm_in_a_small_segment_is_the_feeds_and_no_new_content(idle: Site) -> None:
    """Half of the segment's samples are one that its client sends again under ids of their own, and a new one at that."""
    with_segments(idle)
    idle.start()
    idle.send(tagged(idle, 960, 2))
    storm, again = tagged(idle, 1_600, 3), idle.draw(1, 5, new=1.0)[0].tolist()
    retried = np.random.default_rng(4).random(len(storm)) < 0.5
    for body, copied in zip(storm, retried, strict=True):
        if copied and body["segments"]["locale"] == "de":
            body["vector"] = again
    idle.send(storm)
    idle.settled()

    alarms = idle.until(lambda: [each for each in idle.get("/v1/alarms")["alarms"] if each["segment"] == "locale=de"])
    for alarm in alarms:
        assert alarm["kind"] == "feed: repeated samples"
        assert "repeated samples" in [finding["what"] for finding in alarm["findings"]]
        assert alarm["novel_share"]["estimate"] > 0.1
