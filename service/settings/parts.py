"""The parts that an installation runs on: HTTP, logs, Kafka, Redis, blobs, roles, reports, and the budget of false alarms."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from service.settings.section import RedisUrl, Section, Topic, Url

_HOST = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*")


class ServerSettings(Section):
    """HTTP."""

    host: str = Field("127.0.0.1", description="Address to listen on; one that others can reach requires a token.")
    port: int = Field(8080, ge=0, le=65535, description="0: a free one.")
    ingest_token_file: Path | None = Field(
        None, description="File with a token of the configuration itself, beside those of `driftgate token`; or DRIFTGATE__INGEST_TOKEN."
    )
    ingest_token_role: Literal["ingest", "reader", "operator", "admin"] = Field(
        "admin", description="What whoever shows that token may do; `ingest` once people have tokens of their own."
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Address under which others reach this server; signed links to samples and data sets begin with it. Null: no links.",
    )
    link_days: float = Field(30.0, gt=0, le=3_650, description="Days that links outlive a batch's deadline; without one, its making.")
    link_secret_file: Path | None = Field(
        None, description="File with the secret that signs links; else DRIFTGATE__LINK_SECRET, else one made in the directory."
    )
    webhook_secret_file: Path | None = Field(
        None, description="File with the secrets of `POST /v1/annotations`, read anew when it changes; else DRIFTGATE__WEBHOOK_SECRET."
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65_535, description="Port of its own for `/metrics`; null: on `port`, for whoever may read. 0: a free one."
    )
    metrics_host: str | None = Field(None, description="Address of that port; null: `host`.")
    metrics_token_file: Path | None = Field(
        None, description="File with the token that Prometheus sends to that port (or DRIFTGATE__METRICS_TOKEN); without one it is open."
    )
    max_body_bytes: int = Field(16_000_000, ge=1_000, description="Larger requests are refused.")
    max_model_bytes: int = Field(
        2_000_000_000,
        ge=1_000,
        description="Of a new model that is uploaded; more than `max_body_bytes`, as it goes to disk piece by piece.",
    )
    max_items: int = Field(10_000, ge=1, description="Samples in one request.")


class BudgetSettings(Section):
    """How many false alarms are acceptable over all monitors and segments together, at the traffic there is."""

    alarms: float = Field(1.0, gt=0, le=10_000, description="False alarms in `days` when nothing has changed.")
    days: float = Field(30.0, gt=0, le=3_650, description="Days that `alarms` counts for.")
    error_over_patience: float = Field(0.1, gt=0, le=1, description="Share of false ones in `driftgate fleet`, per `days` watched.")

    @property
    def per_second(self) -> float:
        """False alarms a second."""
        return self.alarms / (self.days * 86_400.0)


class LogSettings(Section):
    """The embedded log behind HTTP ingest."""

    backlog_bytes: int = Field(1_000_000_000, ge=100_000, description="Undecided bytes at which ingest answers 429.")
    retention_bytes: int = Field(200_000_000, ge=0, description="Decided bytes that are kept.")


class PaneLogSettings(Section):
    """The decided panes of each monitor, kept so that `driftgate backtest` can try another configuration on them."""

    retention_bytes: int = Field(500_000_000, ge=0, description="Bytes kept per monitor; a pane of any of its streams takes about 3 kB.")
    retention_days: float = Field(90.0, gt=0, le=3_650, description="Days of log time kept.")

    @property
    def retention_seconds(self) -> float:
        """As the log's time counts."""
        return self.retention_days * 86_400.0


class TlsSettings(Section):
    """Encrypted connections."""

    ca_file: Path | None = Field(None, description="Certificates to trust; the machine's by default.")
    certificate_file: Path | None = Field(None, description="The client's own certificate, where the server asks for one.")
    key_file: Path | None = Field(None, description="Its key.")
    verify_name: bool = Field(True, description="Whether the server's certificate must be of its host name.")


class SaslSettings(Section):
    """Who we are to the brokers. The password is DRIFTGATE__KAFKA_PASSWORD, or in a file."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(description="How the brokers ask who we are.")
    user: str = Field(min_length=1, description="The name they know us by.")
    password_file: Path | None = Field(None, description="File with the password; else DRIFTGATE__KAFKA_PASSWORD.")


class KafkaSettings(Section):
    """Samples from Kafka topics; with it HTTP ingest goes through a topic too."""

    brokers: tuple[str, ...] = Field(min_length=1, description="`host:port` of some brokers of the cluster.")
    group: str = Field("driftgate", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The consumer group that all workers share.")
    instance: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="This worker's name, kept over restarts (a pod's name): its partitions wait for it instead of moving.",
    )
    ingest_topic: Topic | None = Field(
        "driftgate-ingest",
        description="Topic that HTTP ingest writes to and workers read; null: this installation takes nothing over HTTP.",
    )
    dead_letter_topic: Topic | None = Field(
        "driftgate-dead-letters", description="Topic for what could not be used; null: the store alone."
    )
    session_seconds: float = Field(45.0, ge=1, le=1_800, description="A worker that is silent for so long loses its partitions.")
    handover_seconds: float = Field(20.0, ge=1, le=600, description="How long a rebalance waits for the batch in hand.")
    max_record_bytes: int = Field(16_000_000, ge=1_000, description="Larger records are dead-lettered.")
    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None


class RedisSettings(Section):
    """Exact state in Redis, shared by all processes; without it, in a SQLite file."""

    url: RedisUrl | None = Field(
        None, description="`redis://host:6379/0`, `rediss://` for TLS; without user and password, which are kept apart."
    )
    sentinels: tuple[str, ...] = Field((), description="`host:port` of Sentinels, instead of `url`.")
    service: str = Field("driftgate", description="The name under which Sentinels know the primary.")
    user: str | None = Field(None, description="ACL user.")
    password_file: Path | None = Field(None, description="File with the password; else DRIFTGATE__REDIS_PASSWORD.")
    prefix: str = Field("driftgate", pattern=r"^[A-Za-z0-9_-]{1,60}$", description="Begins every key, so that installations can share one.")
    tls: TlsSettings | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (not self.sentinels):
            raise ValueError("give either url or sentinels")
        return self


class BlobSettings(Section):
    """Payloads beside a Redis store."""

    cap_bytes: int = Field(10_000_000_000, ge=1_000_000, description="Bytes of payloads; beyond it samples go without, and are counted.")
    letter_days: float = Field(
        30.0,
        gt=0,
        le=3_650,
        description="Originals of dead letters that are too large for their topic are kept so long; at least its retention.",
    )


class RoleSettings(Section):
    """How processes share the work."""

    lease_seconds: float = Field(6.0, ge=1, le=60, description="A controller that is silent for so long is replaced by a standby.")
    grace_seconds: float = Field(25.0, ge=1, le=600, description="How long the batch in hand may take after SIGTERM.")


class OutboundSettings(Section):
    """Where deliveries may go."""

    allow: tuple[str, ...] = Field(
        (),
        max_length=1_000,
        description="Hosts and networks (CIDR) inside the network that destinations may name; all others there are refused.",
    )
    proxy: Url | None = Field(
        None, description="An HTTP proxy, `http://proxy:3128`, for all that lies outside; what `allow` names is reached without it."
    )
    proxy_credentials_file: Path | None = Field(
        None, description="File with `user:password`, where the proxy asks for them; read anew when it changes."
    )

    @field_validator("allow")
    @classmethod
    def _hosts_and_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for name in given:
            if not _is_network(name) and not _HOST.fullmatch(name):
                raise ValueError(f"{name!r:.80} is neither a host (`alertmanager.monitoring.svc`) nor a network (`10.0.0.0/8`)")
        return given


def _is_network(name: str) -> bool:
    try:
        ipaddress.ip_network(name)
    except ValueError:
        return False
    return True


class ReportSettings(Section):
    """Blind-spot reports; `driftgate report` and the API make one at any time."""

    every_hours: float | None = Field(
        None, ge=1, le=8_760, description="A controller makes each monitor's anew after so many hours (24: daily); null: on demand alone."
    )
    keep: int = Field(10, ge=1, le=1_000, description="Reports kept of each monitor, in `reports/` below the directory.")
