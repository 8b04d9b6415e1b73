"""A real Prometheus that scrapes and evaluates every second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.servers.process import Server, free_port

Series = tuple[Mapping[str, str], float]
"""Labels, and the value."""


class PrometheusServer(Server):
    """`targets`: what is scraped, by job: addresses (`127.0.0.1:8080`), or addresses with labels of their own as Prometheus has them
    (`{"targets": […], "labels": {…}}`). `rules`: files of rules. `alertmanagers`: their addresses. `credentials`: a bearer token for
    every scrape. `features`: feature flags, such as `native-histograms`."""

    patience = 20.0

    def __init__(
        self,
        folder: Path,
        *,
        targets: Mapping[str, Sequence[str | Mapping[str, Any]]],
        rules: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        credentials: str | None = None,
        features: Sequence[str] = (),
    ) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.targets = dict(targets)
        self._rules = rules
        self._alertmanagers = alertmanagers
        self._credentials = credentials
        self._features = features

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        self._write()
        options = [f"--config.file={self._path}", f"--storage.tsdb.path={self.folder / 'data'}"]
        options += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        # By default an alert is sent again only once a minute has passed: its resolution would be as late.
        options += ["--rules.alert.resend-delay=1s"]
        return ["prometheus", *options, *(["--enable-feature=" + ",".join(self._features)] if self._features else [])]

    def answers(self) -> bool:
        return reached(f"{self.url}/-/ready")

    def query(self, expression: str) -> list[Series]:
        """What the expression gives now."""
        found = self._ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def alerts(self) -> list[Mapping[str, Any]]:
        """Pending and firing."""
        alerts: list[Mapping[str, Any]] = self._ask("alerts")["alerts"]
        return alerts

    def rules(self) -> list[Mapping[str, Any]]:
        """Each with its `health` and `lastError`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def scraped(self, timeout: float = 20.0) -> None:
        """Returns once every target has been scraped, and well."""
        wanted = sum(len([each]) if isinstance(each, str) else len(each["targets"]) for job in self.targets.values() for each in job)
        end = time.monotonic() + timeout
        while True:
            found = self._ask("targets")["activeTargets"]
            if [each["health"] for each in found] == ["up"] * wanted:
                return
            if time.monotonic() > end:
                raise TimeoutError(f"not scraped: {[(each['scrapeUrl'], each['lastError']) for each in found]}; wanted {self.targets}")
            time.sleep(0.1)

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = httpx2.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=10)
        if answer.status_code != httpx2.codes.OK:
            raise ValueError(answer.text)
        return answer.json()["data"]

    @property
    def _path(self) -> Path:
        return self.folder / "prometheus.yml"

    def _write(self) -> None:
        seconds = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        told = {"alertmanagers": [{"static_configs": [{"targets": list(self._alertmanagers)}]}]} if self._alertmanagers else {}
        scrapes = [self._scrape(job, targets) for job, targets in self.targets.items()]
        written = {"global": seconds, "rule_files": [str(path) for path in self._rules], "alerting": told, "scrape_configs": scrapes}
        self._path.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")

    def _scrape(self, job: str, targets: Sequence[str | Mapping[str, Any]]) -> dict[str, Any]:
        own = [{"targets": [each]} if isinstance(each, str) else dict(each) for each in targets]
        secret = {"authorization": {"credentials": self._credentials}} if self._credentials else {}
        return {"job_name": job, "static_configs": own, **secret}


def reached(url: str) -> bool:
    """Whether it answers with a success."""
    try:
        return httpx2.get(url, timeout=1).is_success
    except httpx2.TransportError:
        return False
