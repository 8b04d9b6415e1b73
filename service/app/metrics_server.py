"""The listener that metrics have of their own, where they are to have one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import structlog
from prometheus_client import CollectorRegistry

from service.access import is_loopback
from service.access.configured import metrics_token
from service.api import listen
from service.api.scraping import create_metrics
from service.app.process import answering
from service.errors import ConfigurationError
from service.settings import Settings

log = structlog.get_logger()


@contextmanager
def serving_metrics(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    """Answers scrapes from the start, also while the store is waited for, until the end. Without a port of its own nothing."""
    server, token = settings.server, metrics_token(settings)
    if server.metrics_port is None:
        if token is not None:
            raise ConfigurationError(
                "server.metrics_token_file: it is asked for on server.metrics_port, which is not set; set one, or mint a token of the "
                "role reader for Prometheus (`driftgate token mint`)"
            )
        yield
        return
    host = server.metrics_host or server.host
    with closing(listen(host, server.metrics_port, "server.metrics_port")) as listening:
        found, port = listening.getsockname()[:2]
        log.info("metrics listening", host=found, port=port)
        with answering(create_metrics(registry, token, loopback=is_loopback(host)), listening):
            yield
