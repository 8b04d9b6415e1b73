"""Every pod meets the standard `restricted`, and what else a careful cluster asks for; the Jobs of the examples too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.chart.options import every
from tests.cluster.chart.rendering import CHART, EXAMPLES, Manifest, Rendered, loaded, rendered

pytestmark = pytest.mark.server("helm")

CONFINED: Mapping[str, Any] = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
VOLUMES = frozenset({"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"})
WRITABLE = frozenset({"/var/lib/driftgate", "/tmp", "/embedders", "/cache"})  # noqa: S108 - a mount of the container


def pods() -> Iterator[tuple[Rendered, Manifest, Mapping[str, Any]]]:
    for release in every():
        for owner, pod in release.pods():
            yield release, owner, pod["spec"]


def containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def own(owner: Manifest) -> bool:
    """Made by the chart, not by a template that a user gave."""
    return "app.kubernetes.io/instance" in owner["metadata"].get("labels", {})


def test_every_pod_is_restricted() -> None:
    for _, owner, pod in pods():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), owner
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context.get("runAsUser") != 0
        assert all((set(volume) - {"name"}) <= VOLUMES for volume in pod.get("volumes", ()))
        for container in containers(pod):
            assert container["securityContext"].items() >= CONFINED.items(), (owner["kind"], container["name"])
            assert all("hostPort" not in port for port in container.get("ports", ()))


def test_nothing_but_state_and_scratch_can_be_written() -> None:
    for _, owner, pod in pods():
        for container in containers(pod) if own(owner) else ():
            open_ = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            assert open_ <= WRITABLE, (owner["metadata"]["name"], container["name"])


def test_what_a_container_takes_is_said_and_bounded() -> None:
    for _, owner, pod in pods():
        for container in containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), (owner["metadata"]["name"], container["name"])
            assert "memory" in resources["limits"]
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod.get("volumes", ()) if "emptyDir" in volume), owner["metadata"][
            "name"
        ]


def test_examples_ask_for_the_disk_that_their_pods_may_take() -> None:
    """Else the scheduler puts them where there is none, and the kubelet takes them away."""
    for example in EXAMPLES:
        for owner, pod in rendered(loaded(example)).pods():
            limits = [volume["emptyDir"]["sizeLimit"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume]
            asked = pod["spec"]["containers"][0]["resources"]["requests"].get("ephemeral-storage", "0Gi")
            if owner["kind"] != "Pod":
                assert _gibibytes(asked) >= sum(map(_gibibytes, limits)), (example.stem, owner["metadata"]["name"])


def _gibibytes(quantity: str) -> int:
    return int(quantity.removesuffix("Gi"))


def test_images_are_of_one_version() -> None:
    for _, _, pod in pods():
        for container in containers(pod):
            assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"])
            assert not container["image"].endswith(":latest")


def test_only_who_makes_jobs_is_shown_a_token() -> None:
    shown = set()
    for release, owner, pod in pods():
        assert pod["automountServiceAccountToken"] is (pod["automountServiceAccountToken"] and makes_jobs(release, owner)), owner
        if pod["automountServiceAccountToken"]:
            shown.add(owner["metadata"]["labels"]["app.kubernetes.io/component"])
    assert shown == {"serve", "controller"}
    for release in every():
        leaders = [pod["spec"] for owner, pod in release.pods() if makes_jobs(release, owner)]
        assert all(pod["automountServiceAccountToken"] for pod in leaders)
        assert all(account["automountServiceAccountToken"] is False for account in release.of("ServiceAccount"))


def makes_jobs(release: Rendered, owner: Manifest) -> bool:
    destinations = release.values.get("config", {}).get("destinations", ())
    asked = any(each["type"] == "kubernetes_job" and "token_file" not in each for each in destinations)
    return asked and owner["metadata"].get("labels", {}).get("app.kubernetes.io/component") in {"serve", "controller"}


def test_rights_are_to_jobs_and_to_nothing_else() -> None:
    for release in every():
        assert not release.of("ClusterRole", "ClusterRoleBinding")
        for role in release.of("Role"):
            assert role["rules"] == [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "patch"]}]
        if not any(makes_jobs(release, owner) for owner, _ in release.pods()):
            assert not release.of("Role", "RoleBinding")


def test_what_runs_for_good_is_watched() -> None:
    for _, owner, pod in pods():
        if owner["kind"] in {"StatefulSet", "Deployment"}:
            (container,) = pod["containers"]
            assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/healthz"
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
            started = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
            assert started >= 120


def test_drains_are_never_held_up_for_good() -> None:
    for release in every():
        for budget in release.of("PodDisruptionBudget"):
            assert "minAvailable" not in budget["spec"]
            assert budget["spec"]["maxUnavailable"] not in {0, "0%"}


def test_values_are_shown_in_no_secret_of_the_chart() -> None:
    assert not any(release.of("Secret") for release in every())


def test_policies_cover_every_pod_and_let_in_who_must() -> None:
    release = rendered({**loaded(CHART / "examples/production.yaml"), "migrate": {"enabled": True}})
    policies = {
        policy["metadata"]["name"].removeprefix("shop-driftgate").lstrip("-"): policy["spec"] for policy in release.of("NetworkPolicy")
    }
    assert policies[""].keys() == {"podSelector", "policyTypes"}
    assert "component" not in str(policies[""]["podSelector"])
    ports = {
        role: [port["port"] for rule in policy.get("egress", ()) for port in rule["ports"]] for role, policy in policies.items() if role
    }
    assert ports == {
        "worker": [53, 53, 9093, 6379],
        "controller": [53, 53, 9093, 6379, 443, 443, 6443],
        "api": [53, 53, 9093, 6379],
        "migrate": [53, 53, 6379],
    }
    enters = {role: [port["port"] for rule in policy.get("ingress", ()) for port in rule["ports"]] for role, policy in policies.items()}
    assert enters == {"": [], "worker": ["metrics"], "controller": ["metrics"], "api": ["http", "metrics"], "migrate": []}
    for policy in policies.values():
        assert all(rule["from"] for rule in policy.get("ingress", ())), "an empty `from` lets everybody in"
