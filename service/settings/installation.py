"""The configuration as a whole: read, validated, relative paths made absolute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.errors import ConfigurationError
from service.settings.access import AccessSettings
from service.settings.destinations import Destination, KafkaDestination
from service.settings.monitors import MonitorSettings
from service.settings.notifications import NotificationSettings
from service.settings.parts import (
    BlobSettings,
    BudgetSettings,
    KafkaSettings,
    LogSettings,
    OutboundSettings,
    PaneLogSettings,
    RedisSettings,
    ReportSettings,
    RoleSettings,
    ServerSettings,
)
from service.settings.policy import PolicySettings, inherited
from service.settings.storage import DirectoryStorage, S3Storage, Storage
from service.settings.teams import TeamSettings


class Settings(BaseSettings):
    """Everything that one configuration file says."""

    model_config = SettingsConfigDict(env_prefix="DRIFTGATE__", env_nested_delimiter="__", extra="forbid", frozen=True)
    overridable: ClassVar[bool] = True

    directory: Path = Field(Path("driftgate-data"), description="Where state, references and data sets live.")
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    pane_log: PaneLogSettings = PaneLogSettings()
    kafka: KafkaSettings | None = None
    redis: RedisSettings | None = None
    blobs: BlobSettings = BlobSettings()
    storage: Storage = DirectoryStorage()
    roles: RoleSettings = RoleSettings()
    budget: BudgetSettings = BudgetSettings()
    report: ReportSettings = ReportSettings()
    access: AccessSettings = AccessSettings()
    ingest_token: SecretStr | None = Field(None, exclude=True, description="Set by DRIFTGATE__INGEST_TOKEN only.")
    webhook_secret: SecretStr | None = Field(None, exclude=True, description="Of `POST /v1/annotations`; DRIFTGATE__WEBHOOK_SECRET only.")
    metrics_token: SecretStr | None = Field(None, exclude=True, description="Of `server.metrics_port`; DRIFTGATE__METRICS_TOKEN only.")
    link_secret: SecretStr | None = Field(None, exclude=True, description="Of signed links; DRIFTGATE__LINK_SECRET only.")
    kafka_password: SecretStr | None = Field(None, exclude=True, description="Of `kafka.sasl`; DRIFTGATE__KAFKA_PASSWORD only.")
    redis_password: SecretStr | None = Field(None, exclude=True, description="Of Redis; DRIFTGATE__REDIS_PASSWORD only.")
    proxy_secret: SecretStr | None = Field(None, exclude=True, description="Of `access.trusted_header`; DRIFTGATE__PROXY_SECRET only.")
    outbound: OutboundSettings = OutboundSettings()
    notifications: NotificationSettings = NotificationSettings()
    destinations: tuple[Destination, ...] = ()
    teams: tuple[TeamSettings, ...] = Field((), max_length=1000)
    policy: PolicySettings = PolicySettings()
    monitors: tuple[MonitorSettings, ...] = Field((), max_length=1000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes it by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not read, as nothing else beside the file and the environment
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not read either
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings) if cls.overridable else (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _inherited(cls, document: Any) -> Any:
        """What a monitor does not say, the policy's defaults say."""
        policy, monitors = (document.get(name) for name in ("policy", "monitors")) if isinstance(document, dict) else (None, None)
        defaults = policy.get("defaults") if isinstance(policy, dict) else None
        if not isinstance(defaults, dict) or not isinstance(monitors, list | tuple):
            return document
        return {**document, "monitors": [inherited(defaults, each) if isinstance(each, dict) else each for each in monitors]}

    @model_validator(mode="after")
    def _names(self) -> Self:
        _unique("monitors", [m.name for m in self.monitors])
        _unique("destinations", [d.name for d in self.destinations])
        _unique("teams", [t.name for t in self.teams])
        for team in self.teams:
            for route in team.routes:
                self._require_declared(f"team {team.name}", route.to)
            self._require_room(team)
        for topic in self._event_topics:
            if self.kafka is None:
                raise ValueError(f"destination {topic.name}: type kafka needs the brokers of the section kafka")
        for monitor in self.monitors:
            self.require_destinations(monitor)
            self.require_own_topic(monitor)
        return self

    @model_validator(mode="after")
    def _kept(self) -> Self:
        """Nobody can know whether the directory lasts: beside a bucket it holds copies, and what is embedded would be no copy."""
        lacking = " and ".join(name for name in ("kafka", "redis") if getattr(self, name) is None)
        if isinstance(self.storage, S3Storage) and lacking:
            raise ValueError(
                f"storage of type s3 needs {lacking} as well: else samples or state would lie in `directory`, which beside a bucket holds "
                "copies and may go with its process; configure kafka and redis, or storage of type directory"
            )
        return self

    def _require_room(self, team: TeamSettings) -> None:
        """ValueError where the file declares more monitors for a team than it may have; those declared by API are counted there."""
        own, most = [monitor.name for monitor in self.monitors if monitor.team == team.name], team.quotas.monitors
        if most is not None and len(own) > most:
            raise ValueError(f"team {team.name}: {len(own)} monitors are declared and quotas.monitors allows {most}: {', '.join(own[:20])}")

    def require_destinations(self, monitor: MonitorSettings) -> None:
        """ValueError where the monitor names a destination, or a team, that is not declared."""
        named = (*monitor.notify, monitor.annotation.destination, *monitor.refresh.destinations)
        self._require_declared(f"monitor {monitor.name}", [name for name in named if name is not None])
        known = [team.name for team in self.teams]
        if monitor.team is not None and monitor.team not in known:
            raise ValueError(f"monitor {monitor.name}: team {monitor.team!r} is not declared; known: {', '.join(sorted(known)) or 'none'}")

    def _require_declared(self, by: str, destinations: Iterable[str]) -> None:
        known = {d.name for d in self.destinations}
        for name in destinations:
            if name not in known:
                raise ValueError(f"{by}: destination {name!r} is not declared; known: {', '.join(sorted(known)) or 'none'}")

    def require_own_topic(self, monitor: MonitorSettings) -> None:
        """ValueError where the monitor reads a topic that is written to: dead letters would come again without end."""
        if monitor.topic is None or self.kafka is None:
            return
        for field in ("ingest_topic", "dead_letter_topic"):
            if monitor.topic.name == getattr(self.kafka, field):
                raise ValueError(
                    f"monitor {monitor.name}: topic {monitor.topic.name} is kafka.{field}; give its samples a topic of their own"
                )
        for destination in self._event_topics:
            if monitor.topic.name == destination.topic:
                raise ValueError(
                    f"monitor {monitor.name}: topic {monitor.topic.name} is destination {destination.name}'s; give its samples another"
                )

    @property
    def _event_topics(self) -> list[KafkaDestination]:
        return [destination for destination in self.destinations if isinstance(destination, KafkaDestination)]

    def team_of(self, monitor: MonitorSettings) -> TeamSettings | None:
        """The monitor's team, None where it has none."""
        return next((team for team in self.teams if team.name == monitor.team), None)

    def monitor(self, name: str) -> MonitorSettings:
        """The monitor of that name; ConfigurationError lists those there are."""
        for monitor in self.monitors:
            if monitor.name == name:
                return monitor
        known = ", ".join(m.name for m in self.monitors) or "none"
        raise ConfigurationError(f"no monitor {name!r} in the configuration; declared: {known}")


class _Given(Settings):
    """What the document says, whatever the environment."""

    overridable = False


M = TypeVar("M", bound=BaseModel)


def _unique(field: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{field}: declared twice: {', '.join(twice)}")


def load(path: Path) -> Settings:
    """Reads and validates the file; every error names field, value and remedy, all of them at once."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}. `driftgate init` writes a commented configuration.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a mapping at the top, found {type(document).__name__}")
    return parse(document, base=path.resolve().parent, origin=str(path))


def parse(document: Mapping[str, Any], *, base: Path, origin: str = "configuration", environment: bool = True) -> Settings:
    """Validates a document; relative paths are taken from `base`. `environment`: whether DRIFTGATE__… variables override it."""
    try:
        settings = (Settings if environment else _Given)(**document)
    except ValidationError as error:
        raise ConfigurationError(f"{origin}:\n" + "\n".join(_explain(dict(e)) for e in error.errors())) from error
    return _absolute(settings, base)


def _explain(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "(whole file)"
    shown = f" (found {error['input']!r:.80})" if _may_be_shown(error) else ""
    return f"  {where}: {error['msg'].removeprefix('Value error, ')}{shown}"


def _may_be_shown(error: Mapping[str, Any]) -> bool:
    """Not what may hold a secret: errors end in logs. Of a field that does not exist nobody knows what stands in it."""
    value, where = error.get("input"), str(error["loc"][-1:])
    if isinstance(value, Mapping) or error["type"] in {"missing", "extra_forbidden"}:
        return False
    return not (_SECRET.search(where) or _ADDRESS.search(repr(value)))


def _absolute(section: M, base: Path) -> M:
    """A copy in which every relative path stands below `base`."""

    def mend(value: Any) -> Any:
        if isinstance(value, Path):
            return base / value.expanduser()
        if isinstance(value, BaseModel):
            return _absolute(value, base)
        if isinstance(value, tuple):
            return tuple(mend(v) for v in value)
        return value

    return section.model_copy(update={name: mend(getattr(section, name)) for name in type(section).model_fields})


_SECRET, _ADDRESS = re.compile("secret|token|password"), re.compile("://|@")
"""Fields that are secrets or lead to them, and values that are addresses: these hold secrets by mistake or, as Slack's, by nature."""

TOKEN = re.compile(r"^[\x21-\x7e]{16,512}$")
"""What an ingest token may look like: printable, at least 16 characters."""
