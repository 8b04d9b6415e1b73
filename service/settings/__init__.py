"""The configuration: one YAML file, environment overrides, validated as a whole.

`DRIFTGATE__SERVER__PORT=9000` overrides `server.port`; lists (monitors, destinations) come from the file.
Relative paths are taken from the folder of the file.
"""

from __future__ import annotations

from service.settings.access import AccessSettings, TrustedHeaderSettings
from service.settings.annotation import AnnotationSettings
from service.settings.destinations import (
    AlertmanagerDestination,
    AppriseDestination,
    Destination,
    FolderDestination,
    KafkaDestination,
    KubernetesJobDestination,
    LabelStudioDestination,
    PagerDutyDestination,
    SlackDestination,
    WebhookDestination,
    read_key,
    read_secrets,
    read_token,
    read_urls,
)
from service.settings.installation import TOKEN, Settings, load, parse
from service.settings.monitors import (
    DetectionSettings,
    EmbedderSettings,
    KserveSettings,
    MonitorSettings,
    PoolSettings,
    SegmentSettings,
    TopicSettings,
)
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
    SaslSettings,
    ServerSettings,
    TlsSettings,
)
from service.settings.policy import CHECKS, CheckName, ExemptionSettings, PolicySettings, RequireSettings
from service.settings.privacy import PatternSettings, PrivacySettings
from service.settings.refresh import RefreshSettings
from service.settings.section import Name, Section, Tag
from service.settings.selection import PERIOD_DAYS, SelectionSettings
from service.settings.storage import DirectoryStorage, S3Storage
from service.settings.teams import QuotaSettings, RouteSettings, TeamSettings
from service.settings.truth import TruthSettings

__all__ = [
    "CHECKS",
    "PERIOD_DAYS",
    "TOKEN",
    "AccessSettings",
    "AlertmanagerDestination",
    "AnnotationSettings",
    "AppriseDestination",
    "BlobSettings",
    "BudgetSettings",
    "CheckName",
    "Destination",
    "DetectionSettings",
    "DirectoryStorage",
    "EmbedderSettings",
    "ExemptionSettings",
    "FolderDestination",
    "KafkaDestination",
    "KafkaSettings",
    "KserveSettings",
    "KubernetesJobDestination",
    "LabelStudioDestination",
    "LogSettings",
    "MonitorSettings",
    "Name",
    "NotificationSettings",
    "OutboundSettings",
    "PagerDutyDestination",
    "PaneLogSettings",
    "PatternSettings",
    "PolicySettings",
    "PoolSettings",
    "PrivacySettings",
    "QuotaSettings",
    "RedisSettings",
    "RefreshSettings",
    "ReportSettings",
    "RequireSettings",
    "RoleSettings",
    "RouteSettings",
    "S3Storage",
    "SaslSettings",
    "Section",
    "SegmentSettings",
    "SelectionSettings",
    "ServerSettings",
    "Settings",
    "SlackDestination",
    "Tag",
    "TeamSettings",
    "TlsSettings",
    "TopicSettings",
    "TrustedHeaderSettings",
    "TruthSettings",
    "WebhookDestination",
    "load",
    "parse",
    "read_key",
    "read_secrets",
    "read_token",
    "read_urls",
]
