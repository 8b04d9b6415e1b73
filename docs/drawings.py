"""Draws the pictures of the concepts from real runs of the detectors: `python -m docs.drawings [NAME …]`; ten minutes for all of them.

Messages are those of the demo's support chat, embedded by MiniLM; run lengths and delays are of made-up vectors, because they take a
million of them. Every seed is fixed. Where a drawing shows a figure, it is also printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic import Topics
from detectors import DriftScan
from detectors.classical import KolmogorovSmirnov
from detectors.comparison import upper_bound
from detectors.neighbours import nearest_rows
from detectors.noninferiority import NonInferiority
from detectors.projection import Plane
from detectors.selection.base import Known, Pool
from detectors.selection.probe_expand import ProbeAndExpand
from detectors.switch import calibrate
from docs.canvas import BLUE, GREEN, GREY, INK, ORANGE, RED, Axis, Drawing, Panel
from service.app import load_embedder
from service.demo.messages import Message, Mix, Traffic
from service.model_build import cached_minilm
from service.settings import EmbedderSettings

FOLDER = Path(__file__).parent / "pictures"
CACHE = Path(__file__).parents[1] / ".cache"
MOST_BYTES = 300_000

REFERENCE, QUIET, BEFORE, AFTER = 4_000, 10_000, 2_000, 1_500
DRIFTED = Mix(launch=0.07, junk=0.01, repeat=0.01)
"""Seven messages in a hundred ask about a product that the model has never seen."""
RUN_LENGTH, PANE, WINDOW = 20_000, 16, 200
TOLERANCE = 0.02
DIMENSION = 64

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chat:
    """The demo's messages, embedded."""

    reference: Rows
    quiet: Rows
    """As the reference; the drift comes behind it."""
    drifted: Rows


@cache
def chat() -> Chat:
    """Some minutes: every message is embedded."""
    traffic = Traffic(np.random.default_rng(7), pace=2.0)
    embedder = load_embedder(EmbedderSettings(model=cached_minilm(CACHE), max_tokens=64))

    def embedded(messages: Sequence[Message]) -> Rows:
        parts = [embedder.embed([said.text for said in messages[at : at + 128]]).embedding for at in range(0, len(messages), 128)]
        return np.concatenate(parts)

    reference, quiet = (traffic.draw(count, start=0.0) for count in (REFERENCE, QUIET))
    drifted = traffic.draw(AFTER, start=0.0, mix=DRIFTED)
    made = Chat(embedded(reference), embedded(quiet), embedded(drifted))
    embedder.close()
    return made


@dataclass(frozen=True, slots=True)
class Step:
    """What the scan knew after a pane."""

    samples: int
    surprise: float
    threshold: float
    low: float
    estimate: float
    high: float
    alarm: bool
    by_length: NDArray[np.float64]
    """The largest surprise of each window length."""


def followed(scan: DriftScan, rows: Rows) -> list[Step]:
    """Pane by pane."""
    steps = []
    for at in range(0, len(rows) - PANE + 1, PANE):
        seen = scan.update(rows[at : at + PANE])
        surprises = scan._stream.surprises
        lengths = surprises.max(1) if surprises.size else np.zeros(0)
        far = seen.effect
        steps.append(Step(seen.samples, seen.surprise, seen.threshold, far.low, far.estimate, far.high, seen.alarm, lengths))
    return steps


@cache
def drifting() -> tuple[Step, ...]:
    """The chat's stream with the drift part-way."""
    scan = DriftScan.fit(chat().reference, run_length=RUN_LENGTH, seed=1)
    return tuple(followed(scan, np.concatenate([chat().quiet[-BEFORE:], chat().drifted])))


def _crossing(steps: Sequence[Step]) -> Step:
    return next(step for step in steps if step.alarm)


# --- what happens on one stream ----------------------------------------------------------------------------------------


def evidence() -> Drawing:
    """The evidence against its threshold, and the effect with its interval, on one stream."""
    steps, end = drifting(), BEFORE + AFTER
    crossing = _crossing(steps)
    opening = next(step for step in steps if step.samples >= crossing.samples and step.surprise > step.threshold and step.low > TOLERANCE)
    told(
        f"evidence: it crosses {crossing.samples - BEFORE} samples behind the change; the alarm opens {opening.samples - BEFORE} behind it"
    )
    drawing = Drawing(
        820, 520, "Evidence stays below its threshold until the traffic changes, crosses it, and the effect is told with an interval"
    )
    across = Axis(0, end, range(0, end + 1, 500), "samples")
    upper = Panel(
        drawing, 60, 40, 720, 200, across, Axis(0, 20, (0, 5, 10, 15, 20), "evidence: the largest surprise, −log10 of a tail probability")
    )
    upper.line([(step.samples, step.surprise) for step in steps], colour=BLUE)
    upper.level(steps[0].threshold, "threshold: crossed once in 20,000 samples when nothing changes", colour=RED)
    upper.moment(BEFORE, "from here 7 % of the messages are new", colour=INK, to="end")
    upper.moment(crossing.samples, f"crosses, {crossing.samples - BEFORE} samples later", colour=RED)
    lower = Panel(
        drawing,
        60,
        300,
        720,
        160,
        across,
        Axis(0, 0.5, (0, 0.1, 0.2, 0.3, 0.4, 0.5), "effect: equivalent share of new content, with its interval"),
    )
    shown = [step for step in steps if step.samples >= 64]
    lower.band([(step.samples, step.low, step.high) for step in shown], colour=GREEN)
    lower.line([(step.samples, step.estimate) for step in shown], colour=GREEN)
    lower.level(TOLERANCE, "tolerance", colour=ORANGE)
    lower.moment(BEFORE, "", colour=INK)
    lower.moment(opening.samples, f"alarm opens, {opening.samples - BEFORE} samples after the change", colour=RED)
    return drawing


def windows() -> Drawing:
    """The surprise of every window length at every moment: which length sees the drift first."""
    steps, end = drifting(), BEFORE + AFTER
    most = max(len(step.by_length) for step in steps)
    drawing = Drawing(820, 330, "Windows of all lengths are looked at at once; which of them sees a drift first depends on its size")
    ticks = [PANE * 2**k for k in range(most)]
    panel = Panel(drawing, 60, 40, 720, 220, Axis(0, end, range(0, end + 1, 500), "samples"), Axis(0, most, (), "window, samples"))
    for row, length in enumerate(ticks):
        drawing.text(52, panel.at(0, row + 0.5)[1] + 4, f"{length:,}", to="end", kind="small")
    for step in steps:
        for row, surprise in enumerate(step.by_length):
            share = min(float(surprise) / step.threshold, 1.0)
            if share >= 0.3:
                left, top = panel.at(step.samples - PANE, row + 1)
                right, bottom = panel.at(step.samples, row)
                corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
                drawing.area(corners, colour=RED if share >= 1 else BLUE, opacity=0.15 + 0.75 * share**3)
    panel.moment(BEFORE, "change", colour=INK, to="end")
    drawing.text(60, 318, "blue: how near to the threshold; red: beyond it", kind="small")
    return drawing


def repeated_test() -> Drawing:
    """A Kolmogorov–Smirnov test on every window of a stream in which nothing changes, and the scan on the same stream."""
    rng, rows = np.random.default_rng(3), chat().quiet
    test = KolmogorovSmirnov(components=8, permutations=499, rows=2_000)
    ends = range(WINDOW, QUIET + 1, WINDOW)
    values = [(float(end), test(chat().reference, rows[end - WINDOW : end], rng=rng).p_value) for end in ends]
    alarms = [point for point in values if point[1] < 0.05]
    steps = followed(DriftScan.fit(chat().reference, run_length=RUN_LENGTH, seed=1), rows)
    own = sum(step.alarm for step in steps)
    told(f"repeated test: {len(alarms)} of {len(values)} windows below .05 without any change; the scan: {own} alarms")
    drawing = Drawing(820, 500, "A test repeated on every window alarms although nothing changes; the scan does not")
    across = Axis(0, QUIET, range(0, QUIET + 1, 2_000), "samples, all of them as the reference")
    upper = Panel(
        drawing,
        60,
        40,
        720,
        180,
        across,
        Axis(0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1.0), f"p-value of a Kolmogorov–Smirnov test on each {WINDOW} samples"),
    )
    upper.level(0.05, "", colour=RED)
    upper.dots([point for point in values if point[1] >= 0.05], colour=BLUE, radius=3)
    upper.dots(alarms, colour=RED, radius=4.5)
    drawing.text(780, 30, f"{len(alarms)} false alarms at p < 0.05", to="end", kind="small", colour=RED)
    lower = Panel(drawing, 60, 280, 720, 160, across, Axis(0, 10, (0, 2, 4, 6, 8, 10), "evidence of the scan"))
    lower.line([(step.samples, step.surprise) for step in steps], colour=BLUE)
    lower.level(steps[0].threshold, "threshold for one false alarm in 20,000 samples", colour=RED)
    drawing.text(780, 270, f"{own} in {QUIET:,} samples", to="end", kind="small", colour=RED)
    return drawing


# --- many streams --------------------------------------------------------------------------------------------------------

ASKED = (1_000, 2_000, 5_000, 10_000)
REFERENCES, LONG = 12, 6
SHARES = (0.025, 0.05, 0.1, 0.2, 0.5, 1.0)


@cache
def fits() -> tuple[tuple[DriftScan, Topics], ...]:
    """References of their own, each with the traffic that it was drawn from."""
    made = []
    for seed in range(REFERENCES):
        topics = Topics(seed, dimension=DIMENSION)
        made.append((DriftScan.fit(topics.draw(REFERENCE), run_length=RUN_LENGTH, seed=seed), topics))
    return tuple(made)


def run_length() -> Drawing:
    """What was asked against what came, over streams in which nothing changes."""
    drawing = Drawing(560, 460, "Measured run lengths lie about where they were asked for")
    ticks = (1_000, 2_000, 5_000, 10_000, 20_000)
    across, up = (
        Axis(700, 20_000, ticks, name, log=True)
        for name in ("run length asked for, samples", "samples ÷ false alarms, with a 95 % interval over references")
    )
    panel = Panel(drawing, 80, 40, 440, 350, across, up)
    panel.line([(700, 700), (20_000, 20_000)], colour=GREY, dash="5 4")
    rng = np.random.default_rng(11)
    for asked in ASKED:
        alarms = np.array([_alarms(scan, topics, asked) for scan, topics in fits()])
        drawn = np.sort([LONG * asked * REFERENCES / max(rng.choice(alarms, REFERENCES).sum(), 1) for _ in range(2_000)])
        low, high = drawn[[49, 1949]]
        came = LONG * asked * REFERENCES / max(alarms.sum(), 1)
        told(f"run length {asked:,} asked: {came:,.0f} [{low:,.0f}, {high:,.0f}], {alarms.sum()} alarms")
        panel.line([(asked, low), (asked, high)], colour=BLUE, width=2.5)
        panel.dots([(asked, came)], colour=BLUE, radius=5)
    drawing.text(400, 160, "as asked", kind="small", colour="#868e96")
    return drawing


def _alarms(scan: DriftScan, topics: Topics, asked: float) -> int:
    """Begins anew after each."""
    stream, count = DriftScan(scan.model, run_length=asked), 0
    for at in range(0, int(LONG * asked) - PANE + 1, PANE):
        if at % 4_096 == 0:
            rows = topics.draw(4_096)
        if stream.update(rows[at % 4_096 : at % 4_096 + PANE]).alarm:
            count += 1
            stream.reset()
    return count


def delay() -> Drawing:
    """Samples from the change to the alarm, by the share of new content."""
    drawing = Drawing(620, 440, "The smaller the share of new content, the longer it takes to see it")
    across = Axis(0.02, 1, SHARES, "share of the traffic that is new", log=True)
    up = Axis(8, 5_000, (10, 30, 100, 300, 1_000, 3_000), "samples from the change to the alarm: median, and each stream", log=True)
    panel = Panel(drawing, 80, 40, 500, 330, across, up)
    middles = []
    for share in SHARES:
        delays = [_delay(scan, topics, share, seed) for seed, (scan, topics) in enumerate(fits())]
        middles.append((share, float(np.median(delays))))
        told(f"delay at {share:.1%} new content: median {np.median(delays):,.0f} samples of {sorted(delays)}")
        panel.dots([(share, each) for each in delays], colour=GREY, radius=3, opacity=0.8)
    panel.line(middles, colour=BLUE, width=2.4)
    panel.dots(middles, colour=BLUE, radius=5)
    for share, middle in middles:
        x, y = panel.at(share, middle)
        drawing.text(x + 8, y - 8, f"{middle:,.0f}", kind="small", colour=BLUE)
    return drawing


def _delay(scan: DriftScan, topics: Topics, share: float, seed: int) -> int:
    """512 samples without drift come first; 5,000 where nothing is seen."""
    rng, stream = np.random.default_rng(1_000 + seed), DriftScan(scan.model, run_length=RUN_LENGTH)
    stream.update(topics.draw(512))
    ordinary, new = topics.draw(5_008), Topics(500 + seed, dimension=DIMENSION).draw(5_008)
    rows = np.where((rng.random(5_008) < share)[:, None], new, ordinary)
    for at in range(0, 5_008, PANE):
        if stream.update(rows[at : at + PANE]).alarm:
            return at + PANE
    return 5_000


# --- what is done about it -------------------------------------------------------------------------------------------------

ASKED_ABOUT = 30


@dataclass(frozen=True, slots=True)
class Pools:
    """Vectors made up to look like a pool: ordinary rows, three new topics, and junk that has no company."""

    reference: Rows
    rows: Rows
    kind: NDArray[np.int64]
    """0 ordinary, 1 new, 2 junk."""


@cache
def pools() -> Pools:
    """1,000 ordinary rows, 150 new, 150 junk."""
    rng, usual = np.random.default_rng(6), Topics(0, dimension=DIMENSION)
    junk = rng.standard_normal((150, DIMENSION)).astype(np.float32)
    junk *= 1.25 / np.linalg.norm(junk, axis=1, keepdims=True)
    centres = rng.standard_normal((3, DIMENSION)).astype(np.float32)
    new = centres[rng.integers(0, 3, 150)] + rng.standard_normal((150, DIMENSION)).astype(np.float32)
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    return Pools(usual.draw(2_000), np.concatenate([usual.draw(1_000), new, junk]), np.repeat([0, 1, 2], [1_000, 150, 150]))


def candidates() -> Drawing:
    """The same pool, asked about by two rules: the most unlike first, and our own."""
    pool, kind = pools().rows, pools().kind
    unlike = np.argsort(-nearest_rows(pool, pools().reference, 1).distance[:, 0])[:ASKED_ABOUT]
    picks = ProbeAndExpand().pick(Pool(pool), Known(pools().reference), budget=ASKED_ABOUT, rng=np.random.default_rng(0))
    plane = Plane.fit(pool[kind == 1])
    drawing = Drawing(820, 420, "The most unlike samples are junk that has no company; covering what is new and dense finds the new topics")
    rules = (("the most unlike first", unlike), ("probe and expand", np.array([pick.row for pick in picks])))
    for number, (name, chosen) in enumerate(rules):
        new, junk = (int((kind[chosen] == which).sum()) for which in (1, 2))
        told(f"candidates, {name}: {new} of {ASKED_ABOUT} on new topics, {junk} junk")
        _field(drawing, 30 + 400 * number, plane, chosen)
        drawing.text(30 + 400 * number, 34, name, kind="title")
        drawing.text(30 + 400 * number, 392, f"{new} of {ASKED_ABOUT} on new topics, {junk} junk", kind="small")
    for x, colour, said in ((420, GREEN, "new topics"), (515, RED, "junk"), (575, GREY, "ordinary"), (660, INK, "asked about")):
        drawing.dots([(x, 408)], colour=colour, radius=4)
        drawing.text(x + 9, 412, said, kind="small")
    return drawing


def _field(drawing: Drawing, left: float, plane: Plane, chosen: NDArray[np.int64]) -> None:
    places = plane(pools().rows)
    low, high = np.quantile(places, (0.002, 0.998), axis=0)

    def at(row: NDArray[np.float32]) -> tuple[float, float]:
        x, y = np.clip((row - low) / (high - low), 0, 1)
        return left + 10 + 340 * float(x), 360 - 300 * float(y)

    drawing.box(left, 50, 360, 320, stroke=GREY)
    for kind, colour in enumerate((GREY, GREEN, RED)):
        drawing.dots(map(at, places[pools().kind == kind]), colour=colour, radius=2.2, opacity=0.7)
    for row in chosen:
        x, y = at(places[row])
        drawing.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="none" stroke="{INK}" stroke-width="1.6"/>')


def verification() -> Drawing:
    """Three new models on the same 1,500 golden rows: what their intervals show."""
    rows, margin = 1_500, 0.01
    test = NonInferiority.of(rows, margin=margin, error=0.05)
    drawing = Drawing(820, 260, "A model passes when the whole interval of the difference lies above minus the margin")
    panel = Panel(
        drawing,
        330,
        40,
        450,
        160,
        Axis(-0.02, 0.02, (-0.02, -0.01, 0, 0.01, 0.02), "accuracy of the new model less that of the old one"),
        Axis(0, 3, (), ""),
    )
    panel.line([(-margin, 0), (-margin, 3)], colour=RED, dash="6 4")
    drawing.text(panel.at(-margin, 3)[0], 32, "− margin", to="middle", kind="small", colour=RED)
    for number, (fixed, broken) in enumerate(((30, 20), (12, 14), (12, 24))):
        low, high = test.limits(fixed, broken)
        shown, y = test.shows(fixed, broken), 2.5 - number
        told(f"verification: {fixed} mended, {broken} broken of {rows:,}: [{low:+.2%}, {high:+.2%}], passes: {shown}")
        panel.line([(low, y), (high, y)], colour=GREEN if shown else RED, width=3)
        panel.dots([((fixed - broken) / rows, y)], colour=GREEN if shown else RED, radius=5)
        place = panel.at(0, y)[1]
        drawing.text(20, place - 2, f"{fixed} mended, {broken} broken of {rows:,}", kind="title")
        drawing.text(20, place + 16, "surely no worse by 1 point" if shown else "not shown: not promoted", kind="small")
    return drawing


def switch() -> Drawing:
    """How a threshold of the switch is found: it goes down as long as the bound on flips stays below α."""
    rng, rows, alpha = np.random.default_rng(4), 1_000, 0.01
    margin = rng.beta(1.2, 1.0, rows).astype(np.float32)
    old_right = rng.random(rows) < 0.93
    new_right = np.where(old_right, rng.random(rows) > 0.06 * (1 - margin), rng.random(rows) < 0.7)
    found = calibrate(margin, old_right, new_right, alpha=alpha, error=0.05)
    told(f"switch: threshold {found.threshold}, {found.flips} flips of {rows:,}, bound {found.bound:.2%}")
    drawing = Drawing(620, 400, "The threshold falls until the bound on negative flips reaches what was allowed")
    panel = Panel(
        drawing,
        80,
        40,
        500,
        290,
        Axis(0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1), "threshold: how much surer the new model must be"),
        Axis(0, 3, (0, 1, 2, 3), "negative flips, % of golden rows"),
    )
    flipping = margin[old_right & ~new_right]
    grid = [(39 - at) / 40 for at in range(40)]
    counts = [int((flipping > np.float32(at)).sum()) for at in grid]
    panel.line([(at, 100 * count / rows) for at, count in zip(grid, counts, strict=True)], colour=BLUE)
    panel.line(
        [(at, 100 * upper_bound(count, rows, error=0.05)) for at, count in zip(grid, counts, strict=True)], colour=ORANGE, dash="6 3"
    )
    panel.level(100 * alpha, "allowed: 1 %", colour=RED)
    if found.threshold is not None:
        panel.moment(found.threshold, f"chosen: {found.threshold:g}", colour=GREEN)
    drawing.text(panel.at(0.4, 0)[0], panel.at(0, 2.6)[1], "upper bound, 95 %", kind="small", colour=ORANGE)
    drawing.text(panel.at(0.12, 0)[0], panel.at(0, 1.5)[1], "observed", kind="small", colour=BLUE)
    return drawing


def loop() -> Drawing:
    """The whole of it, once round."""
    drawing = Drawing(
        860, 290, "The loop: samples, embedding, scan, alarm, explanation, candidates, labels, a new model, verification, a new reference"
    )
    top = (
        ("samples", "HTTP · Kafka · KServe"),
        ("embed", "ONNX, in the monitor"),
        ("scan", "all window lengths"),
        ("alarm", "with an effect"),
        ("explain", "what, since when, who"),
    )
    bottom = (
        ("rebase", "a new reference"),
        ("verify", "surely no worse"),
        ("new model", "your training job"),
        ("labels", "checked, asked again"),
        ("candidates", "few, with their risk"),
    )
    for row, (boxes, colour) in enumerate(((top, BLUE), (bottom, GREEN))):
        for at, (name, beside) in enumerate(boxes):
            x, y = 20 + 168 * at, 40 + 140 * row
            drawing.box(x, y, 146, 70, stroke=colour)
            drawing.text(x + 73, y + 31, name, to="middle", kind="title")
            drawing.text(x + 73, y + 52, beside, to="middle", kind="small")
    for at in range(4):
        drawing.arrow((166 + 168 * at, 75), (188 + 168 * at, 75))
        drawing.arrow((188 + 168 * at, 215), (166 + 168 * at, 215))
    drawing.arrow((765, 110), (765, 180))
    drawing.arrow((93, 180), (400, 112))
    drawing.text(20, 24, "all the time", kind="small", colour=BLUE)
    drawing.text(20, 272, "once the alarm asks for it; a person may stop at every step", kind="small", colour=GREEN)
    return drawing


DRAWINGS: Mapping[str, Callable[[], Drawing]] = {
    "loop": loop,
    "evidence": evidence,
    "windows": windows,
    "repeated-test": repeated_test,
    "run-length": run_length,
    "delay": delay,
    "candidates": candidates,
    "verification": verification,
    "switch": switch,
}


def told(said: str) -> None:
    """A figure that a drawing shows."""
    sys.stdout.write(f"{said}\n")


def main() -> None:
    """Those named, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or DRAWINGS:
        picture = DRAWINGS[name]().svg().encode()
        if len(picture) > MOST_BYTES:
            raise SystemExit(f"{name}: {len(picture):,} bytes are too many for a page, at most {MOST_BYTES:,}")
        (FOLDER / f"{name}.svg").write_bytes(picture)


if __name__ == "__main__":
    main()
