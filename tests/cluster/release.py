"""The chart in a namespace of the cluster, by Helm."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.servers.cluster_programs import program
from tests.servers.kubernetes_server import KubernetesCluster, until

CHART = Path(__file__).parents[2] / "helm" / "driftgate"
EXAMPLES = CHART / "examples"
SERVE: Mapping[str, Any] = {"existingSecret": "driftgate"}
ROLES: Mapping[str, Any] = {
    "mode": "roles",
    "existingSecret": "driftgate",
    "persistence": {"accessModes": ["ReadWriteMany"]},
    "config": {
        "kafka": {"brokers": ["kafka.messages:9092"], "ingest_topic": "ingest"},
        "redis": {"url": "redis://redis.state:6379/0"},
    },
}


class Release:
    """One release, called `shop`, in a namespace that has the Secret which the chart asks for."""

    name = "shop-driftgate"

    def __init__(self, cluster: KubernetesCluster, namespace: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._folder = folder
        cluster.namespace(namespace)
        secret = {"metadata": {"name": "driftgate"}, "stringData": {"ingest-token": "in", "metrics-token": "out"}}
        cluster.api.make(f"/api/v1/namespaces/{namespace}/secrets", secret)

    def helm(self, *arguments: str, code: int = 0) -> str:
        """What it says; of a failure, what went wrong."""
        environment = {"HOME": str(self._folder), "PATH": "/usr/bin:/bin", "KUBECONFIG": str(self.cluster.api.kubeconfig)}
        command = [str(program("helm")), *arguments, "--namespace", self.namespace]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stderr if code else done.stdout

    def install(self, *values: Mapping[str, Any] | Path, flags: Sequence[str] = ()) -> str:
        """Returns once all is ready."""
        return self.helm("install", "shop", str(CHART), *self._files(values), "--wait", "--timeout", "90s", *flags)

    def upgrade(self, *values: Mapping[str, Any] | Path, flags: Sequence[str] = (), code: int = 0) -> str:
        """The same; values that are not given are the chart's again."""
        return self.helm("upgrade", "shop", str(CHART), *self._files(values), "--wait", "--timeout", "90s", *flags, code=code)

    def manifests(self, *values: Mapping[str, Any] | Path) -> Sequence[Mapping[str, Any]]:
        """All that would be made but hooks, as the cluster's own Helm renders it."""
        text = self.helm("template", "shop", str(CHART), *self._files(values), "--validate", "--no-hooks")
        return [document for document in yaml.safe_load_all(text) if document]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, group: str = "") -> httpx2.Response:
        """Of the namespace, by the administrator; group as in `apps/v1`."""
        root = f"/apis/{group}" if group else "/api/v1"
        return self.cluster.api.ask(method, f"{root}/namespaces/{self.namespace}/{path}", body)

    def get(self, path: str, *, group: str = "") -> dict[str, Any]:
        response = self.ask("GET", path, group=group)
        assert response.is_success, response.text
        found: dict[str, Any] = response.json()
        return found

    def list(self, kind: str, *, group: str = "") -> Mapping[str, dict[str, Any]]:
        """By name."""
        return {item["metadata"]["name"]: item for item in self.get(kind, group=group)["items"]}

    def pods(self, role: str = "") -> Mapping[str, str]:
        """UIDs by name, of those that are to stay."""
        return {name: pod["metadata"]["uid"] for name, pod in self.running(role).items()}

    def running(self, role: str = "") -> Mapping[str, dict[str, Any]]:
        """As they are, those of hooks left out."""
        found = self.list(f"pods?labelSelector=app.kubernetes.io/component={role}" if role else "pods")
        return {name: pod for name, pod in found.items() if "deletionTimestamp" not in pod["metadata"] and not is_over(pod)}

    def until_ready(self, role: str, replicas: int) -> None:
        def ready() -> bool:
            pods = self.running(role).values()
            return len(pods) == replicas and all(is_ready(pod) for pod in pods)

        until(ready, what=f"{replicas} pods of {role}")

    def evict(self, pod: str) -> httpx2.Response:
        """As a node that is drained does."""
        return self.ask("POST", f"pods/{pod}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}})

    def _files(self, values: Sequence[Mapping[str, Any] | Path]) -> Sequence[str]:
        given = [value if isinstance(value, Path) else self._written(number, value) for number, value in enumerate(values)]
        return [f"--values={path}" for path in given]

    def _written(self, number: int, values: Mapping[str, Any]) -> Path:
        path = self._folder / f"values-{number}.yaml"
        path.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
        return path


def is_ready(pod: Mapping[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ()))


def is_over(pod: Mapping[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
