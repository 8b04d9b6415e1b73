"""The bucket: bytes by key, with the errors that the rest of the program knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import ConfigurationError, RefusedError, UnavailableError
from service.settings import S3Storage

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential, S3Store

_READ_SECONDS, _CONNECT_SECONDS, _WHOLE_SECONDS = 20, 5, 1_800
_RETRIES, _RETRY_SECONDS = 3, 15
_PIECE = 8_000_000
_PAGE = 1_000
_CREDENTIAL_SECONDS = 5

_REFUSALS = {"PermissionDeniedError", "UnauthenticatedError"}
_MISSING = {"FileNotFoundError", "NotFoundError"}
_TAKEN = {"AlreadyExistsError", "PreconditionError", "NotModifiedError"}


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing says of an object."""

    key: str
    size: int
    modified: float
    tag: str


class Objects:
    """A bucket's objects below a prefix. A put is there whole or not at all, and seen by everybody once it returns.

    Somebody can be told of each answer, in the thread that asked: what takes long is not what hangs.
    """

    def __init__(self, settings: S3Storage) -> None:
        self._name = f"s3://{settings.bucket}/{settings.prefix}"
        self._where = f"{self._name} at {settings.endpoint}" if settings.endpoint else self._name
        self._store = _opened(settings)
        self._told: Callable[[], object] = lambda: None

    def __str__(self) -> str:
        return self._where

    def tell(self, told: Callable[[], object]) -> None:
        """Of answers from here on."""
        self._told = told

    def put(self, key: str, content: bytes | Path) -> None:
        """Whatever was there before."""
        with self._explained():
            pieces = self._pieces(content) if isinstance(content, Path) and content.stat().st_size > _PIECE else content
            self._store.put(key, pieces, chunk_size=_PIECE, max_concurrency=4)

    def create(self, key: str, content: bytes) -> bool:
        """False where there is one already, unless it is this very content: a repeated request finds its own."""
        return self._compared(key, content, "create")

    def replace(self, key: str, content: bytes, tag: str) -> bool:
        """False where it is not the one of that tag any more."""
        return self._compared(key, content, {"e_tag": tag})

    def get(self, key: str) -> tuple[bytes, str] | None:
        """Content and tag; None where there is none."""
        with self._explained(missing=True):
            found = self._store.get(key)
            return bytes(found.bytes()), str(found.meta["e_tag"])
        return None

    def download(self, key: str, path: Path) -> bool:
        """Into a file; False where there is no such object."""
        with path.open("wb") as file, self._explained(missing=True):
            for piece in self._store.get(key).stream(min_chunk_size=_PIECE):
                file.write(piece)
                self._told()
            return True
        return False

    def list(self, prefix: str) -> Iterator[Listed]:
        """All below a prefix, which ends where a name of theirs does; by key."""
        for page in self.pages(prefix):
            yield from page

    def pages(self, prefix: str) -> Iterator[Sequence[Listed]]:
        """The same, as the server tells it: each page is as new as can be when it comes."""
        with self._explained():
            for page in self._store.list(prefix, chunk_size=_PAGE):
                self._told()
                yield [Listed(each["path"], each["size"], each["last_modified"].timestamp(), str(each["e_tag"])) for each in page]

    def delete(self, keys: Iterable[str]) -> None:
        """Also of what is not there; a page of them in one request."""
        left = iter(keys)
        while page := [*islice(left, _PAGE)]:
            with self._explained(missing=True):
                self._store.delete(page)

    def probe(self) -> None:
        """Raises the reason why the bucket can't be worked with now."""
        with self._explained():
            next(iter(self._store.list("probe", chunk_size=1)), None)

    def _pieces(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                self._told()
                yield piece

    def _compared(self, key: str, content: bytes, mode: Any) -> bool:
        with self._explained(taken=True):
            self._store.put(key, content, mode=mode, use_multipart=False)
            return True
        found = self.get(key)
        return found is not None and found[0] == content

    @contextmanager
    def _explained(self, *, missing: bool = False, taken: bool = False) -> Iterator[None]:
        """The client's errors as ours; what is missing or taken ends the block where the caller has an answer for that."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        try:
            yield
            self._told()
        except (FileNotFoundError, BaseError) as error:
            kind = type(error).__name__
            if "NoSuchBucket" in str(error):
                raise RefusedError(f"{self._where}: there is no such bucket; create it, driftgate does not") from error
            if kind in _REFUSALS:
                raise RefusedError(f"{self._where}: refused ({_reason(error)}); see to the keys and their rights") from error
            if not ((missing and kind in _MISSING) or (taken and kind in _TAKEN)):
                raise UnavailableError(f"{self._where}: {_short(error)}") from error


def _short(error: Exception) -> str:
    """The first line, without what the client adds for its authors."""
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__


def _reason(error: Exception) -> str:
    """The server's code of an error, never its whole answer: that repeats what was signed."""
    text = str(error)
    begin, end = text.find("<Code>"), text.find("</Code>")
    return text[begin + 6 : end][:60] if 0 <= begin < end else "its rights do not suffice"


def _opened(settings: S3Storage) -> S3Store:
    try:
        from obstore.store import S3Store  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("storage of type s3 needs obstore: install driftgate[s3]") from error
    options: ClientConfig = {
        "allow_http": settings.endpoint is not None and settings.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=_READ_SECONDS),
        "timeout": timedelta(seconds=_WHOLE_SECONDS),
    }
    if settings.ca_file is not None:
        options["root_certificate"] = _read(settings.ca_file, "ca_file")
    config: dict[str, Any] = {"region": settings.region, "virtual_hosted_style_request": settings.virtual_host, **_encryption(settings)}
    if settings.endpoint is not None:
        config["endpoint"] = settings.endpoint.rstrip("/")
    if settings.access_key_file is not None and settings.secret_key_file is not None:
        config["credential_provider"] = _from_files(settings.access_key_file, settings.secret_key_file)
    retry: Any = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
    return S3Store(settings.bucket, prefix=settings.prefix, client_options=options, retry_config=retry, **config)


def _encryption(settings: S3Storage) -> dict[str, str]:
    """As the client calls it."""
    if settings.encryption is None:
        return {}
    kind = {"server_side_encryption": "AES256" if settings.encryption == "aes256" else "aws:kms"}
    return kind if settings.kms_key is None else {**kind, "sse_kms_key_id": settings.kms_key}


def _from_files(access: Path, secret: Path) -> Callable[[], S3Credential]:
    """Read anew every few seconds, so that a changed Secret takes effect without a restart."""
    _read(access, "access_key_file")
    _read(secret, "secret_key_file")

    def provide() -> S3Credential:
        until = datetime.now(UTC) + timedelta(seconds=_CREDENTIAL_SECONDS)
        keys = _read(access, "access_key_file"), _read(secret, "secret_key_file")
        return {"access_key_id": keys[0], "secret_access_key": keys[1], "token": None, "expires_at": until}

    return provide


def _read(path: Path, field: str) -> str:
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"storage.{field}: {path} can't be read: {error}") from error
    if not found:
        raise ConfigurationError(f"storage.{field}: {path} is empty")
    return found
