"""Tokens and the log of changes on the command line: they work on the store, whether a server runs or not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from service.access import Access
from service.access.gate import Asked, Gate
from service.access.lookups import Lookups
from service.app import opened
from service.cli.application import app
from service.settings import load

DOCUMENT: dict[str, Any] = {
    "directory": "state",
    "teams": [{"name": "payments"}],
    "monitors": [{"name": "chat", "team": "payments", "embedder": {"input": "none", "dimension": 3}}],
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("USER", "ana")
    path = tmp_path / "driftgate.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def told(config: Path, *arguments: str) -> Any:
    result = run(config, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_first_admin_s_token_is_printed_once_and_opens(config: Path) -> None:
    first = run(config, "token", "bootstrap")
    text = first.stdout.strip()
    assert first.exit_code == 0
    again = run(config, "token", "bootstrap")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "there is an admin's token already" in again.stderr
    with opened(load(config), config=config) as installation:
        gate = Gate(Access(loopback=False), Lookups(installation.store))
        admitted = gate.admit(Asked("GET", "/v1/audit", {"authorization": f"Bearer {text}"}, "10.1.2.3"))
    assert admitted.principal is not None
    assert admitted.principal.name == "first admin"


def test_its_secret_is_in_no_file(config: Path) -> None:
    secret = run(config, "token", "bootstrap").stdout.strip().rpartition("_")[2]
    for folder, _, files in os.walk(config.parent):
        for name in files:
            assert secret.encode() not in (Path(folder) / name).read_bytes(), name


def test_a_token_s_life(config: Path) -> None:
    minted = told(config, "token", "mint", "logger", "--role", "ingest", "--monitor", "chat", "--team", "payments", "--days", "30")
    assert (minted["role"], minted["monitors"], minted["teams"], minted["created_by"]) == ("ingest", ["chat"], ["payments"], "ana")
    rotated = told(config, "token", "rotate", "logger", "--grace-hours", "1")
    assert (rotated["id"], rotated["token"] != minted["token"]) == (minted["id"], True)
    (listed,) = told(config, "token", "list")["tokens"]
    assert "token" not in listed
    assert told(config, "token", "revoke", minted["id"])["state"] == "revoked"
    assert told(config, "token", "list")["tokens"] == []
    assert len(told(config, "token", "list", "--all")["tokens"]) == 1
    assert "revoked" in run(config, "token", "list", "--all").stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("mint", "x", "--role", "ingest", "--monitor", "chta"), "neither a monitor nor a team of this configuration: chta"),
        (("mint", "x", "--role", "reader", "--team", "nobody"), "nobody"),
        (("mint", "x", "--role", "boss"), "boss"),
        (("revoke", "nothing"), "driftgate token list"),
    ],
)
def test_mistakes_are_told(config: Path, arguments: tuple[str, ...], why: str) -> None:
    result = run(config, "token", *arguments)
    assert result.exit_code == 2
    assert why in result.output


def test_who_changed_what_by_command(config: Path) -> None:
    minted = told(config, "token", "mint", "logger", "--role", "ingest")
    told(config, "token", "revoke", "logger")
    told(config, "token", "list")
    entries = told(config, "audit")["entries"]
    assert [(each["operation"], each["who"], each["way"]) for each in entries] == [
        ("token revoke", "ana", "cli"),
        ("token mint", "ana", "cli"),
    ]
    assert entries[0]["before"]["state"] == "active"
    assert minted["token"].rpartition("_")[2] not in json.dumps(entries)
    assert told(config, "audit", "--who", "bo")["entries"] == []
    assert len(told(config, "audit", "--limit", "1")["entries"]) == 1
    assert told(config, "audit", "--since", "2999-01-01")["entries"] == []
    assert "token revoke" in run(config, "audit").stdout


def test_quotas_are_shown_with_what_is_used(config: Path) -> None:
    config.write_text(yaml.safe_dump({**DOCUMENT, "teams": [{"name": "payments", "quotas": {"monitors": 1}}]}))
    found = {use["quota"]: (use["used"], use["limit"]) for use in told(config, "status")["teams"]["payments"]}
    assert found == {"monitors": (1, 1), "blob_bytes": (0, None), "label_cost": (0.0, None)}
    assert "payments" in run(config, "status").stdout


def test_the_doctor_says_where_nobody_is_let_in(config: Path) -> None:
    config.write_text(yaml.safe_dump({**DOCUMENT, "server": {"host": "0.0.0.0", "port": 0}}))  # noqa: S104 - the point of the test
    assert "driftgate token bootstrap" in run(config, "doctor").stdout.replace("\n", " ")
    run(config, "token", "bootstrap")
    assert "driftgate token bootstrap" not in run(config, "doctor").stdout.replace("\n", " ")
