"""Writes what of the chart follows from other files: `python -m deploy.chart.build` (a test keeps them in step)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy.chart.schema import schema
from deploy.chart.table import tables

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/driftgate"
RULES = ROOT / "deploy/prometheus/rules"
PAGE = Path(__file__).with_name("README.md.in")


def files() -> Mapping[str, str]:
    """Path below the chart → text. A chart is packed from its own folder alone, so the rules lie there once more."""
    page = PAGE.read_text(encoding="utf-8").replace("{values}", tables((CHART / "values.yaml").read_text(encoding="utf-8")))
    rules = {f"rules/{path.name}": path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.rules.yml"))}
    return {"values.schema.json": schema(), "README.md": page, **rules}


if __name__ == "__main__":
    for name, text in files().items():
        path = CHART / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
