"""From the chart's first version to this one, by the steps of docs/upgrading.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import history
from tests.cluster.release import SERVE, Release, is_ready
from tests.servers.kubernetes_server import until

FORMER = "aaacbe6e8423f488af6f209bf5fec34dd2a67176"
"""The last commit with version 0.1.0 of the chart: the commit of a tag, once there is one."""

RESOURCES: Mapping[str, Any] = {"requests": {"cpu": "1", "memory": "1Gi"}}
CLAIM = f"state-{Release.name}-0"


pytestmark = [
    pytest.mark.server("kubernetes"),
    pytest.mark.skipif(not history.has(FORMER), reason="a shallow clone: git fetch --unshallow"),
]


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The chart as it was."""
    history.unpack(FORMER, tmp_path / "former", "helm/driftgate")
    return tmp_path / "former" / "helm" / "driftgate"


def test_the_volume_is_found_again(release: Release, former: Path) -> None:
    given = ["--set", "existingSecret=driftgate,resources.requests.cpu=1,resources.requests.memory=1Gi"]
    release.helm("install", "shop", str(former), *given, "--wait", "--timeout", "90s")
    volume = release.get(f"persistentvolumeclaims/{CLAIM}")["spec"]["volumeName"]
    assert "resources" in release.upgrade({**SERVE, "resources": RESOURCES}, code=1), "values of before are refused"
    values = {**SERVE, "serve": {"resources": RESOURCES}}
    assert "updates to statefulset spec" in release.upgrade(values, code=1), "or nothing else were needed"

    found = release.get(f"statefulsets/{release.name}", group="apps/v1")
    assert found["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
    assert release.ask("DELETE", f"statefulsets/{release.name}?propagationPolicy=Background", group="apps/v1").is_success
    until(lambda: not release.pods(), what="the end of the pod")
    release.upgrade(values)

    claim = release.get(f"persistentvolumeclaims/{CLAIM}")
    assert claim["spec"]["volumeName"] == volume
    assert "deletionTimestamp" not in claim["metadata"]
    [(name, pod)] = release.running("serve").items()
    assert name == f"{release.name}-0"
    assert is_ready(pod)
    state = next(each for each in pod["spec"]["volumes"] if each["name"] == "state")
    assert state["persistentVolumeClaim"]["claimName"] == CLAIM


def test_a_volume_that_would_go_with_it_is_kept_by_the_former_chart_first(release: Release, former: Path) -> None:
    given = [str(former), "--set", "existingSecret=driftgate", "--wait", "--timeout", "90s"]
    release.helm("install", "shop", *given, "--set", "persistence.retain=false")
    release.helm("upgrade", "shop", *given, "--set", "persistence.retain=true")
    assert release.ask("DELETE", f"statefulsets/{release.name}?propagationPolicy=Background", group="apps/v1").is_success
    until(lambda: not release.pods(), what="the end of the pod")
    release.upgrade(SERVE)
    assert "deletionTimestamp" not in release.get(f"persistentvolumeclaims/{CLAIM}")["metadata"]
