"""Who may do what, and who did what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What somebody may do. Each but `ingest` may what those before it may; `ingest` may send and see nothing."""

    INGEST = "ingest"
    READER = "reader"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, need: Role) -> bool:
        """Whether this role may do what asks for `need`."""
        if need is Role.INGEST:
            return self is not Role.READER
        return self is not Role.INGEST and _ORDER.index(self) >= _ORDER.index(need)


_ORDER = (Role.READER, Role.OPERATOR, Role.ADMIN)


class TokenState(StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a program or a person shows; of its secret only the digest is kept."""

    id: str
    name: str
    role: Role
    digest: str = field(repr=False)
    former: str = field(default="", repr=False)
    """The digest before the last rotation, good until `former_until`."""
    former_until: float = 0.0
    teams: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    """With neither teams nor monitors it is good for all of them."""
    created: float
    created_by: str
    expires: float | None = None
    used: float = 0.0
    """When it was shown last, to the hour; 0: never."""
    state: TokenState = TokenState.ACTIVE
    monitor: str = ""
    """Belongs to none."""
    version: int = 0

    def in_force(self, now: float) -> bool:
        """Neither revoked nor at its end."""
        return self.state is TokenState.ACTIVE and (self.expires is None or now < self.expires)


class Recorded(StrEnum):
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change of state that somebody made."""

    id: str
    monitor: str
    """Empty where it concerns none, or several."""
    created: float
    who: str
    way: str
    """`api`, `console` or `cli`."""
    token: str = ""
    """The id of the token that was shown."""
    address: str = ""
    operation: str
    """The route's or command's name."""
    kind: str = ""
    subject: str = ""
    """What was changed, by kind and id."""
    before: Mapping[str, Any] | None = None
    """Fields that changed, as they were; None where there was nothing. Text that people wrote or samples hold is never among them."""
    after: Mapping[str, Any] | None = None
    state: Recorded = Recorded.DONE
    version: int = 0
