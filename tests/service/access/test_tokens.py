"""Tokens of the store."""

from __future__ import annotations

import pytest
from msgspec import json

from service.access import tokens
from service.access.tokens import Wanted, bootstrap, digests, found, holds, listed, mint, parsed, revoke, rotate
from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError, InputError, NotFoundError
from service.records import Role, Token, TokenState

NOW = 1_000_000.0
LOGGER = Wanted(name="logger", role=Role.INGEST, monitors=("chat",), days=2)


def test_of_a_token_the_store_has_a_digest(store: SqliteStore) -> None:
    minted = mint(store, LOGGER, by="ana", now=NOW)
    kept = store.get(Token, minted.token.id)
    assert minted.secret.encode() not in json.encode(kept)
    assert parsed(minted.text) == (kept.id, minted.secret)
    assert holds(kept, minted.secret, NOW)
    assert not holds(kept, minted.secret[:-1] + "x", NOW)
    assert (kept.role, kept.monitors, kept.created_by, kept.expires) == (Role.INGEST, ("chat",), "ana", NOW + 172_800)


def test_secrets_do_not_show(store: SqliteStore) -> None:
    minted = mint(store, LOGGER, by="ana", now=NOW)
    assert minted.secret not in repr(minted)
    assert minted.token.digest not in repr(minted)


def test_a_token_ends(store: SqliteStore) -> None:
    minted = mint(store, LOGGER, by="ana", now=NOW)
    assert holds(minted.token, minted.secret, NOW + 172_799)
    assert not holds(minted.token, minted.secret, NOW + 172_800)
    with pytest.raises(ConflictError, match="mint another"):
        rotate(store, minted.token.id, grace=0, now=NOW + 172_800)


def test_after_a_rotation_both_secrets_are_good_for_a_while(store: SqliteStore) -> None:
    first = mint(store, LOGGER, by="ana", now=NOW)
    second = rotate(store, first.token.id, grace=60, now=NOW)
    assert second.token.id == first.token.id
    kept = store.get(Token, first.token.id)
    assert [holds(kept, secret, NOW + 59) for secret in (first.secret, second.secret)] == [True, True]
    assert [holds(kept, secret, NOW + 60) for secret in (first.secret, second.secret)] == [False, True]
    third = rotate(store, first.token.id, grace=60, now=NOW + 1)
    assert not holds(third.token, first.secret, NOW + 2)


def test_a_revoked_token_opens_nothing_ever_again(store: SqliteStore) -> None:
    minted = mint(store, LOGGER, by="ana", now=NOW)
    assert revoke(store, minted.token.id).state is TokenState.REVOKED
    kept = revoke(store, minted.token.id)
    assert kept.version == 2
    assert digests(kept, NOW) == ()
    with pytest.raises(ConflictError):
        rotate(store, minted.token.id, grace=60, now=NOW)


def test_the_first_admin_is_made_once(store: SqliteStore) -> None:
    mint(store, Wanted(name="of a team", role=Role.ADMIN, teams=("support",)), by="ana", now=NOW)
    first = bootstrap(store, by="root", now=NOW)
    assert first.token.role is Role.ADMIN
    with pytest.raises(ConflictError, match=first.token.id):
        bootstrap(store, by="root", now=NOW)
    revoke(store, first.token.id)
    assert bootstrap(store, by="root", now=NOW).token.id != first.token.id


def test_a_token_by_its_name(store: SqliteStore) -> None:
    one = mint(store, LOGGER, by="ana", now=NOW)
    assert found(store, "logger") == found(store, one.token.id) == one.token
    mint(store, LOGGER, by="ana", now=NOW)
    with pytest.raises(InputError, match="2 tokens are called 'logger'"):
        found(store, "logger")
    with pytest.raises(NotFoundError, match="driftgate token list"):
        found(store, "nobody")
    assert len(listed(store)) == 2


@pytest.mark.parametrize("days", [0, -1])
def test_no_token_ends_before_it_begins(store: SqliteStore, days: float) -> None:
    with pytest.raises(InputError, match="days"):
        mint(store, Wanted(name="x", role=Role.READER, days=days), by="ana", now=NOW)


@pytest.mark.parametrize("text", ["", "dg_", "dg_abc_def", "x" * 500, "dg_aaaaaaaaaaaaaaaa_" + "a" * 42, "dg_AAAAAAAAAAAAAAAA_" + "a" * 43])
def test_what_is_no_token(text: str) -> None:
    assert parsed(text) is None
    assert tokens.secret_in(text) == ""


def test_use_is_noted_by_the_hour(store: SqliteStore) -> None:
    minted = mint(store, LOGGER, by="ana", now=NOW)
    assert tokens.use_is_news(minted.token, NOW)
    tokens.mark_used(store, minted.token, NOW)
    kept = store.get(Token, minted.token.id)
    assert kept.used == NOW - NOW % 3_600
    assert not tokens.use_is_news(kept, NOW)
    tokens.mark_used(store, minted.token, NOW + 9_999)  # of a version that is gone: whoever changed it goes first
    assert store.get(Token, minted.token.id) == kept
