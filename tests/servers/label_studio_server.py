"""A real Label Studio: SQLite, one administrator, legacy tokens allowed beside personal ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import httpx2

from tests.servers.process import Server, free_port, listens

CACHE = Path(__file__).parents[2] / ".cache" / "servers"
EMAIL, PASSWORD = "ana@example.com", "correct-horse-battery"
QUIET: Mapping[str, str] = MappingProxyType(
    {
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "DEBUG": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
)
"""It asks nobody outside, and may tell a server on loopback of annotations."""


def installed() -> Path | None:
    """Where `make servers` has put it, its database ready."""
    return next((path.parent for path in sorted(CACHE.glob("label-studio-*/database"))), None)


class LabelStudioServer(Server):
    """Its tasks and annotations lie in its folder, beginning with the empty database that was made with the installation."""

    patience = 180.0
    token = "0123456789abcdef0123456789abcdef01234567"
    """The administrator's legacy one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._personal = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        home = installed()
        if home is None:
            raise FileNotFoundError("Label Studio is missing: `make servers` installs it")
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(home / "database", data)
        environment = [f"{name}={value}" for name, value in {**QUIET, "HOME": str(data), "PATH": os.environ["PATH"]}.items()]
        login = ["--username", EMAIL, "--password", PASSWORD, "--enable-legacy-api-token", "--user-token", self.token]
        listening = ["--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(data)]
        return ["env", "-i", *environment, str(home / "bin" / "label-studio"), "start", *listening, *login]

    def answers(self) -> bool:
        if not listens(self.port):
            return False
        try:
            with self.client() as client:
                return client.get("/api/version", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def client(self) -> httpx2.Client:
        """As the administrator."""
        return httpx2.Client(base_url=self.url, headers={"authorization": f"Token {self.token}"}, timeout=60, trust_env=False)

    def personal_token(self) -> str:
        """The administrator's, as people make it in their settings; there is one at a time."""
        if not self._personal:
            with self.client() as client:
                self._personal = str(client.post("/api/token/", json={}).raise_for_status().json()["token"])
        return self._personal
