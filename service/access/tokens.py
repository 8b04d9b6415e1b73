"""Tokens of the store: `dg_<id>_<secret>`, found by their id, compared by the digest of their secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from service.access.principals import Principal, granted
from service.errors import ConflictError, InputError, NotFoundError
from service.ports import Store
from service.records import Role, Token, TokenState

_SHAPE = re.compile(r"dg_([a-z2-7]{16})_([A-Za-z0-9_-]{43})")
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ATTEMPTS = 10
_HOUR = 3_600.0
MOST = 10_000
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Minted:
    """A token with its secret, which is shown this once."""

    token: Token
    secret: str

    def __repr__(self) -> str:
        return f"Minted({self.token!r})"

    @property
    def text(self) -> str:
        """What whoever uses it shows."""
        return f"dg_{self.token.id}_{self.secret}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A token that is to be."""

    name: str
    role: Role
    teams: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    days: float | None = None
    """Until it ends; None: it does not."""


def parsed(text: str) -> tuple[str, str] | None:
    """(id, secret) of what has the shape of a token."""
    found = _SHAPE.fullmatch(text)
    return (found[1], found[2]) if found else None


def secret_in(text: str) -> str:
    """The secret in a token's text."""
    found = parsed(text)
    return found[1] if found else ""


def holds(token: Token, secret: str, now: float) -> bool:
    """Whether the secret is the token's, and the token in force."""
    shown = digest(secret)
    return any(hmac.compare_digest(shown, held) for held in digests(token, now))


def digests(token: Token, now: float) -> Sequence[str]:
    """Those of the secrets that are good now: none of a token that has ended, two after a rotation."""
    if not token.in_force(now):
        return ()
    return (token.digest, token.former) if token.former and now < token.former_until else (token.digest,)


def digest(secret: str) -> str:
    """Secrets are random and long: a plain hash is as good as any."""
    return hashlib.sha256(secret.encode()).hexdigest()


def principal(token: Token, *, way: str = "api") -> Principal:
    """Who shows it."""
    return Principal(token.name, granted(token.role, token.teams, token.monitors), token.id, way)


def mint(store: Store, wanted: Wanted, *, by: str, now: float) -> Minted:
    """Makes a token."""
    minted = _new(wanted, by, now)
    store.save(minted.token)
    return minted


def bootstrap(store: Store, *, by: str, now: float) -> Minted:
    """The first admin's token; ConflictError where one is in force."""
    for token in listed(store):
        if token.role is Role.ADMIN and not token.teams and not token.monitors and token.in_force(now):
            raise ConflictError(
                f"there is an admin's token already: {token.name} ({token.id}); `driftgate token mint` makes another, "
                f"`driftgate token rotate {token.id}` gives it a new secret"
            )
    return mint(store, Wanted(name="first admin", role=Role.ADMIN), by=by, now=now)


def rotate(store: Store, id: str, *, grace: float, now: float) -> Minted:
    """Another secret for a token; the one before is good for `grace` seconds more."""
    secret = _secret()

    def rotated(token: Token) -> Token:
        if not token.in_force(now):
            raise ConflictError(f"token {id} is not in force any more; mint another")
        return replace(token, digest=digest(secret), former=token.digest, former_until=now + grace)

    return Minted(_changed(store, id, rotated), secret)


def revoke(store: Store, id: str) -> Token:
    """Ends a token for good; once is as good as twice."""
    return _changed(store, id, lambda token: replace(token, state=TokenState.REVOKED))


def mark_used(store: Store, token: Token, now: float) -> None:
    """Keeps when it was shown last, to the hour; whoever changes it meanwhile goes first."""
    with suppress(ConflictError, NotFoundError):
        store.save(replace(token, used=now - now % _HOUR, version=token.version + 1))


def use_is_news(token: Token, now: float) -> bool:
    """Whether an hour has begun since it was noted that the token is used."""
    return now - token.used >= _HOUR


def listed(store: Store) -> Sequence[Token]:
    """All of them, newest first."""
    return store.find(Token, limit=MOST)


def any_in_force(store: Store) -> bool:
    """Whether somebody has been given one."""
    return bool(store.find(Token, states=[TokenState.ACTIVE], limit=1))


def found(store: Store, name: str) -> Token:
    """By its id, or by its name where only one in force has it."""
    with suppress(NotFoundError):
        return store.get(Token, name)
    named = [token for token in listed(store) if token.name == name and token.state is TokenState.ACTIVE]
    if len(named) > 1:
        raise InputError(
            "token", f"{len(named)} tokens are called {name!r:.80}; say which by its id: {', '.join(t.id for t in named[:10])}"
        )
    if not named:
        raise NotFoundError(f"no token {name!r:.80}; `driftgate token list` has them")
    return named[0]


def _new(wanted: Wanted, by: str, now: float) -> Minted:
    if wanted.days is not None and wanted.days <= 0:
        raise InputError("days", f"days: a token lasts longer than {wanted.days:g} days; leave it out for one that does not end")
    secret = _secret()
    expires = None if wanted.days is None else now + wanted.days * DAY
    token = Token(
        id="".join(secrets.choice(_ID_LETTERS) for _ in range(16)),
        name=wanted.name,
        role=wanted.role,
        digest=digest(secret),
        teams=wanted.teams,
        monitors=wanted.monitors,
        created=now,
        created_by=by,
        expires=expires,
        version=1,
    )
    return Minted(token, secret)


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _changed(store: Store, id: str, change: Callable[[Token], Token]) -> Token:
    """Read again where somebody was faster: a revocation must not fail because the token was used just then."""
    for _ in range(_ATTEMPTS):
        before = store.get(Token, id)
        after = change(before)
        if after == before:
            return before
        after = replace(after, version=before.version + 1)
        with suppress(ConflictError):
            store.save(after)
            return after
    raise ConflictError(f"token {id} is being changed by others without end; try again")
