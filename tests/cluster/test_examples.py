"""Every example as the cluster takes it: admitted, every field known, no warning of the standard `restricted`; then for real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.release import EXAMPLES, Release, is_ready
from tests.servers.kubernetes_server import STORAGE_CLASS

pytestmark = pytest.mark.server("kubernetes")

EACH = pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
OURS = {"persistence": {"storageClassName": STORAGE_CLASS}}
"""What each cluster has of its own."""


@EACH
def test_the_api_server_takes_all_of_it(release: Release, example: Path) -> None:
    taken = set()
    for manifest in release.manifests(example):
        path = f"{_collection(release, manifest)}?dryRun=All&fieldValidation=Strict"
        response = release.cluster.api.ask("POST", path, manifest)
        assert response.is_success, f"{manifest['kind']}: {response.text}"
        assert "warning" not in response.headers, f"{manifest['kind']}: {response.headers['warning']}"
        taken.add(manifest["kind"])
    assert taken >= {"ConfigMap", "Service", "ServiceAccount"}


@EACH
def test_it_is_installed_and_changed(release: Release, example: Path) -> None:
    """With KEDA and without it; a release of one pod has none."""
    values = yaml.safe_load(example.read_text(encoding="utf-8"))
    _rank(release, values)
    release.install(example, OURS)
    scaled = values.get("worker", {}).get("keda", {}).get("enabled", False)
    assert bool(release.list("scaledobjects", group="keda.sh/v1alpha1")) == scaled
    if values.get("mode") == "roles":
        release.upgrade(example, OURS, {"worker": {"keda": {"enabled": not scaled}}})
        assert bool(release.list("scaledobjects", group="keda.sh/v1alpha1")) != scaled
    assert all(map(is_ready, release.running().values()))


def _rank(release: Release, values: Mapping[str, Any]) -> None:
    """The priority classes that it names are the cluster's own."""
    named = {part["priorityClassName"] for part in (values, *values.values()) if isinstance(part, dict) and part.get("priorityClassName")}
    for name in named:
        release.cluster.api.make("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": name}, "value": 1_000})


def _collection(release: Release, manifest: Mapping[str, Any]) -> str:
    version = manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    [plural] = _plurals(release, root, manifest["kind"])
    namespace = manifest["metadata"].get("namespace", release.namespace)
    return f"{root}/namespaces/{namespace}/{plural}"


def _plurals(release: Release, root: str, kind: str) -> Iterator[str]:
    for resource in release.cluster.api.ask("GET", root).json()["resources"]:
        if resource["kind"] == kind and "/" not in resource["name"]:
            yield resource["name"]
