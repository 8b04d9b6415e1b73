"""The grid's results as tables of a document, and as figures with their bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.figures import Figure
from benchmarks.grid import verdicts
from benchmarks.grid.methods import OURS, Shipped
from benchmarks.grid.scenarios import WARM_UP
from benchmarks.grid.verdicts import Comparison, Streams
from benchmarks.grid.worlds import SESSIONS
from benchmarks.results import table
from benchmarks.trials import Estimate, run_length
from detectors.windows import STATE_BYTES

ALIBI = "alibi MMDDriftOnline"
"""Whose cost ours is held against."""

SINGLE_BAR, CELL_BAR, COST_BAR = 0.5, 1.25, 0.1
LOW, SESSIONS_LOW, HIGH = 0.8, 0.5, 2.0
"""What the measured run length over the asked one may be; lower where rows depend on their neighbours."""

FEWEST_CROSSINGS = 5
"""Streams without drift that must cross a threshold for it to be known: a rival with fewer is shown and not compared cell by cell."""

_LEVEL = 0.025
"""One side of a 95 % interval."""


class Grid:
    """All sets' streams, and what is said of them."""

    def __init__(self, sets: Mapping[str, Streams]) -> None:
        self._sets = sets

    @property
    def _cells(self) -> list[tuple[str, str]]:
        """Of the sets without sessions."""
        return [(name, cell) for name, streams in self._sets.items() if name not in SESSIONS for cell in streams.methods[OURS].cells]

    @property
    def rivals(self) -> list[str]:
        """In the order of the alphabet; a comma marks a variant of a method."""
        return sorted({method for streams in self._sets.values() for method in streams.methods if "," not in method} - {OURS})

    @property
    def variants(self) -> list[str]:
        """Of our own method."""
        return sorted({method for streams in self._sets.values() for method in streams.methods if method.startswith(f"{OURS},")})

    def against(self, other: str, *, over: bool = False) -> tuple[Estimate, int] | None:
        """Geometric mean of the ratio of our delay to another's (or `over`, of its to ours), and over how many cells."""
        one, two = (other, OURS) if over else (OURS, other)
        cells = [(name, cell) for name, cell in self._cells if self._has(name, cell, other)]
        if not cells:
            return None
        return verdicts.geometric_mean([self._sets[name].log_ratios(one, two, cell) for name, cell in cells]), len(cells)

    def _has(self, name: str, cell: str, method: str) -> bool:
        methods = self._sets[name].methods
        return method in methods and cell in methods[method].cells

    def comparisons(self) -> list[tuple[Comparison, float]]:
        """Every cell against the best of all rivals there that have a threshold to speak of, with Holm's p-value."""
        found = []
        for name, cell in self._cells:
            streams = self._sets[name]
            rivals = [method for method in self.rivals if self._has(name, cell, method)]
            rivals = [method for method in rivals if streams.methods[method].crossings >= FEWEST_CROSSINGS]
            comparison = verdicts.compare(streams, (name, cell), OURS, rivals, bound=CELL_BAR)
            if comparison is not None:
                found.append(comparison)
        return list(zip(found, verdicts.holm([comparison.p_value for comparison in found]), strict=True))

    def figures(self) -> list[Figure]:
        """The bars."""
        return [*self._delay_figures(), *self._alarm_figures(), *self._cost_figures()]

    def _delay_figures(self) -> Iterable[Figure]:
        against = {rival: found for rival in self.rivals if (found := self.against(rival)) is not None}
        covering = [rival for rival, (_, cells) in against.items() if 2 * cells >= len(self._cells)]
        if covering:
            best = max(covering, key=lambda rival: against[rival][0].value)
            ratio, cells = against[best]
            value = f"{_interval(ratio, 2)} of {best}'s, {cells} cells"
            yield Figure("delay, geometric mean of ratios to the best single rival", value, f"≤ {SINGLE_BAR}", ratio.value <= SINGLE_BAR)
        compared = self.comparisons()
        worse = [f"{c.set} {c.cell} ({_interval(c.ratio, 2)} of {c.rival})" for c, p in compared if p < _LEVEL]
        value = f"{len(worse)} of {len(compared)} compared, of {len(self._cells)}{': ' if worse else ''}{'; '.join(worse)}"
        yield Figure(f"cells surely above {CELL_BAR} × the best of all rivals", value, "0", not worse)

    def _alarm_figures(self) -> Iterable[Figure]:
        for name, streams in self._sets.items():
            shipped = [kept.shipped for kept in streams.methods[OURS].kept.values() if kept.shipped is not None]
            ratio = _run_length(shipped, [s.run_length for s in shipped])
            value = f"{_interval(ratio, 2)}: {sum(s.alarms for s in shipped)} alarms in {sum(s.samples for s in shipped):,} samples"
            low = SESSIONS_LOW if name in SESSIONS else LOW
            yield Figure(f"{name}: run length over what was asked", value, f"meets {low}-{HIGH}", ratio.high >= low and ratio.low <= HIGH)

    def _cost_figures(self) -> Iterable[Figure]:
        for name, streams in self._sets.items():
            if ALIBI not in streams.methods:
                continue
            ours, theirs = (np.array(_cost(streams, method)) for method in (OURS, ALIBI))
            for what, ratio in zip(("time per sample", "calibration time", "state"), ours / theirs, strict=True):
                yield Figure(f"{name}: {what} over {ALIBI}'s", f"{ratio:.4f}", f"≤ {COST_BAR}", bool(ratio <= COST_BAR))

    def document(self) -> str:
        """All that the figures were made of, in Markdown."""
        parts = [_head(), self._ratio_table(), self._comparison_table()]
        parts += [self._delay_table(name) for name in self._sets]
        return "\n\n".join([*parts, self._alarm_table(), self._ablation_table(), self._cost_table()]) + "\n"

    def _ratio_table(self) -> str:
        rows = []
        for rival in self.rivals:
            found = self.against(rival)
            if found is not None:
                rows.append((rival, _interval(found[0], 2), str(found[1])))
        return f"### Delay of {OURS} over each rival's\n\nGeometric mean over cells.\n\n" + table(("rival", "ratio", "cells"), rows)

    def _comparison_table(self) -> str:
        rows = [(c.set, c.cell, c.rival, _interval(c.ratio, 2), f"{p:.3f}") for c, p in self.comparisons()]
        text = (
            f"The best is picked on the streams with even seeds, compared on the others; p: that the ratio is at most {CELL_BAR}, by Holm. "
            f"Rivals whose threshold fewer than {FEWEST_CROSSINGS} streams without drift crossed are shown below and not compared here."
        )
        return f"### Delay of {OURS} over that of the best of all rivals\n\n{text}\n\n" + table(("set", "cell", "best", "ratio", "p"), rows)

    def _delay_table(self, name: str) -> str:
        streams = self._sets[name]
        methods = [OURS, *(rival for rival in self.rivals if rival in streams.methods)]
        rows = [(cell, *(_delay(streams, method, cell) for method in methods)) for cell in streams.methods[OURS].cells]
        counts = [f"{len(streams.methods[m].seeds)}, {streams.methods[m].crossings}" for m in methods]
        return f"### Delay: {name}\n\n" + table(("cell", *methods), [("streams, null crossings", *counts), *rows])

    def _alarm_table(self) -> str:
        rows = []
        for name, streams in self._sets.items():
            for method, measured in streams.methods.items():
                shipped = [kept.shipped for kept in measured.kept.values() if kept.shipped is not None]
                if shipped:
                    samples, alarms = sum(s.samples for s in shipped), sum(s.alarms for s in shipped)
                    each = _run_length(shipped, 1.0)
                    once = np.mean([s.alarms > 0 for s in shipped])
                    asked = f"{shipped[0].run_length:,.0f}" if shipped[0].run_length else ""
                    length = _interval(each, 0) if alarms else "none came"
                    rows.append((name, method, asked, length, f"{alarms:,} in {samples:,}", f"{once:.0%} of {len(shipped)}"))
        heads = ("set", "method", "run length asked", "samples ÷ alarms", "alarms in samples", "streams with one")
        return "### False alarms, as shipped\n\nStreams without drift; a method begins anew after each alarm.\n\n" + table(heads, rows)

    def _ablation_table(self) -> str:
        rows = []
        for variant in self.variants:
            found = self.against(variant, over=True)
            if found is not None:
                cells = {(n, c): self._sets[n].log_ratios(variant, OURS, c) for n, c in self._cells if self._has(n, c, variant)}
                order = sorted(cells, key=lambda key: -float(cells[key][0]))
                most = "; ".join(f"{n} {c} ({np.exp(cells[n, c][0]):.2f})" for n, c in order[:3])
                sure = [np.quantile(logs[1:], [0.025, 0.975]) for logs in cells.values()]
                longer, shorter = sum(low > 0 for low, _ in sure), sum(high < 0 for _, high in sure)
                rows.append((variant.split(", ")[1], _interval(found[0], 2), f"{longer}, {shorter} of {len(cells)}", most))
        text = "Delay of what is left over the whole's, each at its own threshold of the same measured run length."
        heads = ("left out", "geometric mean", "cells surely longer, shorter", "longest")
        return f"### Ablation\n\n{text}\n\n" + table(heads, rows)

    def _cost_table(self) -> str:
        rows = []
        for name, streams in self._sets.items():
            for method in (OURS, *(rival for rival in self.rivals if rival in streams.methods)):
                row_seconds, fit_seconds, state_bytes = _cost(streams, method)
                rows.append((name, method, f"{row_seconds * 1e6:,.1f} µs", f"{fit_seconds:,.2f} s", f"{state_bytes / 1000:,.1f} kB"))
        return f"### Cost\n\nMedian over streams, one thread. {OURS}'s state is the most that it may grow to.\n\n" + table(
            ("set", "method", "per row", "fit", "state"), rows
        )


def _head() -> str:
    return (
        f"Delays are means in rows, capped at {verdicts.CAP:,.0f}, which a miss counts as, at thresholds of equal measured run length "
        f"{verdicts.RUN_LENGTH:,.0f}; {WARM_UP} rows without drift come first. In brackets 95 % intervals over streams; then how many "
        "missed the drift (m), and how many crossed before it and are left out (x)."
    )


def _run_length(shipped: Sequence[Shipped], asked: Sequence[float] | float) -> Estimate:
    return run_length([s.samples for s in shipped], [s.alarms for s in shipped], asked, resamples=verdicts.RESAMPLES)


def _cost(streams: Streams, method: str) -> tuple[float, float, float]:
    costs = [kept.cost for kept in streams.methods[method].kept.values()]
    rows, fits, states = (float(np.median([getattr(c, name) for c in costs])) for name in ("row_seconds", "fit_seconds", "state_bytes"))
    return rows, fits, STATE_BYTES if method == OURS else states


def _delay(streams: Streams, method: str, cell: str) -> str:
    measured = streams.methods[method]
    if cell not in measured.cells:
        return ""
    marks = [f"{count} {mark}" for count, mark in ((measured.missed(cell), "m"), (measured.left_out(cell), "x")) if count]
    return " ".join([_interval(streams.delay(method, cell), 0), *marks])


def _interval(estimate: Estimate, digits: int) -> str:
    value, low, high = (f"{v:,.{digits}f}" for v in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"
