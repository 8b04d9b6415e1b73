"""Who asks, and what they may do with which monitors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from service.records import Role

Teams = Mapping[str, str | None]
"""Every declared monitor, and the team that owns it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role over some monitors, or over the whole installation where it names neither teams nor monitors."""

    role: Role
    teams: frozenset[str] = frozenset()
    monitors: frozenset[str] = frozenset()

    @property
    def everywhere(self) -> bool:
        """Whether it holds for the installation, monitors that are still to come included."""
        return not self.teams and not self.monitors

    def reaches(self, monitor: str, team: str | None) -> bool:
        """Whether the monitor is among those that it is for."""
        return self.everywhere or monitor in self.monitors or team in self.teams


@dataclass(frozen=True, slots=True)
class Principal:
    """A program or a person, once it is known who it is."""

    name: str
    grants: tuple[Grant, ...]
    token: str = ""
    """The id of the token that was shown; empty of whoever came without one of the store's."""
    way: str = "api"
    """How they came: `api` by token, `session`, `proxy`, `local`."""

    @classmethod
    def local(cls) -> Self:
        """Whoever sits at the machine where nothing else asks who they are."""
        return cls("local", (Grant(Role.ADMIN),), way="local")

    @property
    def everywhere(self) -> bool:
        """Whether they see the whole installation."""
        return any(grant.everywhere and grant.role.covers(Role.READER) for grant in self.grants)

    @property
    def ambient(self) -> bool:
        """Whether a browser shows who they are by itself, so that a foreign page could make it act for them."""
        return self.way != "api"

    def may(self, need: Role, monitor: str | None = None, *, team: str | None = None) -> bool:
        """Whether they may do what asks for `need`: to a monitor of that team, or without one somewhere."""
        held = (grant for grant in self.grants if grant.role.covers(need))
        return any(monitor is None or grant.reaches(monitor, team) for grant in held)

    def over_all(self, need: Role) -> bool:
        """Whether they may do it to the installation as a whole."""
        return any(grant.everywhere and grant.role.covers(need) for grant in self.grants)

    def among(self, teams: Teams, need: Role = Role.READER) -> tuple[str, ...]:
        """The monitors that they may do it to."""
        return tuple(name for name, team in teams.items() if self.may(need, name, team=team))


def granted(role: Role, teams: Iterable[str] = (), monitors: Iterable[str] = ()) -> tuple[Grant, ...]:
    """A single grant."""
    return (Grant(role, frozenset(teams), frozenset(monitors)),)
