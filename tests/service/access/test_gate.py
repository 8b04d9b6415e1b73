"""Who is let in, how soon they are no longer, and how often they may ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.access import Access, tokens
from service.access.gate import RefusedError
from service.access.lookups import SECONDS
from service.access.sessions import COOKIE, Session
from service.records import Role, Token
from service.settings import AccessSettings
from tests.service.access.conftest import Door, MakeDoor, asked

CONFIGURED = "correct-horse-battery"
LOCAL = Access(loopback=True, key=bytes(32))


def refused(door: Door, *args: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        door.gate.admit(asked(*args, **options))
    return caught.value.status, caught.value.error


def test_a_token_says_who_asks(door: Door) -> None:
    minted = door.mint(Role.READER)
    admitted = door.gate.admit(asked(token=minted.text))
    assert admitted.principal is not None
    assert (admitted.principal.name, admitted.principal.token, admitted.need) == ("a reader", minted.token.id, Role.READER)


def test_nobody_is_let_in_without_one(door: Door) -> None:
    assert refused(door) == (401, "token")
    assert refused(door, token="wrong") == (401, "token")
    assert refused(door, token="dg_aaaaaaaaaaaaaaaa_" + "a" * 43) == (401, "token")


def test_too_low_a_role_is_told_so(door: Door) -> None:
    minted = door.mint(Role.READER)
    assert refused(door, "POST", token=minted.text) == (403, "role")
    part = door.mint(Role.ADMIN, monitors=("chat",))
    assert refused(door, "GET", "/v1/tokens", token=part.text) == (403, "role")


@pytest.mark.parametrize("end", ["\n", "\r", "\t", "\0", "\x7f"])
def test_a_path_with_a_control_character_is_none(door: Door, end: str) -> None:
    """The router takes `/v1/tokens` and a line's end for `/v1/tokens`."""
    operator, admin = door.mint(Role.OPERATOR).text, door.mint(Role.ADMIN).text
    for text in (operator, admin, ""):
        assert refused(door, "POST", f"/v1/tokens{end}", token=text) == (404, "not_found")
    assert refused(door, "GET", f"/healthz{end}") == (404, "not_found")


def test_a_revocation_holds_within_five_seconds_on_every_replica(make_door: MakeDoor) -> None:
    one, other = make_door(), make_door()
    minted = one.mint(Role.READER)
    for door in (one, other):
        door.gate.admit(asked(token=minted.text))
    tokens.revoke(one.store, minted.token.id)
    for door in (one, other):
        door.time.now += SECONDS
        assert refused(door, token=minted.text) == (401, "token")
    assert SECONDS < 5


def test_a_new_token_is_known_everywhere_as_soon(make_door: MakeDoor) -> None:
    door = make_door()
    minted = door.mint(Role.READER)
    door.store.save(replace(minted.token, id="a" * 16, version=1))
    missing = f"dg_{'b' * 16}_{minted.secret}"
    assert refused(door, token=missing) == (401, "token")
    door.store.save(replace(minted.token, id="b" * 16, version=1))
    door.time.now += SECONDS
    door.gate.admit(asked(token=missing))


def test_the_store_is_asked_once_in_a_while(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    minted, looks = door.mint(Role.READER), list[str]()
    get = door.store.get

    def counted(kind: Any, name: str) -> Any:
        looks.append(name)
        return get(kind, name)

    monkeypatch.setattr(door.store, "get", counted)
    assert not door.gate.from_memory(asked(token=minted.text))
    door.gate.admit(asked(token=minted.text))
    first = len(looks)
    for _ in range(50):
        assert door.gate.from_memory(asked(token=minted.text))
        door.gate.admit(asked(token=minted.text))
    assert len(looks) == first


def test_what_was_looked_up_takes_bounded_memory(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, settings=AccessSettings(failures_per_minute=10_000)), most=8)
    for number in range(40):
        refused(door, token=f"dg_{'a' * 14}{chr(97 + number // 20)}{chr(97 + number % 20)}_{'a' * 43}")
    assert len(door.lookups) == 8


def test_use_is_kept(door: Door) -> None:
    minted = door.mint(Role.READER)
    door.gate.admit(asked(token=minted.text))
    assert door.store.get(Token, minted.token.id).used == door.time.now - door.time.now % 3_600


# --- the configured token -----------------------------------------------------------------------------------------------


def test_the_configured_token_has_the_role_it_was_given(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, token=CONFIGURED, role=Role.INGEST))
    assert door.gate.admit(asked("POST", "/v1/cloudevents", token=CONFIGURED)).need is Role.INGEST
    assert refused(door, token=CONFIGURED) == (403, "role")


def test_a_token_in_the_path_opens_events_only(door: Door) -> None:
    minted = door.mint(Role.INGEST, monitors=("chat",))
    admitted = door.gate.admit(asked("POST", f"/v1/cloudevents/{minted.text}"))
    assert admitted.principal is not None
    assert admitted.principal.grants[0].monitors == {"chat"}
    for path in (f"/v1/cloudevents/{minted.text}/x", f"/v1/monitors/{minted.text}/samples", "/v1/cloudevents/"):
        assert refused(door, "POST", path) == (401, "token")


# --- loopback -----------------------------------------------------------------------------------------------------------


def test_whoever_sits_at_the_machine_is_its_admin_until_there_is_a_token(make_door: MakeDoor) -> None:
    door = make_door(LOCAL)
    admitted = door.gate.admit(asked("DELETE", "/v1/tokens/x", host="localhost:8080"))
    assert admitted.principal is not None
    assert admitted.principal.way == "local"
    door.mint(Role.READER)
    door.time.now += SECONDS
    assert refused(door, host="localhost:8080") == (401, "token")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"host": "evil.example"}, (403, "host")),
        ({"host": "127.0.0.1", "x_forwarded_for": "10.0.0.1"}, (401, "token")),
        ({"host": "127.0.0.1", "forwarded": "for=10.0.0.1"}, (401, "token")),
        ({"host": "127.0.0.1", "via": "1.1 proxy"}, (401, "token")),
    ],
)
def test_nobody_else_is_taken_for_them(make_door: MakeDoor, headers: dict[str, str], why: tuple[int, str]) -> None:
    assert refused(make_door(LOCAL), **headers) == why


@pytest.mark.parametrize(
    ("headers", "goes"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8080"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "http://127.0.0.1:8080"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://127.0.0.1:9090"}, False),
        ({"origin": "null"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site"}, False),
    ],
)
def test_a_page_elsewhere_changes_nothing_here(make_door: MakeDoor, headers: dict[str, str], goes: bool) -> None:
    door, request = make_door(LOCAL), asked("POST", "/v1/monitors/m/samples", host="127.0.0.1:8080", **headers)
    if goes:
        door.gate.admit(request)
    else:
        assert refused(door, "POST", "/v1/monitors/m/samples", host="127.0.0.1:8080", **headers) == (403, "origin")
    door.gate.admit(asked(host="127.0.0.1:8080", **headers))  # what it reads the browser keeps from it


# --- sessions -----------------------------------------------------------------------------------------------------------


def session(door: Door, text: str) -> Session:
    found = door.gate.log_in(text, "10.1.2.3")
    assert found is not None
    return found


def with_session(door: Door, begun: Session, method: str = "GET", **headers: str) -> Any:
    return asked(method, "/console/alarms", host="drift.example", cookie=f"other=1; {COOKIE}={begun.text}", **headers)


def test_a_session_is_its_token_s(door: Door) -> None:
    minted = door.mint(Role.OPERATOR)
    begun = session(door, minted.text)
    admitted = door.gate.admit(with_session(door, begun))
    assert admitted.principal is not None
    assert (admitted.principal.way, admitted.principal.token, admitted.session) == ("session", minted.token.id, begun)
    assert minted.secret not in begun.text


def test_it_ends_with_time_with_the_token_and_with_its_secret(door: Door) -> None:
    minted = door.mint(Role.OPERATOR)
    begun = session(door, minted.text)
    door.time.now += 12 * 3_600
    assert refuse(door, begun) == (401, "token")
    begun = session(door, minted.text)
    tokens.rotate(door.store, minted.token.id, grace=60, now=door.time.now)
    door.time.now += 30
    door.gate.admit(with_session(door, begun))
    door.time.now += 31
    assert refuse(door, begun) == (401, "token")
    other = door.mint(Role.OPERATOR)
    begun = session(door, other.text)
    tokens.revoke(door.store, other.token.id)
    door.time.now += SECONDS
    assert refuse(door, begun) == (401, "token")


def refuse(door: Door, begun: Session, method: str = "GET", **headers: str) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        door.gate.admit(with_session(door, begun, method, **headers))
    return caught.value.status, caught.value.error


def test_nobody_makes_one_up(door: Door) -> None:
    minted = door.mint(Role.OPERATOR)
    begun = session(door, minted.text)
    for wrong in (
        replace(begun, expires=begun.expires + 1),
        replace(begun, token="b" * 16),
        replace(begun, token="configured"),
        replace(begun, signature="0" * 64),
    ):
        assert refuse(door, wrong) == (401, "token")


def test_the_configured_token_logs_in_too(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, token=CONFIGURED, key=bytes(32)))
    begun = session(door, CONFIGURED)
    door.gate.admit(with_session(door, begun))
    changed = make_door(Access(loopback=False, token="another-horse-battery", key=bytes(32)))
    assert refuse(changed, begun) == (401, "token")


def test_whoever_may_only_send_does_not_log_in(door: Door) -> None:
    assert door.gate.log_in(door.mint(Role.INGEST).text, "10.1.2.3") is None
    assert door.gate.log_in("nothing", "10.1.2.3") is None


@pytest.mark.parametrize(
    ("headers", "goes"),
    [
        ({"origin": "https://drift.example"}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({}, False),
        ({"origin": "https://drift.example.evil.example"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://drift.example"}, False),
    ],
)
def test_what_comes_with_a_cookie_comes_from_our_own_page(door: Door, headers: dict[str, str], goes: bool) -> None:
    begun = session(door, door.mint(Role.OPERATOR).text)
    if goes:
        door.gate.admit(with_session(door, begun, "POST", **headers))
    else:
        assert refuse(door, begun, "POST", **headers) == (403, "origin")


def test_behind_a_proxy_that_changes_the_name_the_public_one_counts(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, key=bytes(32), public_url="https://drift.example/gate"))
    begun = session(door, door.mint(Role.OPERATOR).text)
    request = replace(with_session(door, begun, "POST"), headers={"host": "10.0.0.9:8080", "origin": "https://drift.example"})
    cookie = {"cookie": f"{COOKIE}={begun.text}"}
    door.gate.admit(replace(request, headers={**request.headers, **cookie}))


# --- limits -------------------------------------------------------------------------------------------------------------


def test_guesses_are_limited_and_lock_nobody_out_who_was_right_before(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, token=CONFIGURED, settings=AccessSettings(failures_per_minute=3)))
    door.gate.admit(asked(token=CONFIGURED, address="10.9.9.9"))
    for address in ("10.1.2.3", "10.9.9.9"):
        found = [refused(door, token=f"guess {number}", address=address) for number in range(4)]
        assert found == [(401, "token")] * 3 + [(429, "rate")]
    assert refused(door, token=CONFIGURED) == (429, "rate")
    door.gate.admit(asked(token=CONFIGURED, address="10.9.9.9"))
    door.time.now += 60
    door.gate.admit(asked(token=CONFIGURED))


def test_a_token_of_the_store_is_let_in_wherever_others_guess(make_door: MakeDoor) -> None:
    """Behind one proxy all have one address, and after a start nobody has been right from there before."""
    door = make_door(Access(loopback=False, settings=AccessSettings(failures_per_minute=3)))
    late = door.mint(Role.READER)
    made_up = "dg_aaaaaaaaaaaaaaaa_" + "a" * 43
    assert [refused(door, token=made_up) for _ in range(4)] == [(401, "token")] * 3 + [(429, "rate")]
    door.gate.admit(asked(token=late.text))
    assert door.gate.log_in(late.text, "10.1.2.3") is not None


def test_logging_in_is_guessing_too(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, token=CONFIGURED, settings=AccessSettings(failures_per_minute=3)))
    for _ in range(3):
        assert door.gate.log_in("nothing", "10.1.2.3") is None
    with pytest.raises(RefusedError, match="too many wrong tokens"):
        door.gate.log_in(CONFIGURED, "10.1.2.3")


def test_an_ipv6_customer_is_one(make_door: MakeDoor) -> None:
    door = make_door(Access(loopback=False, settings=AccessSettings(failures_per_minute=3)))
    found = [refused(door, token="guess", address=f"2001:db8::{number}")[0] for number in range(4)]
    assert found == [401, 401, 401, 429]


@pytest.mark.parametrize("by", ["token", "address"])
def test_requests_are_limited_by_token_and_by_address(make_door: MakeDoor, by: str) -> None:
    door = make_door(Access(loopback=False, settings=AccessSettings(requests_per_second=2)))
    texts = [door.mint(Role.READER).text for _ in range(5)]
    requests = [
        asked(token=text if by == "address" else texts[0], address="10.1.2.3" if by == "address" else f"10.1.2.{number}")
        for number, text in enumerate(texts)
    ]
    for request in requests[:4]:
        door.gate.admit(request)
    with pytest.raises(RefusedError) as caught:
        door.gate.admit(requests[4])
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    door.gate.admit(asked(path="/healthz"))
    door.time.now += 1
    door.gate.admit(requests[4])
