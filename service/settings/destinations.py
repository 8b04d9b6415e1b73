"""Where alarms, annotation batches and refresh requests go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.errors import ConfigurationError
from service.settings.section import Name, Section

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, the cluster's certificate and its namespace."""


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


class KubernetesJobDestination(Section):
    """A Kubernetes Job for each refresh request, from a template, named after the cycle."""

    type: Literal["kubernetes_job"]
    name: Name
    template: Path = Field(description="YAML of a `batch/v1` Job; name, suspension and DRIFTGATE_* variables are filled in.")
    server: str = Field("https://kubernetes.default.svc", pattern=r"^https://", description="The API server.")
    namespace: str = Field("", pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$", description="The pod's own where it is empty.")
    token_file: Path = Field(SERVICE_ACCOUNT / "token", description="Who we are to the API server; read at each delivery.")
    ca_file: Path = Field(SERVICE_ACCOUNT / "ca.crt", description="By whom its certificate is signed.")


Destination = Annotated[WebhookDestination | FolderDestination | KubernetesJobDestination, Field(discriminator="type")]
