"""What a look shows, and that other people's segment names can't steer the terminal."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from service.screens.comparing import comparison_table


def shown(document: dict[str, Any], width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(comparison_table(document))
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def look(segment: str = "all", *, adjusted: float = 0.6, left_out: int = 0) -> dict[str, Any]:
    tested = {"segment": segment, "test": "mmd", "statistic": 0.00123, "p_value": adjusted / 2, "adjusted_p_value": adjusted}
    return {
        "against": "reference",
        "level": 0.05,
        "tests": [{**tested, "differs": adjusted <= 0.05, "detail": {"reference_rows": 1_500, "window_rows": 200}}],
        "left_out": {f"customer={i}": "too few" for i in range(left_out)},
        "unusable": {"input": 3, "against": 0},
    }


def test_a_look_has_its_figures_its_verdict_and_its_caution() -> None:
    text = shown(look(adjusted=0.002))
    assert "1,500 : 200" in text
    assert "0.00123" in text
    assert "a difference in 1 of 1 tests, at level 0.05 over the whole look (Holm), against reference" in " ".join(text.split())
    assert "unusable samples in input: 3" in text
    assert "unusable samples in against" not in text
    assert "watching is the monitor's job" in " ".join(text.split())
    assert "no evidence of a difference" in shown(look())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_foreign_names_are_harmless_and_lines_keep_to_the_width(width: int) -> None:
    text = shown(look("customer=\x1b[31m[bold]" + "x" * 200), width)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_only_the_first_that_were_left_out_are_listed() -> None:
    text = shown(look(left_out=40))
    assert "left out: customer=4: too few" in text
    assert "customer=5" not in text
    assert "… and 35 more segments left out" in text
