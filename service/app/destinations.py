"""Where what leaves goes: the concrete classes behind the destinations that are declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial

from service.access import HOOKS
from service.adapters.folder import FolderDestination as Folder
from service.adapters.kafka import Cluster, KafkaEvents
from service.adapters.kubernetes_job import Cluster as KubernetesCluster
from service.adapters.kubernetes_job import KubernetesJobDestination as KubernetesJob
from service.adapters.label_studio import Client, LabelStudio, LabelStudioHook, hook_token
from service.adapters.webhook import WebhookDestination as Webhook
from service.errors import ConfigurationError, NotFoundError
from service.exhibits import Exhibits
from service.handoff import by_link, by_value, to_see
from service.links import NO_LINKS, Links
from service.ports import Annotator, Destination, Hook
from service.settings import Destination as Declared
from service.settings import (
    FolderDestination,
    KafkaDestination,
    KubernetesJobDestination,
    LabelStudioDestination,
    Settings,
    WebhookDestination,
    read_token,
)


class Destinations(Mapping[str, Destination]):
    """By name, as the configuration says now."""

    def __init__(self, settings: Settings, links: Links, exhibits: Exhibits, *, alive: Callable[[], None] = lambda: None) -> None:
        self._links = links
        self._exhibits = exhibits
        self._alive = alive
        """Called while a delivery takes its time."""
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
            case LabelStudioDestination():
                return self._label_studio(declared)

    def annotators(self) -> Mapping[str, Annotator]:
        """Those that can be asked for answers."""
        return {name: made for name, made in self._open.items() if isinstance(made, LabelStudio)}

    def _label_studio(self, declared: LabelStudioDestination) -> LabelStudio:
        links = self._links if declared.payload == "link" else NO_LINKS
        address = self._links.address(f"{HOOKS}{declared.name}")
        return LabelStudio(
            declared.name,
            _client(declared, self._alive),
            shown=partial(to_see, exhibits=self._exhibits, links=links),
            hook=None if address is None else (address, partial(_hook_token, declared)),
            poll_seconds=declared.poll_seconds,
        )

    def _webhook(self, declared: WebhookDestination) -> Destination:
        if declared.payload == "link" and self._links:
            return Webhook(declared, partial(by_link, links=self._links))
        return Webhook(declared, partial(by_value, exhibits=self._exhibits))


def hook_of(settings: Settings, name: str) -> Hook:
    """Through which a destination tells of answers; NotFoundError where it has none."""
    declared = next((each for each in settings.destinations if each.name == name and isinstance(each, LabelStudioDestination)), None)
    if declared is None:
        raise NotFoundError(f"no destination {name!r:.80} of type label_studio is configured here")
    return _hook(declared)


@lru_cache(maxsize=16)
def _hook(declared: LabelStudioDestination) -> Hook:
    return LabelStudioHook(_client(declared), partial(_hook_token, declared))


def _client(declared: LabelStudioDestination, alive: Callable[[], None] = lambda: None) -> Client:
    return Client(declared.url, partial(_token, declared), timeout=declared.timeout, alive=alive)


def _token(declared: LabelStudioDestination) -> str:
    return read_token(declared) or ""


def _hook_token(declared: LabelStudioDestination) -> str:
    return hook_token(_token(declared), declared.name)


def _events(declared: KafkaDestination, settings: Settings) -> Destination:
    if settings.kafka is None:
        raise ConfigurationError(f"destination {declared.name}: type kafka needs the brokers of the section kafka")
    return KafkaEvents(Cluster(settings.kafka, settings.kafka_password), declared.topic)
