"""Grafana's dashboards are what their code says, fit its schema, and ask for metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from deploy.grafana.build import FOLDER, dashboards
from service.metrics import inventory
from tests.servers.grafana_schema import installed

HERE = Path(__file__).parent / "dashboards"
BOARDS: Mapping[str, Any] = {name.removesuffix(".json"): json.loads(text) for name, text in dashboards().items()}
GRID = 24
MACROS = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"}


def panels(board: Any) -> Iterator[Any]:
    return (panel for panel in board["panels"] if panel["type"] != "row")


def expressions(board: Any) -> Iterator[str]:
    """Every query of a dashboard, its variables and macros filled in."""
    asked = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    asked += [annotation["expr"] for annotation in board["annotations"].get("list", ())]
    return (re.sub(r"\$(monitor|team|job)\b", "any", re.sub(r"\$__\w+", lambda found: MACROS[found[0]], expr)) for expr in asked)


def test_the_files_are_what_the_code_says() -> None:
    made = dashboards()
    assert {path.name for path in FOLDER.glob("*.json")} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "run: .venv/bin/python -m deploy.grafana.build"


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side_and_say_what_they_show(name: str) -> None:
    board = BOARDS[name]
    assert board["uid"] == f"driftgate-{name}"
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= GRID for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
    titles = [(panel["type"], panel["title"]) for panel in panels(board)]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("name", BOARDS)
def test_queries_are_promql_over_metrics_of_the_inventory(name: str) -> None:
    known = set(inventory.names()) | {"up"}
    for expr in expressions(BOARDS[name]):
        promql_parser.parse(expr)
        asked = set(re.findall(r"\b(?:driftgate_\w+|process_\w+|up)\b", expr))
        assert asked
        assert {metric for metric in asked if not metric.startswith("process_")} <= known, expr


@pytest.mark.server("grafana-schema")
def test_the_dashboards_fit_grafanas_schema(tmp_path: Path) -> None:
    found = installed()
    assert found is not None
    for name in ("tsconfig.json", "types.ts"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(found)
    (tmp_path / "check.ts").write_text("\n".join(_typed()), encoding="utf-8")
    checked = subprocess.run([found / ".bin/tsc", "-p", "."], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
    text = (tmp_path / "check.ts").read_text(encoding="utf-8").replace('"orientation": "auto"', '"orientation": "upwards"')
    (tmp_path / "check.ts").write_text(text, encoding="utf-8")
    wrong = subprocess.run([found / ".bin/tsc", "-p", "."], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "TS2322" in wrong.stdout, "a value that Grafana does not know is noticed"


def _typed() -> Iterator[str]:
    yield "import type { Board, Fields, Options, Query } from './types';"
    for name, board in BOARDS.items():
        yield f"export const {name}: Board = {json.dumps(board)};"
        for panel in panels(board):
            kind, at = panel["type"].replace("-", ""), f"{name}_{panel['id']}"
            yield f"export const {at}_options: Options['{kind}'] = {json.dumps(panel.get('options', {}))};"
            yield f"export const {at}_fields: Fields['{kind}'] = {json.dumps(panel['fieldConfig']['defaults'].get('custom', {}))};"
            yield f"export const {at}_queries: Query[] = {json.dumps(panel['targets'])};"
