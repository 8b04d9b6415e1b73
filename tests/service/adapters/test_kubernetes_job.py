"""A refresh request as a Job: what its template may be, what its containers are told. Against a real API: tests/cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.kubernetes_job import Cluster, KubernetesJobDestination
from service.errors import DeliveryError
from tests.service.refresh_job import TEMPLATE, asked


def unreachable(template: Path, tmp_path: Path) -> KubernetesJobDestination:
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    return KubernetesJobDestination(template, Cluster("https://127.0.0.1:1", tmp_path / "token", tmp_path / "ca.crt", "models"))


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


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
