"""Signed links: addresses that open one thing to whoever holds them, without a token, until they end.

A link holds its kind, what it names and its last second, signed with HMAC-SHA256 under a key that is derived from the installation's link
secret. Nothing is stored: every replica that knows the secret opens what any other has signed. While a secret is changed there are two:
the first signs, both open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec

from service.artefacts import sync
from service.errors import ConfigurationError, InputError
from service.settings import S3Storage, Settings

PATH = "/v1/links/"
FILE = "link-secret"
"""Below the installation's directory, where nothing else says the secret."""

LEAST_CHARACTERS = 32
DAY = 86_400.0

_PURPOSE = b"driftgate link 1"
_LONGEST = 8_192
_SIZE = hashlib.sha256().digest_size


class Kind(StrEnum):
    """What a link opens."""

    SAMPLE = "sample"
    """A candidate of a batch: (batch, sample)."""
    BATCH = "batch"
    """The whole list of a batch: (batch,)."""
    TRAINING = "training"
    """What a cycle's new model learns from: (cycle, `train=3`, `challenge=2`)."""


class _Signed(msgspec.Struct, array_like=True):
    kind: Kind
    expires: int
    subject: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """What a token names, once its signature holds."""

    kind: Kind
    subject: tuple[str, ...]
    expires: int


class Links:
    """Signs and opens. Without an address there are none to give away, and nothing opens."""

    def __init__(self, secret: Sequence[str], address: str | None, *, days: float = 30.0) -> None:
        self._keys = [hmac.digest(text.encode(), _PURPOSE, hashlib.sha256) for text in secret]
        self._address = address.rstrip("/") if address else None
        self._days = days

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As configured; ConfigurationError where the secret can't be read, or is too short."""
        server = settings.server
        if server.public_url is None:
            return cls((), None)
        return cls(secrets_of(settings), server.public_url, days=server.link_days)

    def __bool__(self) -> bool:
        """Whether there are any: whoever would send a link sends the thing itself otherwise."""
        return self._address is not None

    def address(self, path: str) -> str | None:
        """Of something that asks for a token; None where `server.public_url` is not set."""
        return None if self._address is None else f"{self._address}{path}"

    def expiry(self, moment: float) -> int:
        """Until when a link is good that is needed at least until `moment`: a batch's deadline, or when it was made."""
        return int(moment + self._days * DAY)

    def url(self, kind: Kind, *subject: str, expires: int) -> str | None:
        """The same arguments always give the same address; None where `server.public_url` is not set."""
        if self._address is None:
            return None
        content = msgspec.json.encode(_Signed(kind, expires, subject))
        return f"{self._address}{PATH}{_text(content + hmac.digest(self._keys[0], content, hashlib.sha256))}"

    def data_sets(self, cycle: str, cited: Iterable[Mapping[str, Any]], *, expires: int) -> str | None:
        """To the train and challenge sets that a refresh request cites, in exactly these versions."""
        named = (f"{each['role']}={each['version']}" for each in cited if each["role"] in ("train", "challenge"))
        return self.url(Kind.TRAINING, cycle, *sorted(named), expires=expires)

    def opened(self, token: str, *, now: float) -> Link:
        """InputError: `link` where nobody here has signed it, `link_ended` where it was good once."""
        signed = _bytes(token)
        content, given = signed[:-_SIZE], signed[-_SIZE:]
        if not any(hmac.compare_digest(hmac.digest(key, content, hashlib.sha256), given) for key in self._keys):
            raise _nothing()
        try:
            found = msgspec.json.decode(content, type=_Signed)
        except msgspec.DecodeError as error:  # of a version that has further kinds
            raise _nothing() from error
        if now > found.expires:
            raise InputError("link_ended", "this link has ended; ask whoever sent it for a new one")
        return Link(found.kind, found.subject, found.expires)


NO_LINKS = Links((), None)


def _nothing() -> InputError:
    return InputError("link", "there is nothing under this link: it is incomplete, or of another installation")


def secrets_of(settings: Settings) -> list[str]:
    """The environment's, else the file's, else one that is made once and kept."""
    if settings.link_secret is not None:
        return _checked(settings.link_secret.get_secret_value(), "DRIFTGATE__LINK_SECRET")
    if settings.server.link_secret_file is not None:
        return _checked(_read(settings.server.link_secret_file), f"server.link_secret_file ({settings.server.link_secret_file})")
    if isinstance(settings.storage, S3Storage):
        raise ConfigurationError(
            "the secret that signs links and the console's sessions is one that all processes know; with `storage` of type s3 each has a "
            "directory of its own: give server.link_secret_file or DRIFTGATE__LINK_SECRET"
        )
    own = settings.directory / FILE
    if not own.exists():
        _make(own)
    return _checked(_read(own), str(own))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"link secret: {path} can't be read: {error}; it signs the links of server.public_url") from error


def _checked(text: str, origin: str) -> list[str]:
    found = text.split()
    if not found or min(map(len, found)) < LEAST_CHARACTERS:
        raise ConfigurationError(
            f"{origin}: a link secret has at least {LEAST_CHARACTERS} characters; `openssl rand -hex 32` makes one. While it changes there "
            "are two, with a space between them: the first signs, both open"
        )
    return found


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: the link secret can't be kept here ({error.strerror}); set DRIFTGATE__LINK_SECRET") from error


def _write(path: Path) -> None:
    """Appears whole, readable by its owner alone; of two that make it at once one wins, and both read that one."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE}-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        sync(path.parent)
    finally:
        Path(draft).unlink()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(token: str) -> bytes:
    """b"" of what is no token."""
    if len(token) > _LONGEST or not token.isascii():
        return b""
    try:
        found = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if _text(found) == token else b""
