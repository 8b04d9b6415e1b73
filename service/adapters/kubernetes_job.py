"""A refresh request as a Kubernetes Job, made from a template and created exactly once.

A Job's name is the id of its cycle, so whoever asks twice meets the one that is there. That alone would create it again once a finished
Job was removed (`ttlSecondsAfterFinished`): so it is created *suspended*, its UID is kept by whoever delivers, and only then it is
started. A suspended Job does not finish and is not removed; one whose UID is known is never created again.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import yaml

from service.errors import DeliveryError
from service.records import OutboxItem
from service.settings.destinations import SERVICE_ACCOUNT

REQUESTED = "refresh.requested"

_MOST_ENVIRONMENT = 100_000
"""Bytes of the event that go into the environment: beyond it the pod would not start."""
_RETRYABLE = frozenset({401, 403, 408, 409, 429})
"""Refused for now: a role may be granted, a token renewed, a quota freed."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """How to reach the API server; the files are read at each delivery, since tokens are renewed."""

    server: str = "https://kubernetes.default.svc"
    token_file: Path = SERVICE_ACCOUNT / "token"
    ca_file: Path = SERVICE_ACCOUNT / "ca.crt"
    namespace: str = ""
    """That of the pod where it is empty."""


class KubernetesJobDestination:
    """Creates and starts one Job per refresh request. Nothing else that leaves is its business: that counts as delivered."""

    def __init__(self, template: Path, cluster: Cluster = Cluster(), *, timeout: float = 20.0) -> None:
        self._template = template
        self._cluster = cluster
        self._timeout = timeout

    def deliver(self, item: OutboxItem, *, now: float) -> str | None:  # noqa: ARG002 - the port's signature
        """Without a receipt: creates the Job suspended, or finds it, and returns its UID. With it: starts that very Job, where it is still
        there."""
        if item.kind != REQUESTED:
            return None
        cycle = str(item.payload["id"])
        try:
            with self._client() as client:
                if not item.receipt:
                    return self._create(client, cycle, item)
                _start(client, cycle, item.receipt)
                return None
        except httpx2.TimeoutException as error:
            raise DeliveryError(f"{self._cluster.server}: no answer in time", retryable=True) from error
        except httpx2.TransportError as error:
            raise DeliveryError(f"{self._cluster.server}: {str(error) or type(error).__name__}", retryable=True) from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _create(self, client: httpx2.Client, cycle: str, item: OutboxItem) -> str:
        response = client.post("jobs", json=self._job(cycle, item))
        if response.status_code == 409 and _reason(response) == "AlreadyExists":
            response = client.get(f"jobs/{cycle}")
        return _uid(_answer(response, "create Job", cycle))

    def _job(self, cycle: str, item: OutboxItem) -> Mapping[str, Any]:
        """The template's Job under the cycle's name, suspended, its containers told what is asked."""
        job = deepcopy(self._read())
        metadata, spec = job["metadata"], job["spec"]
        metadata.pop("generateName", None)
        metadata["name"] = cycle
        metadata["labels"] = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "driftgate", "driftgate.io/cycle": cycle}
        spec["suspend"] = True
        told = _environment(cycle, item.payload)
        for container in _containers(spec["template"]["spec"]):
            own = [entry for entry in container.get("env") or () if entry.get("name") not in told]
            container["env"] = own + [{"name": name, "value": value} for name, value in told.items()]
        return job

    def _read(self) -> dict[str, Any]:
        """DeliveryError names what of the template is not a Job."""
        try:
            job = yaml.safe_load(self._template.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DeliveryError(f"job template {self._template}: can't be read: {error}", retryable=True) from error
        if not isinstance(job, dict) or (job.get("apiVersion"), job.get("kind")) != ("batch/v1", "Job"):
            raise DeliveryError(f"job template {self._template}: not a `kind: Job` of `apiVersion: batch/v1`", retryable=True)
        metadata, pod = job.setdefault("metadata", {}), _at(job, "spec", "template", "spec")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("labels") or {}, dict):
            raise DeliveryError(f"job template {self._template}: metadata and its labels hold names and values", retryable=True)
        if not isinstance(pod, dict) or not isinstance(pod.get("containers"), list) or not all(map(_is_container, _containers(pod))):
            raise DeliveryError(f"job template {self._template}: no spec.template.spec.containers, or one that is none", retryable=True)
        return job

    def _client(self) -> httpx2.Client:
        """For one delivery: they are rare, and the token's file may have changed since."""
        token = _text(self._cluster.token_file)
        namespace = self._cluster.namespace or _text(SERVICE_ACCOUNT / "namespace")
        try:
            context = ssl.create_default_context(cafile=str(self._cluster.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise DeliveryError(f"certificate {self._cluster.ca_file}: can't be read: {error}", retryable=True) from error
        return httpx2.Client(
            base_url=f"{self._cluster.server}/apis/batch/v1/namespaces/{namespace}/",
            headers={"authorization": f"Bearer {token}", "user-agent": "driftgate", "accept": "application/json"},
            transport=httpx2.HTTPTransport(verify=context),
            timeout=self._timeout,
            trust_env=False,
            follow_redirects=False,
        )


def _containers(pod: Mapping[str, Any]) -> list[Any]:
    """All that run, one after another or together."""
    return [each for name in ("initContainers", "containers") for each in _listed(pod.get(name))]


def _is_container(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(entry, dict) for entry in _listed(found.get("env")))


def _listed(found: Any) -> list[Any]:
    """A list as it is; anything else that is there as something that is none of its items."""
    return found if isinstance(found, list) else [found] if found else []


def _start(client: httpx2.Client, cycle: str, uid: str) -> None:
    """One that is gone has been started and has ended: a suspended Job stays. One that somebody else made since is left alone."""
    found = client.get(f"jobs/{cycle}")
    if found.status_code == 404 or _uid(_answer(found, "read Job", cycle)) != uid:
        return
    patch = client.patch(
        f"jobs/{cycle}",
        content=msgspec.json.encode({"metadata": {"uid": uid}, "spec": {"suspend": False}}),
        headers={"content-type": "application/merge-patch+json"},
    )
    if patch.status_code != 404:
        _answer(patch, "start Job", cycle)


def _environment(cycle: str, event: Mapping[str, Any]) -> Mapping[str, str]:
    """What the containers are told: the cycle, its monitor, and the whole event. A `$` is doubled: Kubernetes would put other variables,
    secrets among them, in the place of `$(NAME)`.
    """
    document = msgspec.json.encode(event)
    if len(document) > _MOST_ENVIRONMENT:
        raise DeliveryError(f"refresh cycle {cycle}: its event of {len(document):,} bytes does not fit into a Job", retryable=False)
    told = {"DRIFTGATE_CYCLE": cycle, "DRIFTGATE_MONITOR": str(_at(event, "data", "monitor") or ""), "DRIFTGATE_EVENT": document.decode()}
    return {name: value.replace("$", "$$") for name, value in told.items()}


def _answer(response: httpx2.Response, doing: str, cycle: str) -> Mapping[str, Any]:
    status = response.status_code
    if response.is_success:
        try:
            found = response.json()
        except ValueError as error:
            raise DeliveryError(f"can't {doing} {cycle}: the answer is not JSON; is it a Kubernetes API server?", retryable=True) from error
        return found if isinstance(found, dict) else {}
    retryable = status >= 500 or status in _RETRYABLE
    raise DeliveryError(f"can't {doing} {cycle}: {status} {_message(response)}", retryable=retryable)


def _uid(job: Mapping[str, Any]) -> str:
    uid = _at(job, "metadata", "uid")
    if not isinstance(uid, str) or not uid:
        raise DeliveryError("the API server names no UID of the Job; is it a Kubernetes API server?", retryable=True)
    return uid


def _reason(response: httpx2.Response) -> str:
    return str(_document(response).get("reason", ""))


def _message(response: httpx2.Response) -> str:
    return str(_document(response).get("message", response.reason_phrase))[:300]


def _document(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _at(document: Mapping[str, Any], *path: str) -> Any:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{path}: can't be read: {error}", retryable=True) from error
    if not text:
        raise DeliveryError(f"{path} is empty", retryable=True)
    return text
