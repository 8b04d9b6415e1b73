"""Where what leaves goes: the concrete classes behind the destinations that are declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TypeAlias

from service.access import HOOKS
from service.adapters.alertmanager import AlertmanagerDestination as Alertmanager
from service.adapters.apprise_notifier import AppriseDestination as Apprise
from service.adapters.folder import FolderDestination as Folder
from service.adapters.kafka import Cluster, KafkaEvents
from service.adapters.kubernetes_job import Cluster as KubernetesCluster
from service.adapters.kubernetes_job import KubernetesJobDestination as KubernetesJob
from service.adapters.label_studio import Client, LabelStudio, LabelStudioHook, hook_token
from service.adapters.pagerduty import PagerDutyDestination as PagerDuty
from service.adapters.slack import SlackDestination as Slack
from service.adapters.webhook import WebhookDestination as Webhook
from service.errors import ConfigurationError, NotFoundError
from service.exhibits import Exhibits
from service.handoff import by_link, by_value, to_see
from service.links import NO_LINKS, Links
from service.outbound import GuardedTransport, Outgoing
from service.ports import Annotator, Destination, Hook
from service.settings import (
    AlertmanagerDestination,
    AppriseDestination,
    FolderDestination,
    KafkaDestination,
    KubernetesJobDestination,
    LabelStudioDestination,
    OutboundSettings,
    PagerDutyDestination,
    Settings,
    SlackDestination,
    WebhookDestination,
    read_token,
)
from service.settings import Destination as Declared

Posting: TypeAlias = WebhookDestination | AlertmanagerDestination | PagerDutyDestination | SlackDestination
"""What is sent by HTTP as it comes."""


class Destinations(Mapping[str, Destination]):
    """By name, as the configuration says now."""

    def __init__(self, settings: Settings, links: Links, exhibits: Exhibits, *, alive: Callable[[], None] = lambda: None) -> None:
        self._links = links
        self._exhibits = exhibits
        self._alive = alive
        """Called while a delivery takes its time."""
        self._declared: dict[str, Declared] = {}
        self._outbound = OutboundSettings()
        self._open: dict[str, Destination] = {}
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Takes up what was declared or changed, and lets go of what was not."""
        declared = {destination.name: destination for destination in settings.destinations}
        anew = settings.outbound != self._outbound
        changed = {name: made for name, made in declared.items() if anew or made != self._declared.get(name)}
        opened = {name: self._made(made, settings) for name, made in changed.items()}  # all or none: a secret may be missing
        left = [self._open[name] for name in self._open if name not in declared or name in opened]
        self._open = {name: opened.get(name) or self._open[name] for name in declared}
        self._declared, self._outbound = declared, settings.outbound
        for destination in left:
            destination.close()

    def close(self) -> None:
        """Lets go of all of them."""
        for destination in self._open.values():
            destination.close()

    def __getitem__(self, name: str) -> Destination:
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def _made(self, declared: Declared, settings: Settings) -> Destination:
        match declared:
            case WebhookDestination() | AlertmanagerDestination() | PagerDutyDestination() | SlackDestination():
                return self._posting(declared, Outgoing.of(settings.outbound, timeout=declared.timeout))
            case AppriseDestination():
                return Apprise(declared)
            case FolderDestination():
                return Folder(declared.path, self._exhibits, parquet=declared.format == "parquet")
            case KafkaDestination():
                return _events(declared, settings)
            case KubernetesJobDestination():
                cluster = KubernetesCluster(declared.server, declared.token_file, declared.ca_file, declared.namespace)
                return KubernetesJob(declared.template, cluster)
            case LabelStudioDestination():
                return self._label_studio(declared, settings)

    def annotators(self) -> Mapping[str, Annotator]:
        """Those that can be asked for answers."""
        return {name: made for name, made in self._open.items() if isinstance(made, LabelStudio)}

    def _label_studio(self, declared: LabelStudioDestination, settings: Settings) -> LabelStudio:
        links = self._links if declared.payload == "link" else NO_LINKS
        address = self._links.address(f"{HOOKS}{declared.name}")
        return LabelStudio(
            declared.name,
            _client(declared, settings.outbound, self._alive),
            shown=partial(to_see, exhibits=self._exhibits, links=links),
            hook=None if address is None else (address, partial(_hook_token, declared)),
            poll_seconds=declared.poll_seconds,
        )

    def _posting(self, declared: Posting, outgoing: Outgoing) -> Destination:
        match declared:
            case WebhookDestination():
                return self._webhook(declared, outgoing)
            case AlertmanagerDestination():
                return Alertmanager(declared, outgoing)
            case PagerDutyDestination():
                return PagerDuty(declared, outgoing)
            case SlackDestination():
                return Slack(declared, outgoing)

    def _webhook(self, declared: WebhookDestination, outgoing: Outgoing) -> Destination:
        if declared.payload == "link" and self._links:
            return Webhook(declared, outgoing, partial(by_link, links=self._links))
        return Webhook(declared, outgoing, partial(by_value, exhibits=self._exhibits))


def hook_of(settings: Settings, name: str) -> Hook:
    """Through which a destination tells of answers; NotFoundError where it has none."""
    declared = next((each for each in settings.destinations if each.name == name and isinstance(each, LabelStudioDestination)), None)
    if declared is None:
        raise NotFoundError(f"no destination {name!r:.80} of type label_studio is configured here")
    return _hook(declared, settings.outbound)


@lru_cache(maxsize=16)
def _hook(declared: LabelStudioDestination, outbound: OutboundSettings) -> Hook:
    return LabelStudioHook(_client(declared, outbound), partial(_hook_token, declared))


def _client(declared: LabelStudioDestination, outbound: OutboundSettings, alive: Callable[[], None] = lambda: None) -> Client:
    transport = GuardedTransport.of(outbound)
    return Client(declared.url, partial(_token, declared), timeout=declared.timeout, transport=transport, alive=alive)


def _token(declared: LabelStudioDestination) -> str:
    return read_token(declared) or ""


def _hook_token(declared: LabelStudioDestination) -> str:
    return hook_token(_token(declared), declared.name)


def _events(declared: KafkaDestination, settings: Settings) -> Destination:
    if settings.kafka is None:
        raise ConfigurationError(f"destination {declared.name}: type kafka needs the brokers of the section kafka")
    return KafkaEvents(Cluster(settings.kafka, settings.kafka_password), declared.topic)
