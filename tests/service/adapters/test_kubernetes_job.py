"""A refresh request as a Job, against a real Kubernetes API: created once, whatever happens between two steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.adapters.kubernetes_job import Cluster, KubernetesJobDestination
from service.errors import DeliveryError
from service.records import OutboxItem
from tests.servers.kubernetes_server import KubernetesServer

TEMPLATE = """
apiVersion: batch/v1
kind: Job
metadata:
  generateName: retrain-
  labels: {team: support}
spec:
  backoffLimit: 2
  ttlSecondsAfterFinished: 3600
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: train
          image: registry.example.com/train:1.4.0
          env: [{name: EPOCHS, value: "20"}, {name: DRIFTGATE_CYCLE, value: stale}]
"""
RULES = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "patch"]}]
JOBS = "/apis/batch/v1/namespaces/models/jobs"


def asked(cycle: str, receipt: str = "") -> OutboxItem:
    event = {"specversion": "1.0", "id": cycle, "type": "io.driftgate.refresh.requested", "data": {"cycle": cycle, "monitor": "chat"}}
    return replace(OutboxItem(f"item-{cycle}", "refresh.requested", "jobs", event, created=0.0), receipt=receipt)


def unreachable(template: Path, tmp_path: Path) -> KubernetesJobDestination:
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    cluster = Cluster("https://127.0.0.1:1", tmp_path / "token", tmp_path / "ca.crt", "models")
    return KubernetesJobDestination(template, cluster)


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesServer]:
    server = KubernetesServer(tmp_path_factory.mktemp("kubernetes"))
    yield server.start()
    server.kill()


@pytest.fixture(scope="module")
def cluster(kubernetes: KubernetesServer, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    kubernetes.make("/api/v1/namespaces", {"metadata": {"name": "models"}})
    token = tmp_path_factory.mktemp("account") / "token"
    token.write_text(kubernetes.account("models", "driftgate", RULES), encoding="utf-8")
    return Cluster(kubernetes.url, token, kubernetes.ca_file, "models")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def job(kubernetes: KubernetesServer, cycle: str) -> dict[str, Any]:
    found: dict[str, Any] = kubernetes.ask("GET", f"{JOBS}/{cycle}").json()
    return found


@pytest.mark.server("kube-apiserver")
def test_a_job_is_made_suspended_and_started_once_its_uid_is_kept(kubernetes: KubernetesServer, cluster: Cluster, template: Path) -> None:
    destination = KubernetesJobDestination(template, cluster)
    uid = destination.deliver(asked("aa01"), now=0.0)
    made = job(kubernetes, "aa01")
    assert (made["metadata"]["uid"], made["spec"]["suspend"]) == (uid, True)
    assert made["metadata"]["labels"] | {"team": "support", "app.kubernetes.io/managed-by": "driftgate"} == made["metadata"]["labels"]
    told = {entry["name"]: entry["value"] for entry in made["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (told["EPOCHS"], told["DRIFTGATE_CYCLE"], told["DRIFTGATE_MONITOR"]) == ("20", "aa01", "chat")
    assert json.loads(told["DRIFTGATE_EVENT"]) == asked("aa01").payload
    assert destination.deliver(asked("aa01"), now=1.0) == uid, "killed before the UID was kept: the same Job is found"
    assert destination.deliver(asked("aa01", str(uid)), now=2.0) is None
    assert job(kubernetes, "aa01")["spec"]["suspend"] is False
    assert destination.deliver(asked("aa01", str(uid)), now=3.0) is None, "killed before it was settled: started again is no harm"


@pytest.mark.server("kube-apiserver")
def test_a_job_that_ended_and_was_removed_is_not_made_again(kubernetes: KubernetesServer, cluster: Cluster, template: Path) -> None:
    destination = KubernetesJobDestination(template, cluster)
    uid = destination.deliver(asked("aa02"), now=0.0)
    assert destination.deliver(asked("aa02", str(uid)), now=0.0) is None
    assert kubernetes.ask("DELETE", f"{JOBS}/aa02?propagationPolicy=Background").is_success
    assert destination.deliver(asked("aa02", str(uid)), now=1.0) is None
    assert kubernetes.ask("GET", f"{JOBS}/aa02").status_code == 404


@pytest.mark.server("kube-apiserver")
def test_a_job_of_that_name_that_is_not_ours_is_left_alone(kubernetes: KubernetesServer, cluster: Cluster, template: Path) -> None:
    destination = KubernetesJobDestination(template, cluster)
    destination.deliver(asked("aa03"), now=0.0)
    assert destination.deliver(asked("aa03", "another-uid"), now=0.0) is None
    assert job(kubernetes, "aa03")["spec"]["suspend"] is True


@pytest.mark.server("kube-apiserver")
def test_an_account_that_may_not_is_told_and_tried_again(kubernetes: KubernetesServer, cluster: Cluster, template: Path) -> None:
    with pytest.raises(DeliveryError, match=r"403 .*cannot create resource") as refused:
        KubernetesJobDestination(template, replace(cluster, namespace="default")).deliver(asked("aa04"), now=0.0)
    assert refused.value.retryable
    assert kubernetes.ask("GET", f"{JOBS.replace('models', 'default')}/aa04").status_code == 404


@pytest.mark.server("kube-apiserver")
def test_a_template_that_the_api_refuses_says_what_is_wrong(cluster: Cluster, template: Path) -> None:
    template.write_text(TEMPLATE.replace("restartPolicy: Never", "restartPolicy: Always"), encoding="utf-8")
    with pytest.raises(DeliveryError, match=r"422 .*restartPolicy") as refused:
        KubernetesJobDestination(template, cluster).deliver(asked("aa05"), now=0.0)
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod", "not a `kind: Job`"),
        ("apiVersion: batch/v1\nkind: Job\nspec: {}", "no spec.template.spec.containers"),
        ("apiVersion: [", "can't be read"),
        ("apiVersion: batch/v1\nkind: Job\nmetadata: [a]\nspec: {template: {spec: {containers: [{}]}}}", "metadata and its labels"),
        ("apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [{env: [DEBUG]}]}}}", "no spec.template.spec.containers"),
        ("apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: {name: a}}}}", "no spec.template.spec.containers"),
    ],
)
def test_a_template_that_is_no_job_is_named(tmp_path: Path, text: str, words: str) -> None:
    template = tmp_path / "job.yaml"
    template.write_text(text, encoding="utf-8")
    with pytest.raises(DeliveryError, match=words):
        unreachable(template, tmp_path)._job("aa", asked("aa"))


def test_what_is_told_names_no_other_variable(template: Path, tmp_path: Path) -> None:
    """Kubernetes puts variables in the place of $(NAME), and one $ in the place of two."""
    event = asked("aa")
    event = replace(event, payload={**event.payload, "data": {"monitor": "$(TOKEN)", "labels": {"$5 fee": 1}}})
    job = unreachable(template, tmp_path)._job("aa", event)
    told = {entry["name"]: entry["value"] for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert told["DRIFTGATE_MONITOR"] == "$$(TOKEN)"
    assert json.loads(told["DRIFTGATE_EVENT"].replace("$$", "$")) == event.payload


def test_other_events_are_no_business_of_jobs(template: Path, tmp_path: Path) -> None:
    assert unreachable(template, tmp_path).deliver(replace(asked("aa"), kind="refresh.promoted"), now=0.0) is None
