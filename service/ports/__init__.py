"""The seams of the service: what it asks of the world. Concrete classes live in `adapters/`, chosen in `app` alone."""

from __future__ import annotations

from service.ports.embedding import Embedded, Embedder
from service.ports.files import GRACE_SECONDS, Archive, Blobs, BlobStore, Folders, Lasting, Revision, Stretch
from service.ports.leaving import Annotator, DeadLetterTopic, Destination, Hook
from service.ports.reading import Bounds, Log, LogEntry, Sink, Source, Topics
from service.ports.store import E, Progress, Store, asked

__all__ = [
    "GRACE_SECONDS",
    "Annotator",
    "Archive",
    "BlobStore",
    "Blobs",
    "Bounds",
    "DeadLetterTopic",
    "Destination",
    "E",
    "Embedded",
    "Embedder",
    "Folders",
    "Hook",
    "Lasting",
    "Log",
    "LogEntry",
    "Progress",
    "Revision",
    "Sink",
    "Source",
    "Store",
    "Stretch",
    "Topics",
    "asked",
]
