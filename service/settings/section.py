"""What every part of the configuration is made of."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Lower-case letters, digits and hyphens; at most 63.")
]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")]


Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=249)]
"""A topic's name; Kafka takes neither `.` nor `..`."""


def _address(url: str) -> str:
    """Credentials in an address would be shown with it; and `https://good@evil/` leads to evil."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - ValueError where it is no number
    except ValueError:  # which tells parts of the address
        raise ValueError("no address: its host or its port can't be read") from None
    if not parts.hostname:
        raise ValueError("no address: it names no host")
    if "@" in parts.netloc:
        raise ValueError("an address holds no user and no password: name a file or an environment variable with the secret")
    if not url.isprintable() or "\\" in url or " " in url:
        raise ValueError("an address holds neither spaces, backslashes nor control characters")
    return url


Url = Annotated[
    str,
    Field(pattern=r"^https?://", max_length=2_000, json_schema_extra={"pattern": r"^https?://[^\s/?#@]+([/?#]\S*)?$"}),
    AfterValidator(_address),
]
"""An address over HTTP. Schemas say what _address says, for whoever goes by them alone: the chart keeps configurations in a ConfigMap."""

RedisUrl = Annotated[
    str, Field(pattern=r"^rediss?://[^\s?#]*$", json_schema_extra={"pattern": r"^rediss?://[^\s?#@]+$"}), AfterValidator(_address)
]
"""A Redis server's. Its library takes a password from the query, too, so there is none."""


class Section(BaseModel):
    """A part of the configuration: unknown fields are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
