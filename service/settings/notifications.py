"""What messages about alarms say, and how often they say it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.settings.section import Section


class NotificationSettings(Section):
    """News of alarms, to whatever destination."""

    repeat_hours: float | None = Field(
        4.0, ge=0.1, le=720, description="A critical alarm that nobody acknowledges is told again after so many hours; null: told once."
    )
    exemplars: Literal["ids", "text"] = Field(
        "ids", description="How messages name samples. `text` lets the first 200 characters of three payloads leave."
    )
    runbooks: str | None = Field(
        None, pattern=r"^https?://[^\s?#]+$", description="Address of a copy of docs/runbooks, which messages link to."
    )
