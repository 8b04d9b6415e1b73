"""A proxy that says who asks is believed where it is the proxy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from service.access import Access
from service.access.gate import Asked, Gate, RefusedError
from service.access.proxies import TrustedProxy
from service.errors import ConfigurationError
from service.records import Role
from service.settings import TrustedHeaderSettings

SECRET = "shared-with-the-proxy"
GRANTS = [
    {"group": "everybody", "role": "reader"},
    {"group": "on-call", "role": "operator", "teams": ["support"]},
]


def gate(**options: Any) -> Gate:
    secret = options.pop("secret", None)
    settings = TrustedHeaderSettings.model_validate({"proxies": ["10.0.0.0/24", "fd00::1"], "grants": GRANTS, **options})
    proxy = TrustedProxy.of(settings, None if secret is None else SecretStr(secret))
    return Gate(Access(loopback=True, proxy=proxy, key=bytes(32)))


def asked(address: str = "10.0.0.7", method: str = "GET", **headers: str) -> Asked:
    named = {"x-forwarded-user": "ana", "x-forwarded-groups": "everybody, on-call", "host": "drift.example", **headers}
    return Asked(method, "/console/alarms", {name.replace("_", "-"): value for name, value in named.items()}, address)


def refused(held: Gate, request: Asked) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        held.admit(request)
    return caught.value.status, caught.value.error


def test_whom_the_proxy_names_has_the_roles_of_their_groups() -> None:
    found = gate().admit(asked(x_forwarded_for="192.0.2.1, 198.51.100.7"))
    assert found.principal is not None
    assert (found.principal.name, found.principal.way, found.address) == ("ana", "proxy", "198.51.100.7")
    assert found.principal.over_all(Role.READER)
    assert found.principal.may(Role.OPERATOR, "chat", team="support")
    assert not found.principal.may(Role.OPERATOR, "fraud", team="payments")


@pytest.mark.parametrize("address", ["10.0.1.7", "127.0.0.1", "192.0.2.1", "", "testclient", "fd00::2"])
def test_from_elsewhere_its_headers_count_for_nothing(address: str) -> None:
    assert refused(gate(), asked(address)) == (401, "token")


@pytest.mark.parametrize("address", ["10.0.0.255", "::ffff:10.0.0.7", "fd00::1"])
def test_its_addresses(address: str) -> None:
    assert gate().admit(asked(address)).principal is not None


@pytest.mark.parametrize(("shown", "believed"), [(SECRET, True), ("", False), ("shared-with-the-prox", False), ("ü", False)])
def test_its_secret_is_asked_for(shown: str, believed: bool) -> None:
    held, request = gate(secret=SECRET), asked(x_driftgate_proxy=shown)
    if believed:
        assert held.admit(request).principal is not None
    else:
        assert refused(held, request) == (401, "token")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-user": ""},
        {"x-forwarded-user": "a" * 201},
        {"x-forwarded-user": "a\x7fb"},
        {"x-forwarded-groups": ""},
        {"x-forwarded-groups": "every body"},
    ],
)
def test_whoever_has_no_role_is_refused(headers: dict[str, str]) -> None:
    assert refused(gate(), asked(**headers)) == (403, "role")


def test_forms_come_from_our_own_pages_here_too() -> None:
    assert refused(gate(), asked(method="POST")) == (403, "origin")
    assert gate().admit(asked(method="POST", origin="https://drift.example")).principal is not None


def test_a_proxy_closes_the_open_loopback() -> None:
    request = Asked("GET", "/v1/alarms", {"host": "127.0.0.1"}, "127.0.0.1")
    assert refused(gate(), request) == (401, "token")


@pytest.mark.parametrize("proxies", [["0.0.0.0/0"], ["::/0"], ["proxy.example"], [], ["10.0.0.7/24"]])
def test_only_addresses_of_a_proxy_are_taken(proxies: list[str]) -> None:
    with pytest.raises(ValidationError, match="proxies"):
        gate(proxies=proxies)


def test_a_secret_is_long_and_does_not_show(tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="at least 16 characters, found 5"):
        gate(secret="short")
    with pytest.raises(ConfigurationError, match="can't be read"):
        gate(secret_file=str(tmp_path / "none"))
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    held = gate(secret_file=str(tmp_path / "secret"))
    assert SECRET not in repr(held.access)
    assert held.admit(asked(x_driftgate_proxy=SECRET)).principal is not None
