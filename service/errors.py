"""Every error that driftgate raises on purpose.

    DriftgateError                  says what to do; `retryable` tells whether trying again can help
    ├── ConfigurationError          a setting is missing or wrong: field, value, remedy
    ├── InputError                  a sample, file or request is unusable; `reason` is a bounded label
    ├── ArtefactError               a reference, data set or model on disk is missing, damaged or of another embedder
    │   └── EmbedderError           a model that can't be trusted or run
    ├── ConflictError               somebody else changed the thing first: stale version, epoch, offset or sequence
    ├── NotFoundError               no such monitor, alarm, batch or cycle
    ├── BacklogFullError            the bounded queue is full (retryable, after `retry_after` seconds)
    ├── UnavailableError            a server that state or samples live on can't be reached or takes nothing now (retryable)
    │   └── RefusedError            it refuses who asks; that may be mended over there
    └── DeliveryError               the other side did not take what was sent; retryable unless it refused for good

Messages are written for the person who runs driftgate.
"""

from __future__ import annotations


class DriftgateError(Exception):
    """Base of the tree: the message is meant for the person who runs driftgate."""

    retryable = False


class ConfigurationError(DriftgateError):
    """A setting is missing or wrong."""


class InputError(DriftgateError):
    """A sample, file or request is unusable; `reason` is one of a bounded set of metric labels."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ArtefactError(DriftgateError):
    """Something on disk is missing, damaged or belongs to another embedder."""


class EmbedderError(ArtefactError):
    """A model that can't be trusted or run."""


class ConflictError(DriftgateError):
    """The stored state is not the one this change was made for."""


class NotFoundError(DriftgateError):
    """The named thing does not exist."""


def absent(kind: str, id: str) -> NotFoundError:
    """What to say of an entity that does not exist, and where those are that do."""
    listed = "; `driftgate alarm list` has them" if kind == "alarm" else ""
    return NotFoundError(f"no {kind} {id!r:.100}{listed}")


class BacklogFullError(DriftgateError):
    """The bounded queue is full."""

    retryable = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(DriftgateError):
    """A server that state or samples live on can't be reached or takes nothing now."""

    retryable = True


class RefusedError(UnavailableError):
    """The server knows the user, the password or the rights not to be right: who waits for that waits for a person."""


class DeliveryError(DriftgateError):
    """The other side did not take what was sent; `gone`: and asks to be sent nothing any more."""

    def __init__(self, message: str, *, retryable: bool, retry_after: float | None = None, gone: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.gone = gone
