"""The Job of docs/backup.md, in a namespace that takes restricted pods alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.architecture.blocks import ROOT, blocks
from tests.cluster.release import SERVE, Release
from tests.servers.kubernetes_server import until

pytestmark = pytest.mark.server("kubernetes")


def shown(title: str) -> Any:
    [block] = [block for block in blocks(ROOT / "docs" / "backup.md") if block.title == title]
    return yaml.safe_load(block.text)


def test_a_backup_is_put_back_by_a_job_while_no_pod_runs(release: Release) -> None:
    named = {**SERVE, "fullnameOverride": "driftgate"}
    claim = {"metadata": {"name": "backups"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    release.cluster.api.make(f"/api/v1/namespaces/{release.namespace}/persistentvolumeclaims", claim)
    release.install({**named, **shown("values.yaml")})
    [pod] = release.running("serve").values()
    assert {"name": "backups", "mountPath": "/backups"} in pod["spec"]["containers"][0]["volumeMounts"]

    release.cluster.api.patch(f"/apis/apps/v1/namespaces/{release.namespace}/statefulsets/driftgate", {"spec": {"replicas": 0}})
    until(lambda: not release.pods(), what="the end of the pod")
    made = release.ask("POST", "jobs?fieldValidation=Strict", shown("restore.yaml"), group="batch/v1")
    assert made.is_success, made.text
    assert "warning" not in made.headers, made.headers["warning"]
    until(lambda: release.get("jobs/driftgate-restore", group="batch/v1").get("status", {}).get("succeeded") == 1, what="the Job's end")
    release.upgrade({**named, **shown("values.yaml")})
    release.until_ready("serve", 1)
