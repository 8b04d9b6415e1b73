"""deploy/compose.yaml and the files that it mounts: no container runs here, so all that can be known without one is looked at."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from service.cli.application import app
from service.settings import Settings, load
from tests.architecture.test_commands import wrong
from tests.servers import composed
from tests.servers.composed import DEPLOY, ROOT, Mount, Service

DOCUMENT = composed.document({})
SERVICES = {service.name: service for service in composed.services({})}
OURS = {name: service for name, service in SERVICES.items() if service.ours}
CONFIGURATION = "/etc/driftgate/driftgate.yaml"
SETTINGS = load(DEPLOY / "driftgate.yaml")
KEPT = {
    "secrets": {"api-secret", "metrics-secret", "redis-secret", "redis-acl", "grafana-secret"},
    "redis": {"redis-acl"},
    **dict.fromkeys(("prepare", "worker", "controller", "api"), frozenset({"api-secret", "metrics-secret", "redis-secret"})),
    "traffic": {"api-secret"},
    "prometheus": {"metrics-secret"},
    "grafana": {"grafana-secret"},
}
"""Which secrets a service sees; all others see none."""
LISTENS = {
    **dict.fromkeys(("worker", "controller", "api", "prepare"), frozenset({8080, 9464})),
    "kafka": {9092, 19092},
    "redis": {6379},
    "prometheus": {9090},
    "alertmanager": {9093},
    "grafana": {3000},
}
"""Ports inside the containers: of our own image as the Dockerfile and driftgate.yaml say, of the others as their images do."""


def yaml_of(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# --- the file as a whole ---------------------------------------------------------------------------------------------


@pytest.mark.server("compose-spec")
def test_compose_itself_takes_the_file_and_reads_in_it_what_the_tests_do() -> None:
    reader = composed.reader()
    assert reader is not None
    read = subprocess.run([reader, "-format=json", "compose.yaml"], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
    found = json.loads(read.stdout)
    assert found["services"].keys() == SERVICES.keys()
    for name, service in SERVICES.items():
        theirs = found["services"][name]
        assert (theirs.get("command") or []) == service.command
        assert theirs.get("environment", {}) == service.environment
        assert {each: needed["condition"] for each, needed in theirs.get("depends_on", {}).items()} == service.needs
        assert [volume["target"] for volume in theirs.get("volumes", ())] == [mount.target for mount in service.mounts]


@pytest.mark.server("compose-spec")
@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [("stop_grace_period", "stop_grace", "stop_grace"), ("condition: service_healthy", "condition: healthy", "condition")],
)
def test_a_file_against_the_specification_is_seen(right: str, wrong: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text((DEPLOY / "compose.yaml").read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    reader = composed.reader()
    assert reader is not None
    read = subprocess.run([reader, "compose.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert read.returncode == 1
    assert says in read.stderr


def test_the_example_of_an_env_file_has_every_variable_with_its_default_and_says_what_it_is() -> None:
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    assert dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")) == composed.variables()
    explained = [line for before, line in zip(["", *lines], lines, strict=False) if "=" in line and before.startswith("#")]
    ports = {"KAFKA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT"}
    assert {line.partition("=")[0] for line in explained} | ports == composed.variables().keys()


def test_everything_that_is_named_is_declared_and_everything_declared_is_used() -> None:
    used = {mount.source for service in SERVICES.values() for mount in service.mounts if mount.named}
    assert used == DOCUMENT["volumes"].keys()
    assert not DOCUMENT.keys() & {"secrets", "networks", "configs"}
    assert {name for service in SERVICES.values() for name in service.needs} <= SERVICES.keys()


@pytest.mark.parametrize("mount", [mount for service in SERVICES.values() for mount in service.mounts if not mount.named], ids=str)
def test_what_is_mounted_is_there_and_cannot_be_written(mount: Mount) -> None:
    assert (DEPLOY / mount.source).exists()
    assert not mount.writable


def test_an_env_file_is_never_committed() -> None:
    assert subprocess.run(["git", "check-ignore", "-q", "deploy/.env"], cwd=ROOT, check=False).returncode == 0


# --- each service ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_a_container_has_no_more_rights_than_it_needs(service: Service) -> None:
    assert service.document["cap_drop"] == ["ALL"]
    assert service.document["security_opt"] == ["no-new-privileges:true"]
    assert not service.document.keys() & {"privileged", "cap_add", "network", "pid", "devices"}
    assert service.document.get("read_only") or service.name == "kafka"  # whose image writes its configuration beside its program
    assert {mount.source for mount in service.mounts if mount.named} - {service.name, "state"} == KEPT.get(service.name, set())


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_ports_are_on_loopback_and_are_those_that_something_listens_on(service: Service) -> None:
    published = [re.fullmatch(r"127\.0\.0\.1:(\d+):(\d+)", port) for port in service.document.get("ports", ())]
    assert all(published)
    asked = re.findall(r"(?:127\.0\.0\.1:|localhost/|-p )(\d+)", " ".join(service.document.get("healthcheck", {}).get("test", ())))
    known = LISTENS.get(service.name, set())
    assert {int(port[2]) for port in published if port} | {int(port) for port in asked} <= known
    assert bool(asked) != bool(service.document.get("healthcheck", {}).get("disable"))


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_images_are_of_one_version(service: Service) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+(-[a-z]+)?$", service.image)


def test_kafka_is_the_version_that_the_tests_run() -> None:
    pom = (ROOT / "tests/servers/pom.xml").read_text(encoding="utf-8")
    (version,) = re.findall(r"kafka_2\.13</artifactId>\s*<version>([^<]+)<", pom)
    assert SERVICES["kafka"].image == f"apache/kafka:{version}"


@pytest.mark.parametrize("service", OURS.values(), ids=lambda service: service.name)
def test_commands_are_commands_and_their_files_are_mounted(service: Service) -> None:
    assert wrong(shlex.join(service.command)) == ""
    named = [word.partition("=")[2] for word in service.command if "=/" in word]
    assert named
    targets = [mount.target for mount in service.mounts]
    assert [path for path in named if not any(path == target or path.startswith(f"{target}/") for target in targets)] == []


@pytest.mark.parametrize("service", OURS.values(), ids=lambda service: service.name)
def test_the_environment_names_settings(service: Service) -> None:
    for name in service.environment:
        assert name.startswith("DRIFTGATE__")
        section: Any = Settings
        for part in name.removeprefix("DRIFTGATE__").lower().split("__"):
            assert issubclass(section, BaseModel)
            assert part in section.model_fields
            section = section.model_fields[part].annotation


def test_a_role_may_end_what_it_has_in_hand() -> None:
    for name in ("worker", "controller", "api"):
        assert int(OURS[name].document["stop_grace_period"].removesuffix("s")) > SETTINGS.roles.grace_seconds


def test_the_image_is_the_one_that_the_dockerfile_builds() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for service in OURS.values():
        assert service.document["build"] == {"context": "..", "target": "core"}
        assert f" AS {service.document['build']['target']}\n" in text
    assert "DRIFTGATE__SERVER__PORT=8080" in text
    assert f"EXPOSE 8080 {SETTINGS.server.metrics_port}" in text


# --- the files that are mounted --------------------------------------------------------------------------------------


def test_the_configuration_is_valid() -> None:
    checked = CliRunner().invoke(app, ["config", "check", "--config", str(DEPLOY / "driftgate.yaml"), "--json"])
    assert checked.exit_code == 0, checked.output
    assert SETTINGS.kafka
    assert SETTINGS.redis
    assert SETTINGS.monitors[0].topic


def test_the_addresses_of_the_configuration_are_services() -> None:
    assert SETTINGS.kafka
    assert SETTINGS.redis
    advertised = SERVICES["kafka"].environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert [f"INTERNAL://{broker}" for broker in SETTINGS.kafka.brokers] == advertised[:1]
    assert urlsplit(SETTINGS.redis.url or "").netloc == "redis:6379"
    assert SETTINGS.redis.user == "driftgate"


def test_every_secret_that_the_configuration_names_is_made_and_mounted() -> None:
    server, redis = SETTINGS.server, SETTINGS.redis
    assert redis
    files = {str(file) for file in (server.ingest_token_file, server.metrics_token_file, redis.password_file)}
    for name in ("secrets", "worker", "controller", "api"):
        folders = {mount.target for mount in OURS[name].mounts if mount.source.endswith("secret")}
        assert {str(Path(file).parent) for file in files} <= folders
    options = dict(word.removeprefix("--").split("=", 1) for word in OURS["secrets"].command if "=" in word)
    assert options["redis-acl"] in (DEPLOY / "redis/redis.conf").read_text(encoding="utf-8")
    assert options["also"] == SERVICES["grafana"].environment["GF_SECURITY_ADMIN_PASSWORD__FILE"]


def test_prometheus_has_a_token_for_metrics_and_nothing_else() -> None:
    server, (job, *_) = SETTINGS.server, yaml_of(DEPLOY / "prometheus/prometheus.yml")["scrape_configs"]
    assert server.metrics_token_file != server.ingest_token_file
    assert job["authorization"]["credentials_file"] == str(server.metrics_token_file)
    (found,) = job["dns_sd_configs"]
    assert found["names"] == ["worker", "controller", "api"]
    assert found["port"] == server.metrics_port


@pytest.mark.server("amtool")
def test_alertmanager_takes_the_configuration_of_a_trial() -> None:
    """Production's, and Prometheus's with its rules: tests/operations."""
    path = DEPLOY / "alertmanager/trial.yml"
    checked = subprocess.run(["amtool", "check-config", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_trial_inhibits_what_production_does_and_tells_nobody() -> None:
    trial, production = yaml_of(DEPLOY / "alertmanager/trial.yml"), yaml_of(DEPLOY / "alertmanager/alertmanager.yml")
    assert trial["inhibit_rules"] == production["inhibit_rules"]
    assert trial["route"]["group_by"] == production["route"]["group_by"]
    assert trial["receivers"] == [{"name": trial["route"]["receiver"]}]


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    grafana = SERVICES["grafana"]
    mounted: Mapping[str, Path] = {mount.target: DEPLOY / mount.source for mount in grafana.mounts if not mount.named}
    (provider,) = yaml_of(DEPLOY / "grafana/provisioning/dashboards/driftgate.yml")["providers"]
    assert list(mounted[provider["options"]["path"]].glob("*.json"))
    home = Path(grafana.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounted[str(home.parent)] / home.name).is_file()
    (source,) = yaml_of(DEPLOY / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert urlsplit(source["url"]).netloc == "prometheus:9090"


# --- the page that tells of it ---------------------------------------------------------------------------------------

PAGE = (ROOT / "docs/compose.md").read_text(encoding="utf-8")
TYPED = [shlex.split(line) for line in re.findall(r"docker compose ([^\n`#)]+)", PAGE.replace("\\\n", ""))]
WITH_VALUE = frozenset({"--volume", "--scale"})


def operands(words: list[str]) -> list[str]:
    """What is no option, nor the value of one."""
    return [word for before, word in zip(["", *words], words, strict=False) if not word.startswith("-") and before not in WITH_VALUE]


def test_the_services_that_the_page_names_exist() -> None:
    named = [operands(words)[1] for words in TYPED if words[0] in {"exec", "run", "logs", "stop"} and len(operands(words)) > 1]
    assert len(named) >= 6
    assert set(named) <= SERVICES.keys()


def test_what_the_page_runs_in_a_container_is_a_command() -> None:
    inside = [words[words.index(operands(words)[2]) :] for words in TYPED if words[0] in {"exec", "run"}]
    ours = [words[1:] if words[0] == "driftgate" else words for words in inside if words[0] in {"driftgate", "reference"}]
    assert len(ours) == 2
    assert [why for words in ours if (why := wrong(shlex.join(words)))] == []


def test_the_addresses_that_the_page_names_are_published() -> None:
    variables = composed.variables()
    published = {port for name, port in variables.items() if name.endswith("_PORT")}
    assert set(re.findall(r"localhost:(\d+)", PAGE)) == published


@pytest.mark.server("compose-spec")
def test_the_override_of_the_page_lets_alertmanager_read_the_keys_that_its_configuration_names(tmp_path: Path) -> None:
    (text,) = re.findall(r'```yaml title="compose\.override\.yaml"\n(.*?)```', PAGE, re.DOTALL)
    (tmp_path / "compose.override.yaml").write_text(text, encoding="utf-8")
    reader = composed.reader()
    assert reader is not None
    files = [DEPLOY / "compose.yaml", tmp_path / "compose.override.yaml"]
    read = subprocess.run([reader, "-format=json", *files], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    mounted = {f"/run/secrets/{secret['source']}" for secret in json.loads(read.stdout)["services"]["alertmanager"]["secrets"]}
    assert mounted == set(re.findall(r"routing_key_file: (\S+)", (DEPLOY / "alertmanager/alertmanager.yml").read_text(encoding="utf-8")))
