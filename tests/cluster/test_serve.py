"""Mode serve in a real cluster that takes restricted pods alone: installed, changed, taken back and removed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.release import SERVE, Release
from tests.servers.kubernetes_server import until

pytestmark = pytest.mark.server("kubernetes")

CLAIM = f"state-{Release.name}-0"
MONITOR = {"name": "chat", "embedder": {"input": "none", "dimension": 8}}


def configured(**config: Any) -> dict[str, Any]:
    return {**SERVE, "config": config}


def test_the_namespace_refuses_what_is_not_restricted(release: Release) -> None:
    """Or nothing here would prove anything."""
    pod = {"metadata": {"name": "free"}, "spec": {"containers": [{"name": "a", "image": "example.com/a:1"}]}}
    refused = release.ask("POST", "pods", pod)
    assert refused.status_code == 403
    assert "violates PodSecurity" in refused.json()["message"]


def test_installed_it_is_one_pod_with_a_volume(release: Release) -> None:
    said = release.install(SERVE)
    assert release.name in said
    assert list(release.pods()) == [f"{release.name}-0"]
    assert release.get(f"persistentvolumeclaims/{CLAIM}")["status"]["phase"] == "Bound"
    endpoints = release.list("endpointslices?labelSelector=kubernetes.io/service-name=" + release.name, group="discovery.k8s.io/v1")
    [found] = endpoints.values()
    assert [(one["name"], one["port"]) for one in found["ports"]] == [("http", 8080)]
    assert len(found["endpoints"]) == 1


def test_only_what_is_read_at_a_start_restarts_the_pod(release: Release) -> None:
    release.install(SERVE)
    first = release.pods()
    release.upgrade(configured(monitors=[MONITOR]))
    assert "chat" in release.get(f"configmaps/{release.name}")["data"]["driftgate.yaml"]
    assert release.pods() == first, "monitors are followed by the running process"
    release.upgrade(configured(monitors=[MONITOR], server={"max_body_bytes": 1_000_000}))
    second = release.pods()
    assert list(second) == list(first)
    assert second != first
    release.upgrade(configured(monitors=[MONITOR], server={"max_body_bytes": 1_000_000}))
    assert release.pods() == second, "nothing changed"


def test_a_rollback_brings_the_former_configuration_and_keeps_the_volume(release: Release) -> None:
    release.install(SERVE)
    volume = release.get(f"persistentvolumeclaims/{CLAIM}")["spec"]["volumeName"]
    release.upgrade({**configured(server={"max_body_bytes": 1_000_000}), "image": {"tag": "9.9.9"}})
    changed = release.pods()
    release.helm("rollback", "shop", "1", "--wait", "--timeout", "90s")
    pod = release.get(f"pods/{release.name}-0")
    assert pod["metadata"]["uid"] not in changed.values()
    assert not pod["spec"]["containers"][0]["image"].endswith(":9.9.9")
    assert "max_body_bytes" not in release.get(f"configmaps/{release.name}")["data"]["driftgate.yaml"]
    assert release.get(f"persistentvolumeclaims/{CLAIM}")["spec"]["volumeName"] == volume


def test_an_upgrade_that_never_gets_ready_fails_and_is_taken_back(release: Release) -> None:
    release.install(SERVE)
    never = {**SERVE, "podAnnotations": {"tests.driftgate.io/ready": "false"}}
    assert "UPGRADE FAILED" in release.upgrade(never, flags=["--timeout", "5s"], code=1)
    assert release.helm("status", "shop", "--output", "yaml").count("status: failed") == 1
    release.helm("rollback", "shop", "--wait", "--timeout", "90s")
    release.until_ready("serve", 1)


@pytest.mark.parametrize("retain", [True, False])
def test_uninstalled_nothing_stays_but_a_claim_that_is_to_stay(release: Release, retain: bool) -> None:
    release.install({**SERVE, "persistence": {"retain": retain}})
    release.helm("uninstall", "shop", "--wait", "--timeout", "90s")
    until(lambda: not release.pods(), what="the end of the pod")
    assert [name for name in release.list("configmaps") if name != "kube-root-ca.crt"] == []
    assert list(release.list("serviceaccounts")) == ["default"]
    assert list(release.list("secrets")) == ["driftgate"], "the Secret is not the release's"
    until(lambda: list(release.list("persistentvolumeclaims")) == ([CLAIM] if retain else []), what="the claim's end")


def test_installed_again_it_finds_its_volume(release: Release) -> None:
    release.install(SERVE)
    volume = release.get(f"persistentvolumeclaims/{CLAIM}")["spec"]["volumeName"]
    release.helm("uninstall", "shop", "--wait", "--timeout", "90s")
    release.install(SERVE)
    assert release.get(f"persistentvolumeclaims/{CLAIM}")["spec"]["volumeName"] == volume
    release.until_ready("serve", 1)
