"""Where what leaves goes: the concrete classes behind the destinations that are declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from service.adapters.folder import FolderDestination as Folder
from service.adapters.kafka import Cluster, KafkaEvents
from service.adapters.kubernetes_job import Cluster as KubernetesCluster
from service.adapters.kubernetes_job import KubernetesJobDestination as KubernetesJob
from service.adapters.webhook import WebhookDestination as Webhook
from service.errors import ConfigurationError
from service.exhibits import Exhibits
from service.handoff import by_link, by_value
from service.links import Links
from service.ports import Destination
from service.settings import Destination as Declared
from service.settings import (
    FolderDestination,
    KafkaDestination,
    KubernetesJobDestination,
    Settings,
    WebhookDestination,
)


class Destinations(Mapping[str, Destination]):
    """By name, as the configuration says now."""

    def __init__(self, settings: Settings, links: Links, exhibits: Exhibits) -> None:
        self._links = links
        self._exhibits = exhibits
        self._declared: dict[str, Declared] = {}
        self._open: dict[str, Destination] = {}
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Takes up what was declared or changed, and lets go of what was not."""
        declared = {destination.name: destination for destination in settings.destinations}
        changed = {name: made for name, made in declared.items() if made != self._declared.get(name)}
        opened = {name: self._made(made, settings) for name, made in changed.items()}  # all or none: a secret may be missing
        left = [self._open[name] for name in self._open if name not in declared or name in opened]
        self._open = {name: opened.get(name) or self._open[name] for name in declared}
        self._declared = declared
        for destination in left:
            destination.close()

    def __getitem__(self, name: str) -> Destination:
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def _made(self, declared: Declared, settings: Settings) -> Destination:
        match declared:
            case WebhookDestination():
                return self._webhook(declared)
            case FolderDestination():
                return Folder(declared.path, self._exhibits, parquet=declared.format == "parquet")
            case KafkaDestination():
                return _events(declared, settings)
            case KubernetesJobDestination():
                cluster = KubernetesCluster(declared.server, declared.token_file, declared.ca_file, declared.namespace)
                return KubernetesJob(declared.template, cluster)

    def _webhook(self, declared: WebhookDestination) -> Destination:
        if declared.payload == "link" and self._links:
            return Webhook(declared, partial(by_link, links=self._links))
        return Webhook(declared, partial(by_value, exhibits=self._exhibits))


def _events(declared: KafkaDestination, settings: Settings) -> Destination:
    if settings.kafka is None:
        raise ConfigurationError(f"destination {declared.name}: type kafka needs the brokers of the section kafka")
    return KafkaEvents(Cluster(settings.kafka, settings.kafka_password), declared.topic)
