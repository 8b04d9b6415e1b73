"""A refresh request as a Job, against a real Kubernetes API: created once, whatever happens between two steps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.adapters.kubernetes_job import Cluster, KubernetesJobDestination
from service.errors import DeliveryError
from tests.servers.kubernetes_server import KubernetesCluster
from tests.service.refresh_job import TEMPLATE, asked

pytestmark = pytest.mark.server("kubernetes")

RULES = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "patch"]}]
JOBS = "/apis/batch/v1/namespaces/models/jobs"


@pytest.fixture(scope="module")
def account(cluster: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    cluster.api.make("/api/v1/namespaces", {"metadata": {"name": "models"}})
    token = tmp_path_factory.mktemp("account") / "token"
    token.write_text(cluster.api.account("models", "driftgate", RULES), encoding="utf-8")
    return Cluster(cluster.api.url, token, cluster.api.ca_file, "models")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def job(cluster: KubernetesCluster, cycle: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.api.ask("GET", f"{JOBS}/{cycle}").json()
    return found


def test_a_job_is_made_suspended_and_started_once_its_uid_is_kept(cluster: KubernetesCluster, account: Cluster, template: Path) -> None:
    destination = KubernetesJobDestination(template, account)
    uid = destination.deliver(asked("aa01"), now=0.0)
    made = job(cluster, "aa01")
    assert (made["metadata"]["uid"], made["spec"]["suspend"]) == (uid, True)
    assert made["metadata"]["labels"] | {"team": "support", "app.kubernetes.io/managed-by": "driftgate"} == made["metadata"]["labels"]
    told = {entry["name"]: entry["value"] for entry in made["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (told["EPOCHS"], told["DRIFTGATE_CYCLE"], told["DRIFTGATE_MONITOR"]) == ("20", "aa01", "chat")
    assert json.loads(told["DRIFTGATE_EVENT"]) == asked("aa01").payload
    assert destination.deliver(asked("aa01"), now=1.0) == uid, "killed before the UID was kept: the same Job is found"
    assert destination.deliver(asked("aa01", str(uid)), now=2.0) is None
    assert job(cluster, "aa01")["spec"]["suspend"] is False
    assert destination.deliver(asked("aa01", str(uid)), now=3.0) is None, "killed before it was settled: started again is no harm"


def test_a_job_that_ended_and_was_removed_is_not_made_again(cluster: KubernetesCluster, account: Cluster, template: Path) -> None:
    destination = KubernetesJobDestination(template, account)
    uid = destination.deliver(asked("aa02"), now=0.0)
    assert destination.deliver(asked("aa02", str(uid)), now=0.0) is None
    assert cluster.api.ask("DELETE", f"{JOBS}/aa02?propagationPolicy=Background").is_success
    assert destination.deliver(asked("aa02", str(uid)), now=1.0) is None
    assert cluster.api.ask("GET", f"{JOBS}/aa02").status_code == 404


def test_a_job_of_that_name_that_is_not_ours_is_left_alone(cluster: KubernetesCluster, account: Cluster, template: Path) -> None:
    destination = KubernetesJobDestination(template, account)
    destination.deliver(asked("aa03"), now=0.0)
    assert destination.deliver(asked("aa03", "another-uid"), now=0.0) is None
    assert job(cluster, "aa03")["spec"]["suspend"] is True


def test_an_account_that_may_not_is_told_and_tried_again(cluster: KubernetesCluster, account: Cluster, template: Path) -> None:
    with pytest.raises(DeliveryError, match=r"403 .*cannot create resource") as refused:
        KubernetesJobDestination(template, replace(account, namespace="default")).deliver(asked("aa04"), now=0.0)
    assert refused.value.retryable
    assert cluster.api.ask("GET", f"{JOBS.replace('models', 'default')}/aa04").status_code == 404


def test_a_template_that_the_api_refuses_says_what_is_wrong(account: Cluster, template: Path) -> None:
    template.write_text(TEMPLATE.replace("restartPolicy: Never", "restartPolicy: Always"), encoding="utf-8")
    with pytest.raises(DeliveryError, match=r"422 .*restartPolicy") as refused:
        KubernetesJobDestination(template, account).deliver(asked("aa05"), now=0.0)
    assert not refused.value.retryable
