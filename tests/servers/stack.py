"""What deploy/compose.yaml starts, but for Grafana, as processes of this machine: `make stack`, until Ctrl-C.

Each service is started by its own command, environment, mounted files and conditions, as the file has them; what differs is what has to:
names of containers become addresses on loopback, paths inside them a folder here, and DNS discovery the addresses that it would find.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any, Self

import yaml

from tests.servers import composed
from tests.servers.alertmanager_server import AlertmanagerServer
from tests.servers.composed import DEPLOY, Mount, Service
from tests.servers.kafka_server import KafkaServer
from tests.servers.process import Server, free_port
from tests.servers.prometheus_server import PrometheusServer, reached
from tests.servers.redis_server import RedisServer

PROGRAM = (sys.executable, "-c", "from service.cli import main; main()")
ELSEWHERE = frozenset(
    {
        "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_LISTENER_NAMES", "KAFKA_CONTROLLER_QUORUM_VOTERS", "KAFKA_HEAP_OPTS",
        "KAFKA_INTER_BROKER_LISTENER_NAME", "KAFKA_LISTENERS", "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "KAFKA_LOG_DIRS",
    }
)  # fmt: skip
"""Settings of the broker that are about where it is; all others are the file's."""
WITHOUT = frozenset({"grafana"})
"""No package registry has it."""


class Part(Server):
    """A process of driftgate, started as its service says."""

    patience = 180.0

    def __init__(self, folder: Path, service: Service) -> None:
        super().__init__(folder)
        self.service = service
        self.port, self.metrics_port = free_port(), free_port()
        self.environment: Mapping[str, str] = {}
        self.arguments: Sequence[str] = service.command

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        own = {
            "DRIFTGATE__SERVER__HOST": "127.0.0.1",
            "DRIFTGATE__SERVER__PORT": str(self.port),
            "DRIFTGATE__SERVER__METRICS_PORT": str(self.metrics_port),
            **self.environment,
        }
        return ["env", *(f"{name}={value}" for name, value in own.items()), *PROGRAM, *self.arguments]

    def answers(self) -> bool:
        """As its healthcheck asks; what has none is there once it runs."""
        if self.service.document.get("healthcheck", {}).get("disable"):
            return True
        return reached(f"http://{self.address}/readyz")

    def run(self) -> None:
        """To its end, which must be a good one."""
        with self._log.open("ab") as log:
            subprocess.run(self.command(), stdout=log, stderr=log, check=True, cwd=self.folder)


class ShippedPrometheus(PrometheusServer):
    """Goes by a configuration that is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, targets={})
        self.configuration: Mapping[str, Any] = {}

    def _write(self) -> None:
        self._path.write_text(yaml.safe_dump(self.configuration, sort_keys=False), encoding="utf-8")


class Stack:
    """The whole topology in a folder of its own. `environment`: what an .env file would say. `interval`: of Prometheus's scrapes and
    evaluations, where the file's own are too long to wait for."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, *, interval: str | None = None) -> None:
        self.folder = folder
        self.services = [service for service in composed.services(environment or {}) if service.name not in WITHOUT]
        self.parts = {
            service.name: [Part(folder / f"{service.name}-{number}", service) for number in range(service.replicas)]
            for service in self.services
            if service.ours
        }
        named = {service.name: service for service in self.services}
        self.kafka = KafkaServer(folder / "kafka", options=_properties(named["kafka"]))
        self.prometheus = ShippedPrometheus(folder / "prometheus")
        mounted = dict(self._mounted())
        self._names = {**mounted, **self._addresses()}
        self._copy(mounted)
        conf = self._at(named["redis"].command[-1])
        self.redis = RedisServer(folder / "redis", options=_redis_options(self._aimed(conf.read_text(encoding="utf-8"))))
        self._names["redis:6379"] = f"127.0.0.1:{self.redis.port}"
        told = self._at(_option(named["alertmanager"], "--config.file"))
        self.alertmanager = AlertmanagerServer(folder / "alertmanager", yaml.safe_load(told.read_text(encoding="utf-8")))
        self._names["alertmanager:9093"] = self.alertmanager.address
        self._aim(mounted)
        self.prometheus.configuration = self._scrapes(self._at(_option(named["prometheus"], "--config.file")), interval)
        self._stack = ExitStack()

    @property
    def api(self) -> str:
        """The address of the API and the console."""
        return f"http://{self.parts['api'][0].address}"

    @property
    def token(self) -> str:
        """What the API asks for."""
        return self._at("/run/secrets/api/token").read_text(encoding="ascii").strip()

    def command(self, *arguments: str) -> str:
        """What a command of driftgate says, in the place of the service that prepares the installation."""
        part = self.parts["prepare"][0]
        words = [*part.command()[: -len(part.arguments)], *arguments]
        environment = {**os.environ, "DRIFTGATE_CONFIG": str(self._at("/etc/driftgate/driftgate.yaml"))}
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=part.folder, env=environment)
        if done.returncode:
            raise RuntimeError(f"driftgate {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self) -> Self:
        try:
            for together in composed.waves(self.services):
                self._start(together)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- starting -------------------------------------------------------------------------------------------------------

    def _start(self, together: Sequence[Service]) -> None:
        """Those that they need are there: waves come in that order."""
        for part in (part for service in together if service.once for part in self.parts[service.name]):
            part.run()
        servers = [server for service in together if not service.once for server in self._servers(service.name)]
        for server in servers:
            self._stack.callback(server.stop)
            server.launch()
        for server in servers:
            server.started()

    def _servers(self, name: str) -> Sequence[Server]:
        others = {"kafka": self.kafka, "redis": self.redis, "prometheus": self.prometheus, "alertmanager": self.alertmanager}
        return self.parts[name] if name in self.parts else [others[name]]

    # --- what is where --------------------------------------------------------------------------------------------------

    def _mounted(self) -> Iterator[tuple[str, str]]:
        """Path in a container → path here: a volume's folder, or a copy of what is mounted."""
        for mount in self._mounts():
            here = self.folder / "volumes" / mount.source if mount.named else self.folder / "files" / mount.target.lstrip("/")
            yield mount.target, str(here)

    def _mounts(self) -> Sequence[Mount]:
        return [mount for service in self.services for mount in service.mounts]

    def _addresses(self) -> Mapping[str, str]:
        return {"kafka:19092": self.kafka.bootstrap, "api:8080": self.parts["api"][0].address}

    def _copy(self, mounted: Mapping[str, str]) -> None:
        for mount in self._mounts():
            here = Path(mounted[mount.target])
            if mount.named:
                here.mkdir(parents=True, exist_ok=True)
            elif (DEPLOY / mount.source).is_dir():
                shutil.copytree(DEPLOY / mount.source, here, dirs_exist_ok=True)
            else:
                here.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(DEPLOY / mount.source, here)

    def _aim(self, mounted: Mapping[str, str]) -> None:
        """Names become addresses in the copies, and in what processes are started with."""
        for target in {mount.target for mount in self._mounts() if not mount.named}:
            root = Path(mounted[target])
            for file in [root] if root.is_file() else sorted(root.rglob("*.yml")):
                file.write_text(self._aimed(file.read_text(encoding="utf-8")), encoding="utf-8")
        for part in (part for parts in self.parts.values() for part in parts):
            part.arguments = [self._aimed(word) for word in part.service.command]
            own = {name: self._aimed(value) for name, value in part.service.environment.items()}
            part.environment = {"DRIFTGATE__DIRECTORY": self._aimed("/var/lib/driftgate"), **own}

    def _aimed(self, text: str) -> str:
        names = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
        return re.sub(rf"(?<![\w.-])(?:{names})(?![\w-])", lambda found: self._names[found[0]], text)

    def _at(self, path: str) -> Path:
        return Path(self._aimed(path))

    def _scrapes(self, path: Path, interval: str | None) -> Mapping[str, Any]:
        document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["rule_files"] = [str(path.parent / pattern) for pattern in document["rule_files"]]
        if interval is not None:
            document["global"] = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        for job in document["scrape_configs"]:
            for discovery in job.pop("dns_sd_configs", ()):
                job["static_configs"] = [{"targets": self._found(discovery["names"])}]
            self.prometheus.targets[job["job_name"]] = [each for group in job["static_configs"] for each in group["targets"]]
        return document

    def _found(self, names: Sequence[str]) -> list[str]:
        """What DNS would answer, and the port beside it."""
        return [f"127.0.0.1:{part.metrics_port}" for name in names for part in self.parts[name]]


def _properties(kafka: Service) -> Mapping[str, str]:
    """As the image makes them of its environment."""
    own = {name: value for name, value in kafka.environment.items() if name not in ELSEWHERE}
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in own.items()}


def _redis_options(text: str) -> Mapping[str, str]:
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return dict(lines)


def _option(service: Service, name: str) -> str:
    return next(word.partition("=")[2] for word in service.command if word.startswith(f"{name}="))


def main() -> None:
    """Starts it, says where it is, and waits."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.stack", description=__doc__)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="as an .env file has them: TRAFFIC_DRIFT_AFTER=60")
    given = dict(each.split("=", 1) for each in parser.parse_args().settings)
    for asked in (signal.SIGINT, signal.SIGTERM):  # also where a shell has the first ignored, as of what it starts in the background
        signal.signal(asked, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftgate-stack-")))
        sys.stdout.write("starting; the first drift comes after TRAFFIC_DRIFT_AFTER seconds of traffic\n")
        sys.stdout.flush()
        started = stack.enter_context(Stack(folder, given))
        sys.stdout.write(_told(started))
        sys.stdout.flush()
        Event().wait()
    sys.stdout.write("stopped\n")


def _told(stack: Stack) -> str:
    lines = {
        "console": f"{stack.api}/console",
        "token": stack.token,
        "Prometheus": stack.prometheus.url,
        "Alertmanager": stack.alertmanager.url,
        "Kafka": stack.kafka.bootstrap,
        "Redis": stack.redis.url,
        "traffic": str(stack.parts["traffic"][0].folder / "server.log"),
    }
    return "".join(f"{name:14}{value}\n" for name, value in lines.items()) + "Ctrl-C stops all of it\n"


if __name__ == "__main__":
    main()
