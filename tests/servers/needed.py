"""What a test can say that it needs, and whether this machine has it."""

from __future__ import annotations

import shutil

from tests.servers import composed, grafana_schema
from tests.servers.cluster_programs import PROGRAMS, program
from tests.servers.kafka_server import jars
from tests.servers.label_studio_server import installed
from tests.servers.s3_server import gateway

CLUSTER = PROGRAMS | {"kubernetes"}
"""What `make servers-cluster` installs."""

FOUND = {"compose-spec": composed.reader, "versitygw": gateway, "label-studio": installed}
"""What looks for what `make servers` installs or builds."""


def present(name: str) -> bool:
    """`kafka` is a folder of jars and a Java to run them, a cluster's programs were built, `label-studio` is an environment of its own;
    everything else is on the path."""
    if name in PROGRAMS:
        return program(name) is not None
    if name == "kubernetes":
        return all(map(program, PROGRAMS)) and shutil.which("etcd") is not None
    if name in FOUND:
        return FOUND[name]() is not None
    if name == "grafana-schema":
        return shutil.which("node") is not None and grafana_schema.installed() is not None
    return shutil.which("java") is not None and jars() is not None if name == "kafka" else shutil.which(name) is not None
