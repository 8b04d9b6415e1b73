"""A real Alertmanager, alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.servers.process import Server, free_port
from tests.servers.prometheus_server import reached


class AlertmanagerServer(Server):
    """`configuration` as in alertmanager.yml. It keeps silences, and what it has told, over a `stop`; what is firing it hears again."""

    patience = 20.0

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._configuration = configuration

    @property
    def address(self) -> str:
        """As Prometheus has it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def command(self) -> Sequence[str]:
        path = self.folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(self._configuration, sort_keys=False), encoding="utf-8")
        options = [f"--config.file={path}", f"--storage.path={self.folder / 'state'}", f"--web.listen-address={self.address}"]
        return ["prometheus-alertmanager", *options, "--cluster.listen-address=", "--log.level=info"]

    def answers(self) -> bool:
        return reached(f"{self.url}/-/ready")

    def alerts(self) -> list[Mapping[str, Any]]:
        """Those that it holds as firing, with `labels`, and in `status` whether they are silenced or inhibited."""
        found: list[Mapping[str, Any]] = httpx2.get(f"{self.url}/api/v2/alerts", timeout=10).raise_for_status().json()
        return found

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """As Prometheus tells it."""
        httpx2.post(f"{self.url}/api/v2/alerts", json=list(alerts), timeout=10).raise_for_status()

    def holds(self, name: str, timeout: float = 20.0) -> Mapping[str, Any]:
        """The alert of that `alertname`, once it is there."""
        end = time.monotonic() + timeout
        while True:
            found = [each for each in self.alerts() if each["labels"]["alertname"] == name]
            if found:
                return found[0]
            if time.monotonic() > end:
                raise TimeoutError(f"Alertmanager has no {name}, only {[each['labels'] for each in self.alerts()]}")
            time.sleep(0.1)
