"""The rules held against one request: who asks, whether they may, how often."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.access import rules, sessions, tokens
from service.access.buckets import Buckets, retry_after
from service.access.configured import Access
from service.access.lookups import Lookups
from service.access.origins import FORWARDED, local_name, network_of, same_origin
from service.access.principals import Principal, granted
from service.records import Role

_MOST = 10_000
_BURST_SECONDS = 2.0

_NO_TOKEN = "send a token as `Authorization: Bearer ...`; `driftgate token mint` makes one"  # noqa: S105 - tells how to get one
_SHOW = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, before anything of its body is read; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    address: str = ""

    @property
    def shown(self) -> str:
        """The token that it shows: as bearer, or as the last segment after `/v1/cloudevents/`, for senders that can't set headers."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return credentials.strip() or "-"
        return self.path.removeprefix(rules.EVENTS) if self.path.startswith(rules.EVENTS) else ""

    @property
    def session(self) -> sessions.Session | None:
        """The console's session, if its cookie has the shape of one."""
        named = (pair.partition("=") for pair in self.headers.get("cookie", "").split(";"))
        return next((sessions.read(value.strip()) for name, _, value in named if name.strip() == sessions.COOKIE), None)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may go on: who asks, if anybody was asked, and what for."""

    principal: Principal | None
    need: Role | None
    address: str
    session: sessions.Session | None = None


class RefusedError(Exception):
    """A request that may not go on, as the answer says it."""

    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = dict(headers or {})


class Gate:
    """Holds requests against the rules. Without `lookups` (a process that has no store yet) the configured token alone counts.

    Safe to use from several threads.
    """

    def __init__(
        self,
        access: Access,
        lookups: Lookups | None = None,
        *,
        clock: Callable[[], float] = time.time,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access = access
        self.clock = clock
        self._lookups = lookups
        self._tick = tick
        settings = access.settings
        self._requests = Buckets(settings.requests_per_second, _BURST_SECONDS * settings.requests_per_second, most=_MOST)
        self._failures = Buckets(settings.failures_per_minute / 60.0, settings.failures_per_minute, most=_MOST)
        self._good: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def from_memory(self, asked: Asked) -> bool:
        """Whether `admit` answers without asking the store, so that nobody waits for it."""
        if self._lookups is None:
            return True
        token = self._id(asked)
        if token:
            return self._lookups.fresh(token, self.clock())
        return bool(asked.shown) or self._asks_who() or self._lookups.any_fresh()

    def admit(self, asked: Asked) -> Admitted:
        """RefusedError says why not."""
        if rules.names_nothing(asked.path):
            raise RefusedError(404, "not_found", "no path here holds control characters")
        need = self._need(asked)
        address, believed = self._address(asked)
        if need is None:
            return self._open(asked, address)
        self._within_limits(network_of(address))
        principal, session = self._identified(asked, address, believed)
        if principal.ambient and asked.method not in rules.READS:
            self._require_own_page(asked, strict=principal.way != "local")
        self._within_limits(f"token {principal.token or principal.name}")
        everywhere = rules.over_all(asked.method, asked.path)
        if not principal.may(need) or (everywhere and not principal.over_all(need)):
            over = " over the whole installation" if everywhere else ""
            raise RefusedError(403, "role", f"{principal.name} lacks the role for this: it asks for `{need}`{over}")
        return Admitted(principal, need, address, session)

    def log_in(self, text: str, address: str) -> sessions.Session | None:
        """A session for whoever shows a token that may at least read; None where it does not. Tries are limited."""
        principal = self._by_token(text, network_of(address))
        if principal is None or not principal.may(Role.READER):
            return None
        ends = self.clock() + self.access.settings.session_hours * 3_600.0
        if not principal.token:
            return sessions.begun(self.access.key, sessions.CONFIGURED, tokens.digest(self.access.configured() or ""), ends)
        return sessions.begun(self.access.key, principal.token, tokens.digest(tokens.secret_in(text)), ends)

    # --- what is asked for ----------------------------------------------------------------------------------------------

    def _need(self, asked: Asked) -> Role | None:
        if asked.method == "POST" and asked.path == rules.SIGNED and self.access.signed_annotations:
            return None
        return rules.need(asked.method, asked.path)

    def _open(self, asked: Asked, address: str) -> Admitted:
        """Probes tell more to whoever says who they are; a login must come from our own page."""
        if asked.method not in rules.READS and asked.path in {rules.LOGIN, rules.LOGOUT}:
            self._require_own_page(asked, strict=False)
            self._within_limits(network_of(address))
        if asked.path not in rules.PROBES:
            return Admitted(None, None, address, asked.session)
        try:
            principal, session = self._identified(asked, *self._address(asked))
        except RefusedError:
            return Admitted(None, None, address)
        return Admitted(principal, None, address, session)

    def _require_own_page(self, asked: Asked, *, strict: bool) -> None:
        if not same_origin(asked.headers, self.access.public_url, strict=strict):
            raise RefusedError(403, "origin", "a page of another site has sent this; only driftgate's own may change anything here")

    # --- who asks -------------------------------------------------------------------------------------------------------

    def _address(self, asked: Asked) -> tuple[str, bool]:
        """Whence it comes, and whether the trusted proxy has sent it on."""
        proxy = self.access.proxy
        if proxy is None or not proxy.believed(asked.address, asked.headers):
            return asked.address, False
        return proxy.client(asked.address, asked.headers), True

    def _identified(self, asked: Asked, address: str, believed: bool) -> tuple[Principal, sessions.Session | None]:
        if asked.shown:
            shown = self._by_token(asked.shown, network_of(address))
            if shown is None:
                raise RefusedError(401, "token", "this token is none that is in force here; " + _NO_TOKEN, _SHOW)
            return shown, None
        session = asked.session
        if session is not None:
            known = self._by_session(session)
            if known is not None:
                return known, session
        if believed and self.access.proxy is not None:
            named = self.access.proxy.principal(asked.headers)
            if named is None:
                raise RefusedError(403, "role", "the proxy names nobody who has a role here; access.trusted_header.grants gives them")
            return named, None
        return self._local(asked), None

    def _local(self, asked: Asked) -> Principal:
        """Whoever sits at the machine, as long as nobody is asked for a token."""
        if self._asks_who() or (self._lookups is not None and self._lookups.any()):
            raise RefusedError(401, "token", _NO_TOKEN, _SHOW)
        if not local_name(asked.headers.get("host", "")):
            raise RefusedError(403, "host", "without a token this server answers to localhost only; make one to use another name")
        if any(name in asked.headers for name in FORWARDED):
            raise RefusedError(
                401, "token", "without a token nobody is served through a proxy; `driftgate token bootstrap` makes one", _SHOW
            )
        return Principal.local()

    def _asks_who(self) -> bool:
        """Whether the configuration alone says that everybody is asked who they are."""
        return not self.access.loopback or self.access.token is not None or self.access.proxy is not None

    def _by_token(self, text: str, network: str) -> Principal | None:
        """Whose token it is. Where too many were wrong, none is tried but ours, which nobody guesses, and what was right from there
        before: whoever is behind the same proxy as somebody who guesses is let in."""
        known = (network, hashlib.sha256(text.encode()).digest())
        wait = self._failures.wait(network, self._tick())
        tried = wait == 0 or known in self._good or tokens.parsed(text) is not None
        found = self._whose(text) if tried else None
        if found is None and wait > 0:
            message = "too many wrong tokens have come from your address; try again later"
            raise RefusedError(429, "rate", message, {"Retry-After": retry_after(wait)})
        if found is None:
            self._failures.take(network, self._tick())
            self._good.pop(known, None)
            return None
        self._good[known] = None
        if len(self._good) > _MOST:
            self._good.popitem(last=False)
        return found

    def _whose(self, text: str) -> Principal | None:
        if self.access.matches(text):
            return Principal("configured token", granted(self.access.role))
        parts = tokens.parsed(text)
        if parts is None or self._lookups is None:
            return None
        token, now = self._lookups.token(parts[0]), self.clock()
        if token is None or not tokens.holds(token, parts[1], now):
            return None
        self._lookups.used(token, now)
        return tokens.principal(token)

    def _by_session(self, session: sessions.Session) -> Principal | None:
        key, now = self.access.key, self.clock()
        if session.token == sessions.CONFIGURED:
            own = self.access.configured()
            if own is None or not sessions.holds(key, session, tokens.digest(own), now):
                return None
            return Principal("configured token", granted(self.access.role), way="session")
        token = None if self._lookups is None else self._lookups.token(session.token)
        if token is None or not any(sessions.holds(key, session, held, now) for held in tokens.digests(token, now)):
            return None
        return tokens.principal(token, way="session")

    def _id(self, asked: Asked) -> str:
        """Of the token in the store that the request goes by."""
        if asked.shown:
            parts = tokens.parsed(asked.shown)
            return parts[0] if parts else ""
        session = asked.session
        return "" if session is None or session.token == sessions.CONFIGURED else session.token

    # --- how often ------------------------------------------------------------------------------------------------------

    def _within_limits(self, who: str) -> None:
        wait = self._requests.take(who, self._tick())
        if wait > 0:
            raise RefusedError(429, "rate", "too many requests; slow down", {"Retry-After": retry_after(wait)})
