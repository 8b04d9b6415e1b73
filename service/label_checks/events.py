"""What the label checks did, as it is kept and as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.records import Event

CHECKED = "labels.checked"
"""What was found of a batch's answers."""

HELD_BACK = "labels.held_back"
"""What a cycle's labels that are held back from training spare and cost."""

REVIEWED = "labels.reviewed"
"""What came of a review of a data set's labels, or of a file of corrections."""


def told(event: Event) -> str:
    """One line of it; '' for other events."""
    body = event.body
    if event.kind == CHECKED:
        says = f"{body['answers']:,} answers to batch {event.subject} checked: about {body['wrong']:.0f} of them wrong, "
        says += f"{body['asked_again']:,} asked again, {body['left_out']:,} left out"
        return "; ".join((says, *(_odd(person) for person in body["annotators"] if person["random"] or person["same"])))
    if event.kind == HELD_BACK:
        says = f"{body['labels']:,} labels held back: of golden's {body['rows']:,} select rows they would have broken "
        says += f"{_share(body['flips_avoided'])} and mended {_share(body['gain_lost'])}, "
        return says + f"of the cycle's other {body['answers']:,} answers mended {_share(body['answers_lost'])}"
    if event.kind == REVIEWED:
        return f"{body['corrections']:,} of {body['reviewed']:,} labels of the {body['role']} set corrected in version {body['version']}"
    return ""


def _share(measured: Mapping[str, float]) -> str:
    return f"{100 * measured['estimate']:.2f} % ({100 * measured['low']:.2f} to {100 * measured['high']:.2f})"


def _odd(person: Mapping[str, Any]) -> str:
    return f"{person['name'] or 'somebody'} answers {'at random' if person['random'] else 'always the same'}"
