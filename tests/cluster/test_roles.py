"""Mode roles in a real cluster that takes restricted pods alone: installed, scaled, changed, drained and taken back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.cluster.release import ROLES, Release, is_ready
from tests.servers.kubernetes_server import NODES, KubernetesCluster, until

pytestmark = pytest.mark.server("kubernetes")

WORKER, CONTROLLER, API = (f"{Release.name}-{role}" for role in ("worker", "controller", "api"))


def roles(**values: Any) -> Mapping[str, Any]:
    return {**ROLES, **values}


def configured(**config: Any) -> Mapping[str, Any]:
    return roles(config={**ROLES["config"], **config})


@contextmanager
def full(cluster: KubernetesCluster) -> Iterator[None]:
    """No node takes another pod."""
    _schedulable(cluster, refused=True)
    try:
        yield
    finally:
        _schedulable(cluster, refused=False)


def _schedulable(cluster: KubernetesCluster, *, refused: bool) -> None:
    for node in NODES:
        cluster.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": refused}})


def test_installed_each_role_has_its_pods_over_the_zones(release: Release) -> None:
    release.install(ROLES)
    assert [len(release.pods(role)) for role in ("worker", "controller", "api")] == [2, 2, 2]
    assert list(release.pods("worker")) == [f"{WORKER}-0", f"{WORKER}-1"]
    for role in ("worker", "controller", "api"):
        nodes = {pod["spec"]["nodeName"] for pod in release.running(role).values()}
        assert len(nodes) == 2, role
    assert release.get(f"persistentvolumeclaims/{release.name}")["status"]["phase"] == "Bound"


def test_only_what_is_read_at_a_start_restarts_pods(release: Release) -> None:
    release.install(ROLES)
    first = release.pods()
    release.upgrade(configured(monitors=[{"name": "chat", "embedder": {"input": "none", "dimension": 8}}]))
    assert release.pods() == first, "monitors are followed by the running processes"
    release.upgrade(configured(roles={"lease_seconds": 20}))
    second = release.pods()
    assert not set(first.values()) & set(second.values())
    assert {f"{WORKER}-0", f"{WORKER}-1"} <= set(second)


def test_a_rollback_brings_all_roles_back(release: Release) -> None:
    release.install(ROLES)
    release.upgrade(roles(image={"tag": "9.9.9"}, worker={"replicas": 3}))
    assert len(release.pods("worker")) == 3
    release.helm("rollback", "shop", "1", "--wait", "--timeout", "90s")
    release.until_ready("worker", 2)
    images = {pod["spec"]["containers"][0]["image"] for pod in release.running().values()}
    assert len(images) == 1
    assert not images.pop().endswith(":9.9.9")


def test_an_upgrade_that_never_gets_ready_takes_no_role_away(release: Release) -> None:
    release.install(ROLES)
    never = roles(podAnnotations={"tests.driftgate.io/ready": "false"})
    release.upgrade(never, flags=["--timeout", "5s"], code=1)
    ready = [pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in release.running().values() if is_ready(pod)]
    assert [ready.count(role) for role in ("controller", "api")] == [2, 2]
    assert ready.count("worker") >= 1
    release.helm("rollback", "shop", "--wait", "--timeout", "90s")
    release.until_ready("worker", 2)


def test_the_step_without_a_way_back_is_taken_where_it_is_asked_for(release: Release) -> None:
    """In the image of that name every Job fails, and everything else works."""
    release.install(ROLES)
    release.upgrade(roles(migrate={"enabled": True}))
    assert release.list("jobs", group="batch/v1") == {}, "it has ended well"
    said = release.upgrade(roles(migrate={"enabled": True}, image={"tag": "fails"}), code=1)
    assert "post-upgrade hooks failed" in said
    assert [len(release.pods(role)) for role in ("worker", "controller", "api")] == [2, 2, 2]
    release.upgrade(roles(image={"tag": "fails"}))
    assert all(map(is_ready, release.running().values()))


def test_uninstalled_nothing_stays_but_the_claim(release: Release) -> None:
    release.install(ROLES)
    release.helm("uninstall", "shop", "--wait", "--timeout", "90s")
    until(lambda: not release.pods(), what="the end of pods")
    assert list(release.list("persistentvolumeclaims")) == [release.name]
    assert list(release.list("serviceaccounts")) == ["default"]
    release.install(ROLES)
    assert release.get(f"persistentvolumeclaims/{release.name}")["status"]["phase"] == "Bound"


def test_a_single_replica_can_be_drained(release: Release) -> None:
    release.install(roles(worker={"replicas": 1}, controller={"replicas": 1}, api={"replicas": 1}))
    for role in ("worker", "controller", "api"):
        [(pod, uid)] = release.pods(role).items()
        until(partial(_allowed, release, role), what="the budget")
        assert release.evict(pod).status_code == 201, role
        until(partial(_replaced, release, role, uid), what="another pod")
        release.until_ready(role, 1)


def _replaced(release: Release, role: str, uid: str) -> bool:
    return bool(left := release.pods(role)) and uid not in left.values()


def test_one_pod_of_a_role_is_away_at_a_time(release: Release, cluster: KubernetesCluster) -> None:
    release.install(ROLES)
    for role in ("worker", "controller", "api"):
        until(partial(_allowed, release, role), what="the budget")
        first, second = release.pods(role)
        with full(cluster):
            assert release.evict(first).status_code == 201
            refused = release.evict(second)
            assert refused.status_code == 429, role
            assert "disruption budget" in refused.text
        release.until_ready(role, 2)


def _allowed(release: Release, role: str) -> int:
    found = release.get(f"poddisruptionbudgets/{release.name}-{role}", group="policy/v1")
    return int(found.get("status", {}).get("disruptionsAllowed", 0))


def test_who_scales_is_not_overruled_by_an_upgrade(release: Release) -> None:
    """As KEDA and the HPA scale, who are not here: nobody else would mend a wrong number."""
    scaled = roles(worker={"keda": {"enabled": True}}, api={"autoscaling": {"enabled": True}})
    release.install(roles(worker={"replicas": 3}, api={"replicas": 3}))
    release.upgrade(scaled)
    assert set(release.list("scaledobjects", group="keda.sh/v1alpha1")) == {WORKER}
    assert set(release.list("horizontalpodautoscalers", group="autoscaling/v2")) == {API}
    assert [len(release.pods(role)) for role in ("worker", "api")] == [3, 3], "turned on, it starts from what there is"
    scale(release, f"statefulsets/{WORKER}", 5)
    scale(release, f"deployments/{API}", 4)
    release.upgrade(scaled, {"podAnnotations": {"changed": "yes"}})
    assert [len(release.pods(role)) for role in ("worker", "api")] == [5, 4]


def scale(release: Release, workload: str, replicas: int) -> None:
    path = f"/apis/apps/v1/namespaces/{release.namespace}/{workload}"
    release.cluster.api.patch(path, {"spec": {"replicas": replicas}})


def test_helm_test_ends(release: Release) -> None:
    release.install(ROLES)
    assert "Phase:          Succeeded" in release.helm("test", "shop", "--timeout", "60s")
