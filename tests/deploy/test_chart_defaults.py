"""What the chart's templates take for granted is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from service.app import configuration
from service.settings import KafkaSettings, RoleSettings, S3Storage

CHART = Path(__file__).resolve().parents[2] / "helm" / "driftgate"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
GIGABYTE, GIBIBYTE = 1_000_000_000, 2**30


def template(name: str) -> str:
    return (CHART / "templates" / name).read_text(encoding="utf-8")


def test_a_change_of_what_is_read_again_restarts_nothing() -> None:
    (listed,) = re.findall(r"omit \.Values\.config ((?:\"\w+\" )+)", template("_names.tpl"))
    assert set(re.findall(r"\w+", listed)) == configuration._LIVE


def test_the_grace_is_the_program_s() -> None:
    grace = RoleSettings().grace_seconds
    assert f'dig "roles" "grace_seconds" {grace:g} .Values.config' in template("_checks.tpl")
    (pause,) = re.findall(r'command: \[sleep, "(\d+)"\]', template("_pod.tpl"))
    assert f"(add $grace {pause})" in template("_checks.tpl")
    assert VALUES["terminationGracePeriodSeconds"] > grace + int(pause)


def test_keda_is_told_what_the_program_goes_by_where_nothing_is_said() -> None:
    kafka = KafkaSettings(brokers=("kafka:9092",))
    assert f'"{kafka.ingest_topic}" (hasKey .Values.config.kafka "ingest_topic")' in template("_kafka.tpl")
    assert f'$kafka.group | default "{kafka.group}"' in template("keda.yaml")


def test_the_disk_of_a_pod_holds_the_copies_and_what_is_made() -> None:
    size = int(VALUES["persistence"]["cacheSize"].removesuffix("Gi")) * GIBIBYTE
    assert size >= S3Storage(type="s3", bucket="drift").cache_bytes + 2 * GIGABYTE
