"""What leaves over HTTP: signed, in the form that the receiver reads, and to nothing inside the network unless that is allowed."""

from __future__ import annotations

from service.adapters.webhook.destination import WebhookDestination

__all__ = ["WebhookDestination"]
