"""Whether what must leave can: each destination as it is declared, and the links that are sent to annotators."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

from service.access import is_loopback
from service.cli.server import Said
from service.errors import DriftgateError
from service.links import Links
from service.settings import (
    AlertmanagerDestination,
    AppriseDestination,
    Destination,
    FolderDestination,
    KafkaDestination,
    KubernetesJobDestination,
    LabelStudioDestination,
    PagerDutyDestination,
    Settings,
    SlackDestination,
    WebhookDestination,
    read_key,
    read_secrets,
    read_token,
    read_urls,
)
from service.signatures import Secret


def examine_leaving(settings: Settings) -> Iterator[tuple[str, Said]]:
    """(what, how it is) of every destination, and of links."""
    for destination in settings.destinations:
        yield f"destination {destination.name}", _destination(destination)
    asked = {monitor.annotation.destination for monitor in settings.monitors}
    linked = (
        each for each in settings.destinations if isinstance(each, WebhookDestination | LabelStudioDestination) and each.payload == "link"
    )
    if any(destination.name in asked for destination in linked):
        yield "links", _links(settings)


def _destination(declared: Destination) -> Said:
    match declared:
        case FolderDestination():
            return _folder(declared)
        case WebhookDestination():
            return _webhook(declared)
        case KafkaDestination():
            return "ok", f"topic {declared.topic}", ""
        case KubernetesJobDestination():
            return _job(declared)
        case LabelStudioDestination():
            return _label_studio(declared)
        case AlertmanagerDestination() | PagerDutyDestination() | SlackDestination() | AppriseDestination():
            return _told(declared)


def _told(declared: AlertmanagerDestination | PagerDutyDestination | SlackDestination | AppriseDestination) -> Said:
    """Of news of alarms; `driftgate alert test` says whether they arrive."""
    secret: Callable[[], object]
    match declared:
        case AlertmanagerDestination():
            secret, origin, says = partial(read_token, declared), declared.token_env or declared.token_file, ", ".join(declared.urls)
        case PagerDutyDestination():
            secret, origin, says = partial(read_key, declared), declared.key_env or declared.key_file, "PagerDuty"
        case SlackDestination() | AppriseDestination():
            secret, origin, says = partial(read_urls, declared), declared.url_env or declared.url_file, declared.type.capitalize()
    try:
        secret()
    except DriftgateError as error:
        return "fail", str(error), ""
    if isinstance(declared, AppriseDestination) and importlib.util.find_spec("apprise") is None:
        return "fail", "type apprise, and apprise is not installed", "install driftgate[notify]"
    return "ok", f"{says}, with what is in {origin}" if origin else says, ""


def _folder(declared: FolderDestination) -> Said:
    if declared.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        return "fail", "format parquet, and pyarrow is not installed", "install driftgate[parquet]"
    there = next(path for path in (declared.path, *declared.path.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return "ok", f"folder {declared.path}", ""
    return "fail", f"{there} can't be written", "make it a writable folder, or choose another"


def _webhook(declared: WebhookDestination) -> Said:
    try:
        secrets, token = [Secret.parse(text) for text in read_secrets(declared)], read_token(declared)
    except DriftgateError as error:
        return "fail", str(error), ""
    known = [f"{len(secrets)} secrets" if len(secrets) > 1 else "a secret"] if secrets else []
    origin = declared.secret_env or declared.secret_file
    by = [f"{each} from {origin}" for each in known] + ([f"a token from {declared.token_env or declared.token_file}"] if token else [])
    return "ok", f"webhook with {' and '.join(by) or 'neither secret nor token'}", ""


def _job(declared: KubernetesJobDestination) -> Said:
    if not declared.template.is_file():
        return "fail", f"no file {declared.template}", "write the template of the Job there"
    return "ok", f"Kubernetes Job from {declared.template}", ""


def _label_studio(declared: LabelStudioDestination) -> Said:
    try:
        read_token(declared)
    except DriftgateError as error:
        return "fail", str(error), ""
    return "ok", f"Label Studio at {declared.url} with a token from {declared.token_env or declared.token_file}", ""


def _links(settings: Settings) -> Said:
    address = settings.server.public_url
    if address is None:
        remedy = "set server.public_url to the address under which annotators reach this server, or payload: inline"
        return "warn", "no address that they could begin with, so annotation batches carry their samples", remedy
    try:
        Links.of(settings)
    except DriftgateError as error:
        return "fail", str(error), ""
    if is_loopback(urlsplit(address).hostname or ""):
        return "warn", f"begin with {address}, which opens on this machine only", "set server.public_url to an address that others reach"
    shared = settings.redis is None or settings.link_secret is not None or settings.server.link_secret_file is not None
    if not shared:
        says = f"signed with a secret made in {settings.directory}: replicas agree only where they share that folder"
        return "warn", says, "set DRIFTGATE__LINK_SECRET, or server.link_secret_file"
    return "ok", f"begin with {address}", ""
