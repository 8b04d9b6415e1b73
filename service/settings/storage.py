"""Where references, data sets, models, reports, payloads and old panes lie: below the directory, or in object storage that speaks S3."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from service.settings.section import Section


class DirectoryStorage(Section):
    """Everything below `directory`; several processes share that folder."""

    type: Literal["directory"] = "directory"


class S3Storage(Section):
    """A bucket that all processes share; `directory` then holds copies of what is in use, for each process its own."""

    type: Literal["s3"]
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="It has to be there already.")
    prefix: str = Field(
        "driftgate",
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
        max_length=200,
        description="Begins every key, so that installations can share a bucket; no two of them the same.",
    )
    endpoint: str | None = Field(
        None, pattern=r"^https?://[^\s/?#@]+/?$", description="`https://minio.storage.svc:9000`; null: Amazon's own of the region."
    )
    region: str = Field("us-east-1", pattern=r"^[A-Za-z0-9-]{1,50}$", description="Requests are signed for it.")
    addressing: Literal["path", "virtual"] | None = Field(
        None, description="Whether the bucket stands in the path or in the host name; null: in the path where there is an `endpoint`."
    )
    ca_file: Path | None = Field(None, description="Certificates to trust beside the machine's.")
    access_key_file: Path | None = Field(
        None, description="File with the access key's id, read anew within seconds; null: the usual AWS_* variables, web identity or role."
    )
    secret_key_file: Path | None = Field(None, description="File with its secret; both or neither.")
    encryption: Literal["aes256", "kms"] | None = Field(
        None, description="What the server encrypts objects with; null: as the bucket says."
    )
    kms_key: str | None = Field(None, max_length=2_048, description="The key that `kms` uses; null: the account's own.")
    cache_bytes: int = Field(
        10_000_000_000, ge=100_000_000, description="Of the copies below `directory`; those that were not used for the longest time go."
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.access_key_file is None) != (self.secret_key_file is None):
            raise ValueError("access_key_file and secret_key_file go together: give both, or neither")
        if self.kms_key is not None and self.encryption != "kms":
            raise ValueError("kms_key is used with encryption: kms alone")
        return self

    @property
    def virtual_host(self) -> bool:
        """Whether the bucket stands in the host name."""
        return self.endpoint is None if self.addressing is None else self.addressing == "virtual"


Storage: TypeAlias = Annotated[DirectoryStorage | S3Storage, Field(discriminator="type")]
