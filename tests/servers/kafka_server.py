"""A real Kafka broker: KRaft, one node, Java; with time-outs short enough for tests."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.certificates import Certificate
from tests.servers.process import Server, free_port, listens

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

CACHE = Path(__file__).parents[2] / ".cache" / "servers"
JAVA = ("java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
FIXED: Mapping[str, object] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": 4,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "log.retention.check.interval.ms": 1000,
    "log.initial.task.delay.ms": 1000,
}


def jars() -> Path | None:
    """Where `make servers` has put them."""
    return next(iter(sorted(CACHE.glob("kafka-*[0-9]"))), None)


class KafkaServer(Server):
    """`options` are lines of server.properties. With a certificate it also listens at `secured`, where `users` (name → password) log in
    with SASL PLAIN or SCRAM-SHA-256 over TLS."""

    patience = 120.0

    def __init__(
        self,
        folder: Path,
        *,
        options: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(folder)
        self.certificate = certificate
        self._options = options or {}
        self._users = users or {}
        self._ports = free_port(), free_port(), free_port()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def secured(self) -> str:
        """The listener with TLS and SASL."""
        return f"127.0.0.1:{self._ports[2]}"

    def command(self) -> Sequence[str]:
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()), encoding="utf-8")
        if not (self.folder / "data").exists():
            self._format(path)
        return [*self._java(), "kafka.Kafka", str(path)]

    def answers(self) -> bool:
        if not listens(self._ports[0]):
            return False
        from kafka.errors import KafkaError  # takes half a second, which most tests needn't wait

        try:
            with self.admin() as admin:
                return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        from kafka import KafkaAdminClient  # as above

        client = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            yield client
        finally:
            client.close()

    def create_topics(self, partitions: Mapping[str, int], *, configs: Mapping[str, str] | None = None) -> None:
        """Name → number of partitions; returns once all have a leader."""
        topics = {name: {"num_partitions": n, "replication_factor": 1, "configs": dict(configs or {})} for name, n in partitions.items()}
        with self.admin() as admin:
            admin.create_topics(topics, wait_for_metadata=True)

    def _format(self, path: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java(), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={path}"]
        for name, password in self._users.items():
            command += ["--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def _java(self) -> Sequence[str]:
        found = jars()
        if found is None or shutil.which("java") is None:
            raise FileNotFoundError("Kafka's jars or java are missing: `make servers` installs them")
        return [*JAVA, "-cp", f"{found}/*"]

    def _properties(self) -> Mapping[str, object]:
        plain, controller, secured = self._ports
        listeners = [f"PLAINTEXT://127.0.0.1:{plain}", f"CONTROLLER://127.0.0.1:{controller}"]
        settings = {**FIXED, "controller.quorum.voters": f"1@127.0.0.1:{controller}", "log.dirs": self.folder / "data"}
        if self.certificate is not None:
            listeners.append(f"SECURED://127.0.0.1:{secured}")
            settings |= self._security(self.certificate)
        return {**settings, "listeners": ",".join(listeners), **self._options}

    def _security(self, certificate: Certificate) -> Mapping[str, object]:
        store = self.folder / "keystore.pem"
        store.write_text(certificate.joined(), encoding="ascii")
        login = "org.apache.kafka.common.security"
        known = " ".join(f'user_{name}="{password}"' for name, password in self._users.items())
        return {
            "listener.name.secured.ssl.keystore.type": "PEM",
            "listener.name.secured.ssl.keystore.location": store,
            "listener.name.secured.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.secured.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required {known};",
            "listener.name.secured.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        }
