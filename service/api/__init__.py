"""HTTP: ingest, queries, labels back, health and metrics."""

from service.api.application import create_app, create_probes, create_waiting, document
from service.api.context import Probes, Service
from service.api.serving import listen, server_for

__all__ = ["Probes", "Service", "create_app", "create_probes", "create_waiting", "document", "listen", "server_for"]
