"""Teams: who owns monitors, who hears of them, and how much of the installation they may take."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.settings.section import Name, Section


class RouteSettings(Section):
    """Which news goes to which destinations."""

    to: tuple[Name, ...] = Field(min_length=1, description="Destinations.")
    severity: Literal["warning", "critical"] = Field("warning", description="Alarms below it do not take this route.")
    news: tuple[Literal["alarms", "feed", "refresh"], ...] = Field(
        (), description="Drift alarms, alarms of the feed (blind, no traffic), refresh cycles; nothing: all of them."
    )


class QuotaSettings(Section):
    """The most that a team's monitors may take together; null: no limit."""

    monitors: int | None = Field(None, ge=0, le=1_000, description="Monitors.")
    samples_per_second: float | None = Field(None, gt=0, description="Samples over HTTP, averaged over ten seconds; beyond it 429.")
    blob_bytes: int | None = Field(None, ge=0, description="Bytes of kept payloads; beyond it samples go on without.")
    label_cost: float | None = Field(None, ge=0, description="Money for labels in 30 days; beyond it batches wait.")


class TeamSettings(Section):
    """One team; monitors name it as `team`."""

    name: Name
    routes: tuple[RouteSettings, ...] = Field((), description="Who hears of its monitors, besides each monitor's own `notify`.")
    quotas: QuotaSettings = QuotaSettings()
