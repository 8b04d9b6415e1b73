"""HTTP: ingest, queries, labels back, health and metrics."""

from service.api.application import create_app
from service.api.context import Service
from service.api.serving import listen, server_for

__all__ = ["Service", "create_app", "listen", "server_for"]
