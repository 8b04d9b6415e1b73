"""Roles over monitors."""

from __future__ import annotations

import pytest

from service.access import Grant, Principal, granted
from service.records import Role

TEAMS = {"chat": "support", "mail": "support", "fraud": "payments", "loose": None}


@pytest.mark.parametrize(
    ("role", "covered"),
    [
        (Role.INGEST, {Role.INGEST}),
        (Role.READER, {Role.READER}),
        (Role.OPERATOR, {Role.INGEST, Role.READER, Role.OPERATOR}),
        (Role.ADMIN, set(Role)),
    ],
)
def test_what_a_role_may(role: Role, covered: set[Role]) -> None:
    assert {need for need in Role if role.covers(need)} == covered


def test_a_team_s_operator_sees_and_acts_on_its_monitors_alone() -> None:
    caller = Principal("ana", granted(Role.OPERATOR, teams=["support"]))
    assert caller.among(TEAMS) == caller.among(TEAMS, Role.OPERATOR) == ("chat", "mail")
    assert not caller.everywhere
    assert not caller.may(Role.OPERATOR, "fraud", team="payments")
    assert not caller.may(Role.OPERATOR, "loose", team=None)
    assert not caller.over_all(Role.READER)


def test_several_grants_add_up() -> None:
    caller = Principal("ana", (Grant(Role.READER), Grant(Role.OPERATOR, monitors=frozenset({"fraud"}))))
    assert caller.among(TEAMS) == tuple(TEAMS)
    assert caller.among(TEAMS, Role.OPERATOR) == ("fraud",)
    assert caller.over_all(Role.READER)
    assert not caller.over_all(Role.OPERATOR)


def test_whoever_sends_everything_sees_nothing() -> None:
    caller = Principal("logger", granted(Role.INGEST))
    assert caller.may(Role.INGEST, "chat", team="support")
    assert caller.among(TEAMS) == ()
    assert not caller.everywhere
