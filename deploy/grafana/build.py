"""Writes the dashboards from their code: `python -m deploy.grafana.build`. The chart and the compose file take them from one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.fleet import fleet
from deploy.grafana.health import health
from deploy.grafana.monitor import monitor
from deploy.grafana.refresh import refresh

FOLDER = Path(__file__).parents[2] / "helm/driftgate/dashboards"


def dashboards() -> Mapping[str, str]:
    """File name → JSON."""
    made = {"fleet": fleet(), "monitor": monitor(), "refresh": refresh(), "service": health()}
    return {f"{name}.json": _written(each) for name, each in made.items()}


def _written(made: Dashboard) -> str:
    document = json.loads(JSONEncoder().encode(made.build()))
    for number, panel in enumerate(document["panels"], 1):
        panel["id"] = number
        panel.get("options", {}).pop("footer", None)
    for variable in document["templating"]["list"]:
        for setting in ("auto", "auto_count", "auto_min"):  # of intervals alone, which these are not
            variable.pop(setting, None)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
