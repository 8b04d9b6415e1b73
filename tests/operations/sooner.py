"""The shipped rules and Alertmanager's configuration as tests can wait for them: shorter times, and receivers that are here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTMANAGER: Mapping[str, Any] = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text(encoding="utf-8"))
WAITS = frozenset({"for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval"})
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds(duration: str) -> float:
    """Of a duration as Prometheus writes it: `1h30m`."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h|d)", duration))


def sooner(document: Any, factor: float) -> Any:
    """Every wait in it a `factor`-th as long; one of less than a second becomes a second, none stays none."""
    if isinstance(document, Mapping):
        return {key: _shorter(value, factor) if key in WAITS else sooner(value, factor) for key, value in document.items()}
    if isinstance(document, Sequence) and not isinstance(document, str):
        return [sooner(each, factor) for each in document]
    return document


def rules(folder: Path, factor: float) -> list[Path]:
    """A copy of the shipped ones in that folder."""
    copies = []
    for path in sorted((DEPLOY / "prometheus/rules").glob("*.rules.yml")):
        copies.append(folder / path.name)
        copies[-1].write_text(yaml.safe_dump(sooner(yaml.safe_load(path.read_text(encoding="utf-8")), factor)), encoding="utf-8")
    return copies


def aimed(configuration: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Each receiver's webhooks go to `/NAME` at this address, its pages to `/NAME/pagerduty`."""
    receivers = [_aimed(receiver, f"{url}/{receiver['name']}") for receiver in configuration["receivers"]]
    return {**configuration, "receivers": receivers}


def _aimed(receiver: Mapping[str, Any], url: str) -> dict[str, Any]:
    hooks = [{**hook, "url": url} for hook in receiver.get("webhook_configs", ())]
    pages = [{**page, "routing_key": "key", "url": f"{url}/pagerduty"} for page in receiver.get("pagerduty_configs", ())]
    for page in pages:
        del page["routing_key_file"]
    return {"name": receiver["name"], "webhook_configs": hooks, "pagerduty_configs": pages}


def _shorter(duration: str, factor: float) -> str:
    wait = seconds(duration)
    return f"{max(1_000, round(wait / factor * 1_000))}ms" if wait else "0s"
