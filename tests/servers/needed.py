"""What a test can say that it needs, and whether this machine has it."""

from __future__ import annotations

import shutil

from tests.servers.kafka_server import jars


def present(name: str) -> bool:
    """`kafka` is a folder of jars and a Java to run them; everything else a program on the path."""
    return shutil.which("java") is not None and jars() is not None if name == "kafka" else shutil.which(name) is not None
