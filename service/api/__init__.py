"""HTTP: ingest, queries, labels back, health and metrics."""

from service.api.application import create_app
from service.api.context import Service
from service.api.serving import ApiServer, server_for

__all__ = ["ApiServer", "Service", "create_app", "server_for"]
