"""A real redis-server, by default as durable as production is asked to be."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.servers.certificates import Certificate
from tests.servers.process import Server, free_port, listens

DURABLE: Mapping[str, str] = MappingProxyType(
    {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": '""'}
)
USABLE = (b"+PONG", b"-NOAUTH")


class RedisServer(Server):
    """`options` are lines of redis.conf that differ from `DURABLE`; `users` are ACL lines without the word `user`."""

    patience = 20.0

    def __init__(
        self, folder: Path, *, options: Mapping[str, str] | None = None, users: Sequence[str] = (), certificate: Certificate | None = None
    ) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.certificate = certificate
        self.options = {**DURABLE, **(options or {})}
        self._users = users

    @property
    def url(self) -> str:
        """Of database 0, without credentials."""
        scheme = "redis" if self.certificate is None else "rediss"
        return f"{scheme}://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        path = self.folder / "redis.conf"
        path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        return ["redis-server", str(path)]

    def answers(self) -> bool:
        if not listens(self.port):
            return False
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as plain, self._dress(plain) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(USABLE)

    def _lines(self) -> list[str]:
        lines = ["bind 127.0.0.1", f"dir {self.folder}", "repl-diskless-sync-delay 0"]
        if self.certificate is None:
            lines.append(f"port {self.port}")
        else:
            lines += ["port 0", f"tls-port {self.port}", "tls-auth-clients no", f"tls-ca-cert-file {self.certificate.certificate}"]
            lines += [f"tls-cert-file {self.certificate.certificate}", f"tls-key-file {self.certificate.key}"]
        lines += [f"{name} {value}" for name, value in self.options.items()]
        return lines + [f"user {user}" for user in self._users]

    def _dress(self, connection: socket.socket) -> socket.socket:
        if self.certificate is None:
            return connection
        context = ssl.create_default_context(cafile=str(self.certificate.certificate))
        return context.wrap_socket(connection, server_hostname="127.0.0.1")


class Sentinel(Server):
    """Watches one master under the name `driftgate`, alone, and makes another of its replicas one within seconds."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._master = master

    def command(self) -> Sequence[str]:
        path = self.folder / "sentinel.conf"
        if not path.exists():  # it keeps what it learns there
            lines = [
                "bind 127.0.0.1",
                f"port {self.port}",
                f"dir {self.folder}",
                f"sentinel monitor driftgate 127.0.0.1 {self._master.port} 1",
            ]
            lines += ["sentinel down-after-milliseconds driftgate 500", "sentinel failover-timeout driftgate 3000"]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["redis-server", str(path), "--sentinel"]

    def answers(self) -> bool:
        return listens(self.port)
