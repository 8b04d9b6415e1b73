"""Sessions of the console, and what makes its forms its own. Both are signed, and nothing of them is stored: every replica that knows the
key knows them. A session belongs to a token and ends with it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

COOKIE = "driftgate_session"
CONFIGURED = "configured"
"""Stands for the id of the configured token, which is no entry of the store."""

_SHAPE = re.compile(r"([a-z2-7]{10,16})\.(\d{1,12})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says, before its signature is held against the token that it names."""

    token: str
    expires: int
    signature: str

    @property
    def text(self) -> str:
        """The cookie's value."""
        return f"{self.token}.{self.expires}.{self.signature}"


def begun(key: bytes, token: str, digest: str, expires: float) -> Session:
    """A session of whoever has shown the token of this digest."""
    return Session(token, int(expires), _signature(key, token, int(expires), digest))


def read(text: str) -> Session | None:
    """What has the shape of a session."""
    found = _SHAPE.fullmatch(text)
    return Session(found[1], int(found[2]), found[3]) if found else None


def holds(key: bytes, session: Session, digest: str, now: float) -> bool:
    """Whether it was begun here with the token of this digest, and has not ended."""
    expected = _signature(key, session.token, session.expires, digest)
    return hmac.compare_digest(expected, session.signature) and now < session.expires


def form_token(key: bytes, subject: str) -> str:
    """What a form carries to show that it is the console's, made for this session or person."""
    return hmac.digest(key, f"form\n{subject}".encode(), hashlib.sha256).hex()


def is_form_token(key: bytes, subject: str, given: str) -> bool:
    """Whether a form carries what it was given."""
    return hmac.compare_digest(form_token(key, subject).encode(), given.encode())


def _signature(key: bytes, token: str, expires: int, digest: str) -> str:
    return hmac.digest(key, f"session\n{token}\n{expires}\n{digest}".encode(), hashlib.sha256).hex()
