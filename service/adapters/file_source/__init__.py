"""Samples from files: JSONL, `.npy` and Parquet."""

from service.adapters.file_source.source import FileSource, read_samples

__all__ = ["FileSource", "read_samples"]
