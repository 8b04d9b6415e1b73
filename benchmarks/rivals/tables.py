"""What the rivals showed, told: false alarms as shipped, how many streams the time sufficed for, and who could not run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.figures import Figure
from benchmarks.grid import verdicts
from benchmarks.results import table
from benchmarks.rivals import environments
from benchmarks.rivals.pieces import Pieces
from benchmarks.rivals.roster import ROSTER
from benchmarks.trials import run_length

_FOUND = ("streams", "samples", "alarms", "samples ÷ alarms", "streams with one", "asked", "streams for the delay", "arrays held, MB")
_HEADS = ("set", "rival", *_FOUND)


def cells(pieces: Pieces) -> tuple[str, ...]:
    """One line: streams, samples, alarms, samples per alarm with its interval, share of streams with an alarm, what was asked, and
    the streams that its delays come from, and the megabytes that the fitted detector holds; or why there are none."""
    shipped = [piece.shipped(pieces.rival.run_length) for piece in pieces.shipped().values()]
    followed = str(sum(1 for _ in pieces.complete()))
    held = max((piece.held_bytes for _, piece in pieces.all("null")), default=0)
    last = (followed, f"{held / 1e6:.1f}" if held else "")
    if not shipped:
        return ("0", "0", "0", _why_not(pieces), "", "", *last)
    samples, alarms = [run.samples for run in shipped], [run.alarms for run in shipped]
    apart = run_length(samples, alarms, 1.0, resamples=verdicts.RESAMPLES)
    most = "none" if not sum(alarms) else f"{apart.value:,.0f} [{apart.low:,.0f}, {apart.high:,.0f}]"
    asked = f"{pieces.rival.run_length:,.0f}" if pieces.rival.run_length else ""
    share = f"{np.mean([count > 0 for count in alarms]):.2f}"
    return (str(len(shipped)), f"{sum(samples):,}", f"{sum(alarms):,}", most, share, asked, *last)


def _why_not(pieces: Pieces) -> str:
    if pieces.reason.exists():
        return f"could not run: {pieces.reason.read_text(encoding='utf-8')}"
    if pieces.rival.shipped == "none":
        return "has no threshold"
    return "its time sufficed for none" if pieces.folder.exists() else "not followed yet"


def figure(pieces: Pieces) -> Figure:
    """The same for the terminal."""
    streams, samples, alarms, apart, share, _, followed, _ = cells(pieces)
    value = f"{apart} samples per alarm as shipped ({alarms} in {samples}, {streams} streams, {share} of them with one)"
    return Figure(f"{pieces.set}: {pieces.rival.name}", f"{value if streams != '0' else apart}; {followed} streams for the delay")


def section(sets: Sequence[str]) -> str:
    """Of the results' document: how each rival is set, and its false alarms without drift."""
    settings = "\n".join(f"- {rival.name}: {rival.setting}." for rival in ROSTER)
    followed = [name for name in sets if (environments.FOLDER / "found" / name).exists()]
    found = [(name, rival.name, *cells(Pieces(name, rival))) for name in followed for rival in ROSTER]
    others = [name for name in sets if name not in followed]
    end = f"\n\nNot followed on {', '.join(others)}." if others else ""
    return f"### Installed rivals as shipped, without drift\n\n{settings}\n\n" + table(_HEADS, found) + end
