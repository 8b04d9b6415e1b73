"""Who may come in: limits, sessions, the audit log, and a proxy that says who asks."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from service.settings.section import Name, Section

RoleName = Literal["ingest", "reader", "operator", "admin"]

_HEADER = r"^[A-Za-z0-9-]{1,100}$"


class GroupSettings(Section):
    """What a group of people may do."""

    group: str = Field(min_length=1, max_length=200, description="As the proxy names it.")
    role: RoleName = Field(description="Its role.")
    teams: tuple[Name, ...] = Field((), description="Over the monitors of these teams; with neither teams nor monitors over all.")
    monitors: tuple[Name, ...] = Field((), description="Over these monitors.")


class TrustedHeaderSettings(Section):
    """A proxy that authenticates people and says in headers who they are. From other addresses these headers count for nothing."""

    proxies: tuple[str, ...] = Field(min_length=1, description="Addresses or networks (CIDR) that the proxy itself calls from.")
    user_header: str = Field("X-Forwarded-User", pattern=_HEADER, description="Names the person.")
    groups_header: str = Field("X-Forwarded-Groups", pattern=_HEADER, description="Names their groups, with commas between them.")
    grants: tuple[GroupSettings, ...] = Field(min_length=1, description="What each group may do; whoever is in none is refused.")
    secret_header: str = Field("X-Driftgate-Proxy", pattern=_HEADER, description="In which the proxy shows the secret, where there is one.")
    secret_file: Path | None = Field(
        None, description="File with a secret that the proxy adds to each request; else DRIFTGATE__PROXY_SECRET."
    )

    @field_validator("proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for text in proxies:
            try:
                network = ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"{text!r:.80} is no address or network: {error}") from error
            if network.prefixlen == 0:
                raise ValueError(f"{text} is everybody: name the proxy's own addresses")
        return proxies


class AccessSettings(Section):
    """Tokens are made by `driftgate token`; this is what holds for all who come."""

    requests_per_second: float = Field(
        5_000.0, gt=0, description="Of each token and of each address, with bursts of twice as many; beyond it 429."
    )
    failures_per_minute: float = Field(
        20.0, gt=0, description="Wrong tokens from an address; beyond it 429 for all but right ones that were made here."
    )
    requests_at_once: int = Field(200, ge=8, le=1_000, description="Requests that are worked on at the same time; beyond it 429.")
    bytes_at_once: int = Field(500_000_000, ge=1_000_000, description="Of the bodies that are read at the same time; beyond it 429.")
    session_hours: float = Field(12.0, gt=0, le=720, description="After so long the console asks for the token again.")
    rotation_hours: float = Field(24.0, ge=0, le=720, description="How long the secret before a rotation is still good.")
    audit_days: float = Field(365.0, gt=0, le=3_650, description="Days that entries of the audit log are kept.")
    trusted_header: TrustedHeaderSettings | None = None

    @model_validator(mode="after")
    def _groups(self) -> Self:
        groups = [] if self.trusted_header is None else [(grant.group, grant.role) for grant in self.trusted_header.grants]
        if len(set(groups)) < len(groups):
            raise ValueError("trusted_header.grants: a group has the same role twice; name its teams and monitors together")
        return self
