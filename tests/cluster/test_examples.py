"""Every example's objects as the API server takes them: admitted, every field known, and no warning of the standard `restricted`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.release import EXAMPLES, Release

pytestmark = pytest.mark.server("kubernetes")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_takes_all_of_it(release: Release, example: Path) -> None:
    taken = set()
    for manifest in release.manifests(example):
        path = f"{_collection(release, manifest)}?dryRun=All&fieldValidation=Strict"
        response = release.cluster.api.ask("POST", path, manifest)
        assert response.is_success, f"{manifest['kind']}: {response.text}"
        assert "warning" not in response.headers, f"{manifest['kind']}: {response.headers['warning']}"
        taken.add(manifest["kind"])
    assert taken >= {"ConfigMap", "Service", "ServiceAccount"}


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
