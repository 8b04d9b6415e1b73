"""What people are asked, and what they answer: the label scheme, batches and their life, gold, and the consensus of several answers."""

from __future__ import annotations

from service.annotation.life import (
    Reason,
    TakenBack,
    agreed,
    approve,
    cancel,
    close,
    outgoing,
    propose,
    returned,
    send,
    take_back,
)

__all__ = ["Reason", "TakenBack", "agreed", "approve", "cancel", "close", "outgoing", "propose", "returned", "send", "take_back"]
