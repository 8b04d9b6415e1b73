"""The two ways by which a chat's messages reach driftgate: the topic that its monitor reads, and HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from service.app import topic_of
from service.demo.chats import Sent
from service.errors import ConfigurationError, UnavailableError
from service.settings import TOKEN, Settings

_SECONDS = 30.0
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class KafkaChannel:
    """Records of the topic, keyed by conversation, so that what belongs together stays in order."""

    append: Callable[[Sequence[tuple[str, bytes]]], None]

    def send(self, messages: Sequence[Sent]) -> None:
        """All of them at once."""
        self.append([message.record for message in messages])


@dataclass(frozen=True, slots=True)
class HttpChannel:
    """`POST /v1/monitors/{monitor}/samples`."""

    client: httpx2.Client
    monitor: str

    def send(self, messages: Sequence[Sent]) -> None:
        """All of them in one request."""
        try:
            answer = self.client.post(f"/v1/monitors/{self.monitor}/samples", json=[message.body for message in messages])
        except httpx2.TransportError as error:
            raise UnavailableError(f"{self.client.base_url}: {str(error) or type(error).__name__}") from error
        if answer.is_success:
            return
        said = f"{answer.request.url}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code in _LATER:
            raise UnavailableError(said)
        raise ConfigurationError(said)


@contextmanager
def over_kafka(settings: Settings, monitor: str) -> Iterator[KafkaChannel]:
    """Into the topic that the configuration names."""
    with topic_of(settings, monitor) as topic:
        yield KafkaChannel(topic.append)


@contextmanager
def over_http(url: str, monitor: str, token_file: Path | None) -> Iterator[HttpChannel]:
    """To a server; its token is read once, from a file, so that no list of processes shows it."""
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ConfigurationError(f"--url {url!r:.100}: expected http://HOST:PORT")
    headers = {} if token_file is None else {"authorization": f"Bearer {_token(token_file)}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=_SECONDS) as client:
        yield HttpChannel(client, monitor)


def _token(file: Path) -> str:
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token-file {file}: {error}") from error
    if not TOKEN.fullmatch(found):
        raise ConfigurationError(f"--token-file {file}: holds no token; one is 16 to 512 printable characters without a space")
    return found
