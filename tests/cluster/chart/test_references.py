"""Whatever one object names in another is there: accounts, configuration, claims, ports, the pods that a selector means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.chart.options import every
from tests.cluster.chart.rendering import NAMESPACE, Manifest, Rendered

pytestmark = pytest.mark.server("helm")

SCALED = {"HorizontalPodAutoscaler": "scaleTargetRef", "ScaledObject": "scaleTargetRef"}


def names(release: Rendered, *kinds: str) -> set[str]:
    return {str(manifest["metadata"]["name"]) for manifest in release.of(*kinds)}


def given(values: Mapping[str, Any], *path: str) -> set[str]:
    """What the values name of the cluster's own."""
    found: Any = values
    for name in path:
        found = found.get(name, {})
    return {found} if found else set()


def labels(pod: Manifest) -> Mapping[str, str]:
    found: Mapping[str, str] = pod.get("metadata", {}).get("labels", {})
    return found


def selected(release: Rendered, wanted: Mapping[str, str]) -> list[tuple[Manifest, Manifest]]:
    """The pods that carry these labels."""
    return [(owner, pod) for owner, pod in release.pods() if wanted.items() <= labels(pod).items()]


def ports(pod: Manifest) -> set[str]:
    return {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", ())}


def test_names_are_there_once() -> None:
    for release in every():
        found = Counter(
            (manifest["kind"], manifest["metadata"].get("namespace", NAMESPACE), manifest["metadata"]["name"])
            for manifest in release.manifests
        )
        assert max(found.values()) == 1
        assert all(len(name) <= 63 for _, _, name in found)


def test_workloads_select_their_own_pods_and_no_others() -> None:
    for release in every():
        for owner in release.of("StatefulSet", "Deployment"):
            (found,) = selected(release, owner["spec"]["selector"]["matchLabels"])
            assert found[0] is owner
        for owner in release.of("StatefulSet"):
            assert owner["spec"]["serviceName"] in names(release, "Service")


def test_pods_mount_what_is_there() -> None:
    for release in every():
        for owner, pod in release.pods():
            if "app.kubernetes.io/instance" in labels(pod):
                _mounted(release, owner, pod["spec"])


def _mounted(release: Rendered, owner: Manifest, pod: Mapping[str, Any]) -> None:
    values = release.values
    claimed = {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", ())}
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert len(volumes) == len(pod["volumes"]), "a name twice"
    assert not volumes & claimed
    mounted = {mount["name"] for container in _containers(pod) for mount in container["volumeMounts"]}
    assert mounted <= volumes | claimed, owner["metadata"]["name"]
    for container in _containers(pod):
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(paths) == len(set(paths))
    maps = names(release, "ConfigMap") | given(values, "caBundle", "configMap")
    component = owner["metadata"]["labels"].get("app.kubernetes.io/component", "tests")
    secrets = (given(values, component, "existingSecret") or given(values, "existingSecret")) | given(values, "caBundle", "secret")
    claims = (
        names(release, "PersistentVolumeClaim") | given(values, "persistence", "existingClaim") | given(values, "models", "existingClaim")
    )
    claims |= {f"state-{each['metadata']['name']}-0" for each in release.of("StatefulSet") if each["spec"].get("volumeClaimTemplates")}
    for volume in pod["volumes"]:
        assert {volume.get("configMap", {}).get("name")} <= {None, *maps}
        assert {volume.get("secret", {}).get("secretName")} <= {None, *secrets}
        assert {volume.get("persistentVolumeClaim", {}).get("claimName")} <= {None, *claims}
    accounts = names(release, "ServiceAccount") or given(values, "serviceAccount", "name")
    assert pod["serviceAccountName"] in accounts


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def test_keys_of_configuration_are_there() -> None:
    for release in every():
        maps = {found["metadata"]["name"]: found["data"].keys() for found in release.of("ConfigMap")}
        for _, pod in release.pods():
            for volume in pod["spec"].get("volumes", ()):
                source = volume.get("configMap", {})
                if source.get("name") in maps:
                    assert {item["key"] for item in source.get("items", ())} <= maps[source["name"]]


def test_probes_and_services_name_ports_that_are_open() -> None:
    for release in every():
        for _, pod in release.pods():
            for container in pod["spec"]["containers"]:
                probes = [container[name]["httpGet"]["port"] for name in container if name.endswith("Probe")]
                assert set(probes) <= ports(pod)
        for service in release.of("Service"):
            found = selected(release, service["spec"]["selector"])
            assert found
            for _, pod in found:
                missing = {port["targetPort"] for port in service["spec"]["ports"]} - ports(pod)
                assert not missing or labels(pod)["app.kubernetes.io/component"] == "migrate"


def test_helm_test_asks_the_service_with_the_token() -> None:
    """In the clusters of the tests every pod that ends ends well, whatever it runs: what it is told is seen here."""
    asked = 0
    for release in every():
        for pod in release.of("Pod"):
            (container,) = pod["spec"]["containers"]
            told = {each["name"]: each["value"] for each in container["env"]}
            host, _, port = told["URL"].removeprefix("http://").partition(":")
            service = release.named("Service", host)
            assert {int(port)} == {each["port"] for each in service["spec"]["ports"] if each["targetPort"] == "http"}
            (mount,) = container["volumeMounts"]
            (volume,) = (each for each in pod["spec"]["volumes"] if each["name"] == mount["name"])
            assert volume["secret"]["secretName"] == release.values["existingSecret"]
            assert told["TOKEN_FILE"] == f"{mount['mountPath']}/ingest-token"
            doctor = pod["spec"]["initContainers"][-1]
            assert doctor["args"][0] == "doctor"
            assert "--exit-zero" not in doctor["args"]
            asked += 1
    assert asked


def test_the_ingress_leads_to_the_service() -> None:
    for release in every():
        for ingress in release.of("Ingress"):
            for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
                service = release.named("Service", path["backend"]["service"]["name"])
                assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
            hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
            assert all(set(tls["hosts"]) == hosts and tls["secretName"] for tls in ingress["spec"].get("tls", ()))


def test_autoscalers_and_budgets_mean_something() -> None:
    for release in every():
        for manifest in release.of(*SCALED):
            target = manifest["spec"]["scaleTargetRef"]
            owner = release.named(target["kind"], target["name"])
            assert "replicas" not in owner["spec"], "an upgrade would set it back"
        for budget in release.of("PodDisruptionBudget"):
            assert len(selected(release, budget["spec"]["selector"]["matchLabels"])) == 1


def test_policies_select_pods_and_name_their_ports() -> None:
    for release in every():
        for policy in release.of("NetworkPolicy"):
            found = [pod for _, pod in selected(release, policy["spec"]["podSelector"]["matchLabels"])]
            assert found or labels(policy)["app.kubernetes.io/component"] == "migrate"
            for port in (port for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]):
                assert all(port["port"] in ports(pod) for pod in found)
        if release.of("NetworkPolicy"):
            assert all(_covered(release, pod) for _, pod in release.pods() if "app.kubernetes.io/component" in labels(pod))


def _covered(release: Rendered, pod: Manifest) -> bool:
    """By the one that refuses everything, and by one of its own."""
    fitting = [each for each in release.of("NetworkPolicy") if each["spec"]["podSelector"]["matchLabels"].items() <= labels(pod).items()]
    return len(fitting) == 2


def test_monitors_find_every_pod_that_stays() -> None:
    for release in every():
        lasting = [pod for owner, pod in release.pods() if owner["kind"] in {"StatefulSet", "Deployment"}]
        for monitor in release.of("ServiceMonitor"):
            wanted = monitor["spec"]["selector"]["matchLabels"].items()
            (service,) = [each for each in release.of("Service") if wanted <= labels(each).items()]
            assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
            assert all(service["spec"]["selector"].items() <= labels(pod).items() for pod in lasting)
        for monitor in release.of("PodMonitor"):
            assert all(monitor["spec"]["selector"]["matchLabels"].items() <= labels(pod).items() for pod in lasting)
            assert all(endpoint["port"] in ports(pod) for endpoint in monitor["spec"]["podMetricsEndpoints"] for pod in lasting)
        for endpoint in _endpoints(release):
            assert endpoint["authorization"]["credentials"] == {"name": release.values["existingSecret"], "key": "metrics-token"}
            assert {"action": "replace", "targetLabel": "job", "replacement": "driftgate"} in endpoint["relabelings"]


def _endpoints(release: Rendered) -> Iterator[Mapping[str, Any]]:
    for monitor in release.of("ServiceMonitor", "PodMonitor"):
        yield from monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]


def test_rights_are_given_to_an_account_that_is_there() -> None:
    bound = 0
    for release in every():
        for binding in release.of("RoleBinding"):
            bound += 1
            roles = [role for role in release.of("Role") if role["metadata"]["namespace"] == binding["metadata"]["namespace"]]
            assert binding["roleRef"]["name"] in {role["metadata"]["name"] for role in roles}
            (subject,) = binding["subjects"]
            deciders = {
                pod["spec"]["serviceAccountName"]
                for _, pod in release.pods()
                if labels(pod).get("app.kubernetes.io/component") in {"serve", "controller"}
            }
            assert {subject["name"]} == deciders
            assert subject["namespace"] == NAMESPACE
    assert bound


def test_job_templates_are_where_the_configuration_looks_for_them() -> None:
    for release in every():
        jobs = {f"/etc/driftgate/jobs/{job['metadata']['name']}" for job in release.jobs()}
        asked = {each["template"] for each in release.values.get("config", {}).get("destinations", ()) if each["type"] == "kubernetes_job"}
        assert asked <= jobs
        for owner, pod in release.pods():
            if labels(owner).get("app.kubernetes.io/component") in {"serve", "controller"} and jobs:
                assert "/etc/driftgate/jobs" in {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
