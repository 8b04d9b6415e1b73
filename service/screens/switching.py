"""What `driftgate switch` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from detectors.switch import Calibration
from service.screens.drawing import columns, count, cut, excerpt, points

Figures = Mapping[str, Any]

_LISTED = 12


def certificate_screen(certificate: Figures) -> RenderableType:
    """The promise first, then what it stands on, then where it flips."""
    sure = 1 - certificate["delta_in_force"]
    promise = f"at most {certificate['alpha']:.2%} of answers break, with probability {sure:.4g}"
    lines = [Text(f"{certificate['monitor']}: {promise}", "bold"), *map(Text, _lines(certificate))]
    return Group(*lines, *_by_class(certificate), *_uncovered(certificate), Text("it ends with " + "; ".join(certificate["ends"]), "dim"))


def refusal(calibration: Calibration, use: int) -> RenderableType:
    """No threshold passed."""
    first, flips = calibration.trail[0]
    says = f"{flips} of {calibration.rows:,} rows break where the new model is surest (t = {first:g}), so up to {calibration.bound:.2%} may"
    asked = f"asked for was at most {calibration.alpha:.2%} at δ {calibration.error:.2g} (use {use} of these rows)"
    return Group(Text("no switch: the old model stays", "bold red"), Text(f"{says}; {asked}"))


def condition_table(conditions: Sequence[Figures], certificate: Figures) -> RenderableType:
    """One line for each thing that the promise stands on."""
    table = columns("", "", "")
    for condition in conditions:
        mark = Text("holds", "green") if condition["holds"] else Text("ended", "bold red")
        table.add_row(mark, condition["name"], Text(excerpt(condition["says"])))
    valid = all(condition["holds"] for condition in conditions)
    verdict = "the certificate is valid" if valid else "the certificate is not valid any more: calibrate anew, or go back to the old model"
    return Group(Text(f"{certificate['monitor']}, certified {certificate['created']}: {verdict}", "bold"), table)


def _lines(certificate: Figures) -> Iterator[str]:
    golden, models = certificate["golden"], certificate["models"]
    rows = (
        f"{golden['rows']:,} rows of golden {golden['version']}'s calibrate part{' (those never used before)' if golden['fresh'] else ''}"
    )
    yield f"the new model is served where it is surer than of the old answer by more than {certificate['threshold']:g}"
    allowed = f"{certificate['flips']} flips of {certificate['flips_allowed']} allowed, so at most {certificate['bound']:.2%}"
    changed = "" if certificate["changed"] is None else f"; {certificate['changed']:,} answered otherwise than before"
    yield f"{rows}: {allowed}{changed}"
    spent = f"δ asked {certificate['delta']:g}, in force {certificate['delta_in_force']:.2g}, spent so far {certificate['delta_spent']:.2g}"
    yield f"{spent} (use {golden['use']} of these rows)"
    if certificate["flips_by_class"]:
        yield "flips by class were told, so no calibration takes these rows again"
    else:
        yield "using these rows again counts on one thing: that the next model is made knowing the threshold alone, not the number of flips"
    yield f"{certificate['fresh_rows']:,} rows that no calibration has met would restore δ {certificate['delta'] / 2:g}"
    if certificate["alarms"]:
        yield f"alarms of drift that were open then: {len(certificate['alarms'])}; of what drifted nothing is promised"
    if certificate["expected"]:
        found = certificate["expected"]
        share = f", {found['gain'] / found['ungated']:.0%} of it" if found["ungated"] > 0 else ""
        alone, kept = points(found["ungated"]), points(found["gain"])
        yield f"on {found['rows']:,} drifted rows: {alone} points by the new model alone, {kept} by the switch{share}"
    shares = "over one embedder" if certificate["shared_embedder"] else "each with an embedder of its own"
    yield f"old {excerpt(models['old']['file'], 40)}, new {excerpt(models['new']['file'], 40)}, {shares}"
    yield f"certified {certificate['created']}, valid until {certificate['expires']} at most"


def _by_class(certificate: Figures) -> list[RenderableType]:
    flipping = [(name, found) for name, found in certificate["flips_by_class"].items() if found["flips"]]
    if not flipping:
        return []
    flipping.sort(key=lambda each: (-each[1]["flips"], each[0]))
    table = columns("class", "rows", "flips", right=("rows", "flips"))
    for name, found in flipping[:_LISTED]:
        table.add_row(Text(excerpt(name, 60)), count(found["rows"]), count(found["flips"]))
    return [cut(table, _LISTED, len(flipping))]


def _uncovered(certificate: Figures) -> list[RenderableType]:
    names = certificate["uncovered"]
    if not names:
        return []
    listed = ", ".join(excerpt(name, 40) for name in names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return [Text(f"not covered, as no row is of them: {len(names)} of {certificate['old_classes']} classes ({listed})", "yellow")]
