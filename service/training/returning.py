"""The job's two ways over HTTP, where it does not see the installation's disk: the rows come by a signed link, the model goes back."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx2

from service.errors import DeliveryError, InputError
from service.training.job import CLASSES, Made
from service.training.orders import MOST_BYTES
from service.training.written import sha256

_SECONDS = 60.0
_PIECE = 1 << 20
_SHOWN = 500


def fetch(url: str, target: Path) -> Path:
    """Downloads what the link opens; InputError where it has ended or opens nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with httpx2.stream("GET", url, timeout=_SECONDS, follow_redirects=False) as response, target.open("wb") as file:
            if response.status_code != 200:
                raise InputError("link", f"the data link answers {response.status_code}: it has ended, or is another installation's")
            file.writelines(_within(response.iter_bytes(_PIECE)))
    except httpx2.HTTPError as error:
        raise DeliveryError(f"the data link can't be fetched: {error}", retryable=True) from error
    return target


def give_back(made: Made, address: str, version: str, *, token: str) -> None:
    """Puts the model, its tokenizer, classes and record to the cycle; the same one again changes nothing."""
    parcel = packed(made)
    headers = {"Content-Type": "application/x-tar", "X-Checksum-SHA256": sha256(parcel), "Content-Length": str(parcel.stat().st_size)}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        response = httpx2.put(address, params={"version": version}, headers=headers, content=_pieces(parcel), timeout=_SECONDS)
    except httpx2.HTTPError as error:
        raise DeliveryError(f"{address}: the model can't be given back: {error}", retryable=True) from error
    if response.is_error:
        raise DeliveryError(f"{address}: answers {response.status_code}: {problem(response.text)}", retryable=response.status_code >= 500)


def packed(made: Made) -> Path:
    """A tar of the model and what belongs to it, beside it."""
    target = made.model.with_suffix(".tar")
    beside = (made.model, made.model.with_name("tokenizer.json"), made.model.with_name(CLASSES), made.record)
    with tarfile.open(target, "w:", format=tarfile.USTAR_FORMAT) as tar:
        for path in beside:
            if path.is_file():
                tar.add(path, path.name, recursive=False)
    return target


def problem(text: str) -> str:
    """What a service says of a refusal, in its own words."""
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text[:_SHOWN]


def _within(pieces: Iterable[bytes]) -> Iterator[bytes]:
    taken = 0
    for piece in pieces:
        taken += len(piece)
        if taken > MOST_BYTES:
            raise InputError("too_large", f"the data link gives more than {MOST_BYTES:,} bytes")
        yield piece


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
