"""What every part of the configuration is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Lower-case letters, digits and hyphens; at most 63.")
]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")]


Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=249)]
"""A topic's name; Kafka takes neither `.` nor `..`."""


class Section(BaseModel):
    """A part of the configuration: unknown fields are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
