"""A real Kubernetes cluster: its API with roles and pod security enforced, its controllers, its scheduler, and nodes that run nothing."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx2
import yaml

from tests.servers.cluster_programs import CRDS, program
from tests.servers.process import Server, free_port

STAGES = Path(__file__).with_name("kwok.yaml")
NODES = ("node-a", "node-b", "node-c")
"""One a zone."""
STORAGE_CLASS = "static"
VOLUMES = 48


class Etcd(Server):
    """What the API server keeps its objects in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._client, self._peer = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._client}"

    def command(self) -> Sequence[str]:
        peers = f"http://127.0.0.1:{self._peer}"
        return [
            *("etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
        ]

    def answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health", timeout=1, trust_env=False).is_success
        except httpx2.TransportError:
            return False


class KubernetesServer(Server):
    """The API server; `admin` may do everything."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._etcd = Etcd(folder / "etcd")
        self._token = secrets.token_hex(16)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """It signs its own certificate."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def accounts_key(self) -> Path:
        """Signs the tokens of service accounts."""
        return self.folder / "accounts.key"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "kubeconfig"

    def command(self) -> Sequence[str]:
        self._etcd.start()
        key, tokens = self.accounts_key, self.folder / "tokens.csv"
        if not key.exists():
            subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens.write_text(f"{self._token},admin,admin,system:masters\n", encoding="utf-8")
        self.kubeconfig.write_text(json.dumps(self._context()), encoding="utf-8")
        return [
            str(program("kube-apiserver")),
            *("--etcd-servers", self._etcd.url, "--bind-address", "127.0.0.1", "--secure-port", str(self.port)),
            *("--cert-dir", str(self.folder / "certificates"), "--token-auth-file", str(tokens), "--authorization-mode", "RBAC"),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(key)),
            *("--service-account-signing-key-file", str(key), "--service-cluster-ip-range", "10.0.0.0/24"),
            # Debian's etcd does not report how far a watch is, which streaming lists need.
            *("--advertise-address", "127.0.0.1", "--feature-gates", "WatchList=false"),
        ]

    def answers(self) -> bool:
        try:
            return self.ca_file.is_file() and self.ask("GET", "/readyz").is_success
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """Both; the API server first, since without etcd it would not end."""
        super().kill()
        self._etcd.kill()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str = "") -> httpx2.Response:
        """As the administrator, or as whom the token stands for."""
        transport = httpx2.HTTPTransport(verify=ssl.create_default_context(cafile=str(self.ca_file)))
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"authorization": f"Bearer {token or self._token}", "content-type": kind}
        with httpx2.Client(base_url=self.url, transport=transport, headers=headers, trust_env=False, timeout=20) as client:
            return client.request(method, path, json=body)

    def make(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Creates an object."""
        response = self.ask("POST", path, body)
        assert response.is_success, response.text
        made: Mapping[str, Any] = response.json()
        return made

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Changes what is named in it."""
        response = self.ask("PATCH", path, body)
        assert response.is_success, response.text

    def account(self, namespace: str, name: str, rules: Sequence[Mapping[str, Any]]) -> str:
        """The token of a new service account that may do what the rules say, in its namespace alone."""
        self.make(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.make(f"{rbac}/roles", {"metadata": {"name": name}, "rules": list(rules)})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self.make(f"{rbac}/rolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": role})
        return self.token(namespace, name)

    def token(self, namespace: str, name: str) -> str:
        """One for a service account that is there."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        granted = self.make(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}})
        return str(granted["status"]["token"])

    def _context(self) -> Mapping[str, Any]:
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
            "current-context": "tests",
        }


class _Component(Server):
    """A part of the control plane: leads alone, and says on a port of its own whether it is well."""

    name: str

    def __init__(self, folder: Path, api: KubernetesServer) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._api = api

    def command(self) -> Sequence[str]:
        return [
            str(program(self.name)),
            *("--kubeconfig", str(self._api.kubeconfig), "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400"),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self.port), "--cert-dir", str(self.folder / "certificates")),
            *self.options(),
        ]

    def options(self) -> Sequence[str]:
        return []

    def answers(self) -> bool:
        try:
            # Its certificate is its own, and nothing is told to it.
            return httpx2.get(f"https://127.0.0.1:{self.port}/healthz", timeout=1, verify=False, trust_env=False).is_success
        except httpx2.TransportError:
            return False


class ControllerManager(_Component):
    """Accounts and their certificate, Jobs and their end, claims, disruption budgets, and everything else but a cloud."""

    name = "kube-controller-manager"

    def options(self) -> Sequence[str]:
        return [
            *("--service-account-private-key-file", str(self._api.accounts_key), "--root-ca-file", str(self._api.ca_file)),
            "--pvclaimbinder-sync-period=1s",
        ]


class Scheduler(_Component):
    """Gives pods their nodes."""

    name = "kube-scheduler"


class Kwok(Server):
    """Nodes that are there, and pods on them that do as the stages say."""

    def __init__(self, folder: Path, api: KubernetesServer) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._api = api

    def command(self) -> Sequence[str]:
        return [
            str(program("kwok")),
            *("--kubeconfig", str(self._api.kubeconfig), "--config", str(STAGES), "--manage-all-nodes", "--node-lease-duration-seconds=40"),
            *("--server-address", f"127.0.0.1:{self.port}", "--cidr", "10.1.0.0/16"),
        ]

    def answers(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/healthz", timeout=1, trust_env=False).is_success
        except httpx2.TransportError:
            return False


class KubernetesCluster:
    """All of it, with three nodes in as many zones, volumes that wait for claims, and the definitions of KEDA's and the Prometheus
    operator's objects."""

    def __init__(self, folder: Path) -> None:
        self.api = KubernetesServer(folder / "api")
        parts = (ControllerManager, Scheduler, Kwok)
        self._parts = [part(folder / part.__name__.lower(), self.api) for part in parts]
        self._running = ExitStack()

    def start(self) -> Self:
        with ExitStack() as stack:
            for server in (self.api, *self._parts):
                stack.callback(server.kill)
                server.start()
            self._furnish()
            self._running = stack.pop_all()
        return self

    def kill(self) -> None:
        """The API server last of those that talk to it."""
        self._running.close()

    def namespace(self, name: str) -> None:
        """One that takes restricted pods alone; there is an account for them once this returns."""
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.api.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        until(lambda: self.api.ask("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default").is_success, what="an account")

    def _furnish(self) -> None:
        for path in sorted(CRDS.glob("*.yaml")):
            self.api.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(path.read_text(encoding="utf-8")))
        for zone, name in enumerate(NODES):
            labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{zone}"}
            self.api.make("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        default = {"metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
        self.api.make("/apis/storage.k8s.io/v1/storageclasses", {**default, "provisioner": "kubernetes.io/no-provisioner"})
        for number in range(VOLUMES):
            self.api.make("/api/v1/persistentvolumes", _volume(f"volume-{number}"))
        until(lambda: all(map(self._is_ready, NODES)), what="nodes")

    def _is_ready(self, node: str) -> bool:
        conditions = self.api.ask("GET", f"/api/v1/nodes/{node}").json().get("status", {}).get("conditions", ())
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def until(look: Callable[[], object], *, what: str, seconds: float = 60.0) -> None:
    """Returns once it holds."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def _volume(name: str) -> Mapping[str, Any]:
    """Nothing provisions any: they are there before the claims."""
    spec = {
        "capacity": {"storage": "1Ti"},
        "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
        "storageClassName": STORAGE_CLASS,
        "hostPath": {"path": f"/nowhere/{name}"},
    }
    return {"metadata": {"name": name}, "spec": spec}
