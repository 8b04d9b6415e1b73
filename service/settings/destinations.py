"""Where alarms, annotation batches and refresh requests go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.errors import ConfigurationError
from service.settings.section import Name, Section


class WebhookDestination(Section):
    """Signed Standard Webhooks over HTTP."""

    type: Literal["webhook"]
    name: Name
    url: str = Field(pattern=r"^https?://", description="Where deliveries are posted.")
    secret_file: Path | None = Field(None, description="File with the secret, `whsec_…`.")
    secret_env: str | None = Field(None, description="Environment variable with the secret.")
    timeout: float = Field(20.0, gt=0, le=60, description="Seconds that a delivery may take.")
    allow_private: bool = Field(False, description="Allow addresses inside the network (loopback, private ranges).")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("give either secret_file or secret_env: every webhook is signed")
        return self


def read_secret(destination: WebhookDestination) -> str:
    """The destination's secret, from its file or environment variable."""
    if destination.secret_env is not None:
        value = os.environ.get(destination.secret_env, "")
        origin = f"environment variable {destination.secret_env}"
    else:
        path = destination.secret_file or Path()
        origin = f"file {path}"
        value = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not value.strip():
        raise ConfigurationError(f"destination {destination.name}: no secret in {origin}; it holds `whsec_` and 24 to 64 bytes in base64")
    return value.strip()


class FolderDestination(Section):
    """JSONL files in a folder."""

    type: Literal["folder"]
    name: Name
    path: Path = Field(description="Made where it is missing.")


Destination = Annotated[WebhookDestination | FolderDestination, Field(discriminator="type")]
