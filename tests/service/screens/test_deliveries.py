"""Deliveries on a terminal: what came, and what stands in the way of it."""

from __future__ import annotations

from rich.console import Console

from service.records import Delivery, DeliveryState
from service.screens.deliveries import deliveries_screen


def drawn(*deliveries: Delivery) -> str:
    console = Console(width=160, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(deliveries_screen(deliveries))
    return captured.get()


def test_what_could_not_be_used_is_named() -> None:
    taken = Delivery(
        "d1", "support", "b1", (), 1_772_366_400.0, "studio", DeliveryState.TAKEN, changed=3, unknown=("m-1", "m-2", "m-3", "m-4"),
        count=9, conflicting=2, unresolved=("[red]rfund",), proposed=("pairing",), late=3,
    )  # fmt: skip
    screen = drawn(taken, Delivery("d2", "support", "b1", (), 0.0, "file", DeliveryState.REFUSED, error="no such thing"))
    for said in (
        "4 not in the batch: m-1, m-2, m-3, …",
        "1 no class of the scheme: [red]rfund",
        "1 proposed as new: pairing",
        "3 late: the batch had ended",
        "2 say something else than the same annotator before",
        "no such thing",
        "refused",
        "studio",
    ):
        assert said in screen


def test_none_yet() -> None:
    assert "no labels have come in yet" in drawn()
