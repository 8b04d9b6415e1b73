"""Standard Webhooks signatures (v1, HMAC-SHA256): what we send is signed, what claims to come from others is checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from service.errors import ConfigurationError, InputError

REPLAY_WINDOW = 300
"""Seconds by which a timestamp may differ from our clock."""

_MAX_SIGNATURES = 16


@dataclass(frozen=True, slots=True)
class Secret:
    """A shared signing key; its value never shows in logs."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `whsec_…`: base64 of 24 to 64 bytes."""
        encoded = text.strip().removeprefix("whsec_")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigurationError("a webhook secret is `whsec_` and base64; what was given is not base64") from error
        if not 24 <= len(key) <= 64:
            raise ConfigurationError(f"a webhook secret holds 24 to 64 bytes, found {len(key)}; make one with `openssl rand -base64 32`")
        return cls(key)


def sign(secrets: Sequence[Secret], *, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers, with one signature per secret, so that the other side can rotate."""
    signatures = [f"v1,{base64.b64encode(_digest(secret, id, str(timestamp), body)).decode()}" for secret in secrets]
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}


def verify(secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """The webhook's id, by which to tell a repetition; InputError when anything is missing, stale or signed by nobody we know."""
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise InputError("unsigned", f"the header {missing[0]} is missing; sign the request as Standard Webhooks v1 says")
    message, timestamp = given["webhook-id"], given["webhook-timestamp"]
    _check_time(timestamp, now)
    expected = [_digest(secret, message, timestamp, body) for secret in secrets]
    candidates = _candidates(given["webhook-signature"])
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in candidates):
        raise InputError("bad_signature", "no signature fits the request; check the secret, and that the body is signed as it is sent")
    return message


def _check_time(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise InputError("unsigned", f"webhook-timestamp is whole seconds since 1970, found {timestamp!r:.40}")
    off = int(timestamp) - now
    if abs(off) > REPLAY_WINDOW:
        side = "ahead of" if off > 0 else "behind"
        raise InputError(
            "stale",
            f"webhook-timestamp is {abs(off):.0f} s {side} our clock, {REPLAY_WINDOW} s are allowed; check both clocks and send again",
        )


def _candidates(header: str) -> list[bytes]:
    """The v1 signatures of the header; other versions and what isn't base64 are passed over."""
    found = []
    for part in header.split()[:_MAX_SIGNATURES]:
        version, _, encoded = part.partition(",")
        if version == "v1":
            found.append(_decoded(encoded))
    return found


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(secret: Secret, id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(secret.key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
