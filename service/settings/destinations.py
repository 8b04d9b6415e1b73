"""Where alarms, annotation batches and refresh requests go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.errors import ConfigurationError
from service.settings.section import Name, Section, Topic, Url

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, the cluster's certificate and its namespace."""


Timeout = Annotated[float, Field(gt=0, le=60, description="Seconds that a delivery may take.")]


def _one_of(file: Path | None, variable: str | None, what: str, why: str) -> None:
    """Where exactly one of the two must be given."""
    if (file is None) == (variable is None):
        raise ValueError(f"give either {what}_file or {what}_env: {why}")


class WebhookDestination(Section):
    """Deliveries over HTTP, signed as Standard Webhooks."""

    type: Literal["webhook"]
    name: Name
    url: Url = Field(description="Where deliveries are posted.")
    format: Literal["standard", "cloudevents", "cloudevents-binary", "github"] = Field(
        "standard",
        description="Standard Webhooks; CloudEvents 1.0, structured or binary (Argo Events, Knative); GitHub's repository dispatch.",
    )
    payload: Literal["link", "inline"] = Field(
        "link", description="Of annotation batches: signed links to the samples, where `server.public_url` is set, or the samples."
    )
    secret_file: Path | None = Field(None, description="File with the secret, `whsec_…`; several while it is changed, each signs.")
    secret_env: str | None = Field(None, description="Environment variable with the secret.")
    token_file: Path | None = Field(None, description="File with a bearer token, where the receiver asks for one.")
    token_env: str | None = Field(None, description="Environment variable with it.")
    timeout: Timeout = 20.0

    @model_validator(mode="after")
    def _known_to_the_receiver(self) -> Self:
        if self.secret_file is not None and self.secret_env is not None:
            raise ValueError("give either secret_file or secret_env")
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("give either token_file or token_env")
        if self.format == "standard" and self.secret_file is None and self.secret_env is None:
            raise ValueError("give either secret_file or secret_env: every standard webhook is signed")
        if self.format == "github" and self.token_file is None and self.token_env is None:
            raise ValueError("give either token_file or token_env: GitHub asks for a token that may write to the repository's contents")
        return self


def read_secrets(destination: WebhookDestination) -> list[str]:
    """The destination's secrets, as they stand in its file or environment variable now; several while they are changed."""
    if destination.secret_file is None and destination.secret_env is None:
        return []
    found, origin = _value(destination.secret_file, destination.secret_env)
    if not found:
        raise ConfigurationError(f"destination {destination.name}: no secret in {origin}; it holds `whsec_` and 24 to 64 bytes in base64")
    return found


def read_token(destination: WebhookDestination | LabelStudioDestination | AlertmanagerDestination) -> str | None:
    """Its bearer token, None where it has none."""
    if destination.token_file is None and destination.token_env is None:
        return None
    found, origin = _value(destination.token_file, destination.token_env)
    if len(found) != 1 or not found[0].isascii():
        raise ConfigurationError(f"destination {destination.name}: no token in {origin}; it holds one, in ASCII without spaces")
    return found[0]


def read_key(destination: PagerDutyDestination) -> str:
    """Its integration's key."""
    found, origin = _value(destination.key_file, destination.key_env)
    if len(found) != 1 or not found[0].isascii():
        raise ConfigurationError(f"destination {destination.name}: no integration key in {origin}; it holds one, of 32 characters")
    return found[0]


def read_urls(destination: SlackDestination | AppriseDestination) -> list[str]:
    """The addresses that are secrets themselves, as they stand now."""
    found, origin = _value(destination.url_file, destination.url_env)
    if not found:
        raise ConfigurationError(f"destination {destination.name}: no address in {origin}; it holds one, and nothing else")
    return found


def _value(path: Path | None, variable: str | None) -> tuple[list[str], str]:
    """(what stands there, word by word; where that is)."""
    if variable is not None:
        return os.environ.get(variable, "").split(), f"environment variable {variable}"
    try:
        return (path or Path()).read_text(encoding="utf-8").split(), f"file {path}"
    except (OSError, UnicodeDecodeError):
        return [], f"file {path}"


class FolderDestination(Section):
    """Files in a folder."""

    type: Literal["folder"]
    name: Name
    path: Path = Field(description="Made where it is missing.")
    format: Literal["jsonl", "parquet"] = Field("jsonl", description="Of annotation batches; parquet needs driftgate[parquet].")


class KafkaDestination(Section):
    """Events in a Kafka topic of the configured brokers, as CloudEvents in binary mode, keyed by their cycle."""

    type: Literal["kafka"]
    name: Name
    topic: Topic = Field(description="Exists already; no monitor reads it.")


class KubernetesJobDestination(Section):
    """A Kubernetes Job for each refresh request, from a template, named after the cycle."""

    type: Literal["kubernetes_job"]
    name: Name
    template: Path = Field(description="YAML of a `batch/v1` Job; name, suspension and DRIFTGATE_* variables are filled in.")
    server: str = Field("https://kubernetes.default.svc", pattern=r"^https://", description="The API server.")
    namespace: str = Field("", pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$", description="The pod's own where it is empty.")
    token_file: Path = Field(SERVICE_ACCOUNT / "token", description="Who we are to the API server; read at each delivery.")
    ca_file: Path = Field(SERVICE_ACCOUNT / "ca.crt", description="By whom its certificate is signed.")


class LabelStudioDestination(Section):
    """Annotation batches as tasks of a Label Studio server, one project per monitor; answers come back by its webhook and by asking."""

    type: Literal["label_studio"]
    name: Name
    url: Url = Field(description="Of the server, with its path where it has one.")
    token_file: Path | None = Field(None, description="File with an access token, a personal or a legacy one.")
    token_env: str | None = Field(None, description="Environment variable with it.")
    payload: Literal["link", "inline"] = Field(
        "link", description="Of images: signed links, where `server.public_url` is set, or the images. Texts stand in the tasks."
    )
    poll_seconds: float = Field(60.0, ge=1, le=86_400, description="Between two looks for answers that its webhook did not bring.")
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds that an answer of the server may take.")

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token_file is None) == (self.token_env is None):
            raise ValueError("give either token_file or token_env: Label Studio asks who we are")
        return self


class AlertmanagerDestination(Section):
    """Alarms to the Alertmanagers of a cluster, by their v2 API: sent again while they stand, so that they end by themselves once
    driftgate does."""

    type: Literal["alertmanager"]
    name: Name
    urls: tuple[Url, ...] = Field(
        min_length=1, max_length=16, description="Each Alertmanager of the cluster, with its path prefix where it has one; all are told."
    )
    labels: dict[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$")], str] = Field(
        {}, max_length=16, description="Further labels of every alert: `cluster: eu-1`."
    )
    resend_seconds: float = Field(60.0, ge=1, le=600, description="Between two sendings of what stands; it expires after four of them.")
    token_file: Path | None = Field(None, description="File with a bearer token, where they ask for one.")
    token_env: str | None = Field(None, description="Environment variable with it.")
    timeout: Timeout = 10.0

    @model_validator(mode="after")
    def _at_most_one_token(self) -> Self:
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("give either token_file or token_env")
        return self


class PagerDutyDestination(Section):
    """Alarms as PagerDuty incidents (Events API v2): triggered, acknowledged, resolved. Other news do not take this way."""

    type: Literal["pagerduty"]
    name: Name
    key_file: Path | None = Field(None, description="File with the integration's key.")
    key_env: str | None = Field(None, description="Environment variable with it.")
    url: Url = Field("https://events.pagerduty.com/v2/enqueue", description="Of the events API; the EU's is events.eu.pagerduty.com.")
    timeout: Timeout = 20.0

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        _one_of(self.key_file, self.key_env, "key", "an integration's key says which service is paged")
        return self


class SlackDestination(Section):
    """News as messages to an incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat)."""

    type: Literal["slack"]
    name: Name
    url_file: Path | None = Field(None, description="File with the webhook's address, which is a secret.")
    url_env: str | None = Field(None, description="Environment variable with it.")
    timeout: Timeout = 20.0

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        _one_of(self.url_file, self.url_env, "url", "the address of an incoming webhook is a secret")
        return self


class AppriseDestination(Section):
    """News through Apprise (e-mail, Teams, Telegram, …); needs driftgate[notify]. It connects by itself: `outbound.allow` does not hold for
    it."""

    type: Literal["apprise"]
    name: Name
    url_file: Path | None = Field(None, description="File with Apprise addresses, separated by spaces or lines.")
    url_env: str | None = Field(None, description="Environment variable with them.")

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        _one_of(self.url_file, self.url_env, "url", "Apprise addresses hold passwords")
        return self


Destination = Annotated[
    WebhookDestination
    | FolderDestination
    | KafkaDestination
    | KubernetesJobDestination
    | LabelStudioDestination
    | AlertmanagerDestination
    | PagerDutyDestination
    | SlackDestination
    | AppriseDestination,
    Field(discriminator="type"),
]
