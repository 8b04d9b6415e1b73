"""References, data sets, models, reports, payloads and old panes in a bucket that speaks S3."""

from __future__ import annotations

from service.adapters.object_storage.blobs import BlobObjects
from service.adapters.object_storage.folders import COPIES, ObjectFolders
from service.adapters.object_storage.objects import Objects
from service.adapters.object_storage.panes import PaneObjects

__all__ = ["COPIES", "BlobObjects", "ObjectFolders", "Objects", "PaneObjects"]
