"""Refresh Jobs made by a controller with the account that the chart gives it: one for each cycle, whatever happens, and nothing else."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.app import opened
from service.records import CycleState, RefreshCycle
from service.refresh_events import PLAIN, event, requested
from service.settings import load
from tests.cluster.release import ROLES, Release
from tests.e2e.roles import Role
from tests.servers.kubernetes_server import until
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.server("kubernetes", "redis-server")

CYCLES = ("c0ffee01", "c0ffee02", "c0ffee03")
TRAIN: Mapping[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {},
    "spec": {
        "ttlSecondsAfterFinished": 1,
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "train",
                        "image": "registry.example.com/train:1.4.0",
                        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    }
                ],
            }
        },
    },
}
VALUES: Mapping[str, Any] = {
    **ROLES,
    "jobTemplates": {"train": TRAIN},
    "config": {
        **ROLES["config"],
        "roles": {"lease_seconds": 3},
        "monitors": [{"name": "chat", "embedder": {"input": "none", "dimension": 8}}],
        "destinations": [{"name": "train", "type": "kubernetes_job", "template": "/etc/driftgate/jobs/train.yaml"}],
    },
}


class Controllers:
    """Outside the cluster, with what the release gives a controller in it: account, namespace, template of the Job."""

    def __init__(self, release: Release, folder: Path, redis: RedisServer) -> None:
        self.folder = folder
        (folder / "token").write_text(release.cluster.api.token(release.namespace, f"{release.name}-controller"), encoding="utf-8")
        (folder / "train.yaml").write_text(release.get(f"configmaps/{release.name}-jobs")["data"]["train.yaml"], encoding="utf-8")
        document = yaml.safe_load(release.get(f"configmaps/{release.name}")["data"]["driftgate.yaml"])
        document["redis"] = {"url": redis.url, "prefix": release.namespace}
        cluster = {"server": release.cluster.api.url, "ca_file": str(release.cluster.api.ca_file), "namespace": release.namespace}
        document["destinations"][0] |= {**cluster, "template": "train.yaml", "token_file": "token"}
        (folder / "driftgate.yaml").write_text(yaml.safe_dump({"directory": "state", **document}), encoding="utf-8")
        self._running: list[Role] = []

    def start(self) -> Role:
        self._running.append(Role("controller", self.folder, len(self._running)))
        return self._running[-1]

    def close(self) -> None:
        for role in self._running:
            role.end(signal.SIGKILL)

    def ask(self, cycle: str) -> None:
        """What a cycle whose labels are there stores: itself, and its request for training."""
        now = time.time()
        training = RefreshCycle(cycle, "chat", 1, "alarm", 1, CycleState.TRAINING, created=now, version=1)
        content = requested(training, (), (), (), PLAIN)
        with opened(load(self.folder / "driftgate.yaml")) as installation:
            installation.store.save(training, outbox=event(training, "refresh.requested", content, ("train",), now=now))

    def forget(self) -> None:
        """As if each had been killed after it started its Job and before it could settle that."""
        with opened(load(self.folder / "driftgate.yaml")) as installation:
            for item in installation.store.outbox():
                installation.store.settle(replace(item, state="pending", due=0.0))

    def pending(self) -> int:
        with opened(load(self.folder / "driftgate.yaml")) as installation:
            return len(installation.store.outbox(states=("pending",)))


@pytest.fixture
def controllers(release: Release, tmp_path: Path, redis_server: RedisServer) -> Iterator[Controllers]:
    release.install(VALUES)
    folder = tmp_path / "controller"
    folder.mkdir()
    outside = Controllers(release, folder, redis_server)
    yield outside
    outside.close()


def jobs(release: Release) -> Mapping[str, Any]:
    return release.list("jobs", group="batch/v1")


def made_since(release: Release, version: str) -> Counter[str]:
    """How often a Job of each name was created, as the API tells whoever watches."""
    events = release.ask("GET", f"jobs?watch=1&resourceVersion={version}&timeoutSeconds=1", group="batch/v1").text.splitlines()
    return Counter(seen["object"]["metadata"]["name"] for seen in map(json.loads, events) if seen["type"] == "ADDED")


def _leads(controller: Role) -> bool:
    return bool(controller.get("/readyz")["notes"].get("leader") == "yes")


def _is_made(release: Release, version: str, cycle: str) -> bool:
    return made_since(release, version)[cycle] > 0


def test_one_job_for_each_cycle_whatever_dies(release: Release, controllers: Controllers) -> None:
    before = release.get("jobs", group="batch/v1")["metadata"]["resourceVersion"]
    leader = controllers.start()
    for cycle in CYCLES:
        until(partial(_leads, leader), what="a leader")
        standby = controllers.start()
        controllers.ask(cycle)
        until(partial(_is_made, release, before, cycle), what=f"the Job of {cycle}")
        leader.end(signal.SIGKILL)
        leader = standby
    until(lambda: not controllers.pending(), what="deliveries")
    until(lambda: not jobs(release), what="the end of all Jobs, and their removal")
    controllers.forget()
    until(lambda: not controllers.pending(), what="deliveries again")
    assert made_since(release, before) == dict.fromkeys(CYCLES, 1)


def test_the_account_may_make_jobs_in_its_namespace_and_nothing_else(release: Release) -> None:
    release.install(VALUES)
    api, token = release.cluster.api, release.cluster.api.token(release.namespace, f"{release.name}-controller")
    assert rights(release, token, release.namespace) == {("batch", "jobs", "create"), ("batch", "jobs", "get"), ("batch", "jobs", "patch")}
    for namespace in ("default", "kube-system"):
        assert rights(release, token, namespace) == set(), namespace
    inside, jobs_inside = f"/api/v1/namespaces/{release.namespace}", f"/apis/batch/v1/namespaces/{release.namespace}/jobs"
    for method, path in (
        ("GET", f"{inside}/secrets/driftgate"),
        ("GET", f"{inside}/secrets"),
        ("GET", f"{inside}/configmaps/{release.name}"),
        ("GET", f"{inside}/pods"),
        ("POST", f"{inside}/pods"),
        ("POST", f"{inside}/serviceaccounts/{release.name}-api/token"),
        ("GET", jobs_inside),
        ("DELETE", f"{jobs_inside}/any"),
        ("DELETE", jobs_inside),
        ("PATCH", f"{jobs_inside}/any/status"),
        ("POST", "/apis/batch/v1/namespaces/default/jobs"),
        ("POST", f"/apis/batch/v1/namespaces/{release.namespace}/cronjobs"),
        ("GET", "/api/v1/nodes"),
        ("GET", "/api/v1/namespaces"),
    ):
        assert api.ask(method, path, {}, token=token).status_code == 403, f"{method} {path}"
    assert api.ask("POST", f"{jobs_inside}?dryRun=All", {**TRAIN, "metadata": {"name": "any"}}, token=token).status_code == 201


def test_no_other_role_may_anything_or_has_a_token(release: Release) -> None:
    release.install(VALUES)
    for role in ("worker", "api"):
        assert rights(release, release.cluster.api.token(release.namespace, f"{release.name}-{role}"), release.namespace) == set(), role
    mounted = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in release.running().values() if _has_token(pod)}
    assert mounted == {"controller"}


def test_without_such_a_destination_no_pod_has_a_token(release: Release) -> None:
    release.install(ROLES)
    assert not [pod for pod in release.running().values() if _has_token(pod)]
    assert not release.list("rolebindings", group="rbac.authorization.k8s.io/v1")


def rights(release: Release, token: str, namespace: str) -> set[tuple[str, str, str]]:
    """All that it may in a namespace beyond asking who it is and what it may, as (group, resource, verb)."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    found = release.cluster.api.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review, token=token).json()["status"]
    assert not found["incomplete"]
    return {
        (group, f"{resource}{':' if rule.get('resourceNames') else ''}", verb)
        for rule in found["resourceRules"]
        for group in rule["apiGroups"]
        if group not in ("authorization.k8s.io", "authentication.k8s.io")
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _has_token(pod: Mapping[str, Any]) -> bool:
    return any(
        "serviceAccountToken" in source for volume in pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", ())
    )
