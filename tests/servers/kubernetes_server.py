"""A real Kubernetes API, without nodes: etcd and kube-apiserver, with roles enforced."""

from __future__ import annotations

import secrets
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.servers.process import Server, free_port

BINARIES = Path(__file__).parents[2] / ".cache" / "servers"
VERSION = "kubernetes-1.36.3"


def kube_apiserver() -> Path | None:
    """Where `make servers-cluster` has put it."""
    path = BINARIES / VERSION / "kube-apiserver"
    return path if path.is_file() else None


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

    def command(self) -> Sequence[str]:
        self._etcd.start()
        key, tokens = self.folder / "accounts.key", self.folder / "tokens.csv"
        if not key.exists():
            subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens.write_text(f"{self._token},admin,admin,system:masters\n", encoding="utf-8")
        return [
            str(kube_apiserver()),
            *("--etcd-servers", self._etcd.url, "--bind-address", "127.0.0.1", "--secure-port", str(self.port)),
            *("--cert-dir", str(self.folder / "certificates"), "--token-auth-file", str(tokens), "--authorization-mode", "RBAC"),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(key)),
            *("--service-account-signing-key-file", str(key), "--service-cluster-ip-range", "10.0.0.0/24"),
            *("--disable-admission-plugins", "ServiceAccount", "--advertise-address", "127.0.0.1"),
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

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        """As the administrator."""
        transport = httpx2.HTTPTransport(verify=ssl.create_default_context(cafile=str(self.ca_file)))
        headers = {"authorization": f"Bearer {self._token}"}
        with httpx2.Client(base_url=self.url, transport=transport, headers=headers, trust_env=False, timeout=20) as client:
            return client.request(method, path, json=body)

    def make(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Creates an object."""
        response = self.ask("POST", path, body)
        assert response.is_success, response.text
        made: Mapping[str, Any] = response.json()
        return made

    def account(self, namespace: str, name: str, rules: Sequence[Mapping[str, Any]]) -> str:
        """The token of a new service account that may do what the rules say, in its namespace alone."""
        self.make(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.make(f"{rbac}/roles", {"metadata": {"name": name}, "rules": list(rules)})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self.make(f"{rbac}/rolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": role})
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        granted = self.make(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}})
        return str(granted["status"]["token"])
