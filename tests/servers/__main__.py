"""Kafka and Redis on loopback until Ctrl-C, for a developer or a benchmark: `.venv/bin/python -m tests.servers`."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer


def main() -> None:
    """Says where they are, then waits."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftgate-servers-")))
        redis, kafka = RedisServer(folder / "redis"), KafkaServer(folder / "kafka")
        for server in (redis, kafka):
            stack.callback(server.kill)
            server.start()
        sys.stdout.write(f"redis {redis.url}\nkafka {kafka.bootstrap}\nCtrl-C stops both\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            Event().wait()


if __name__ == "__main__":
    main()
