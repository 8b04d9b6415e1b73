"""Secrets of a trial are made once, and are those that the program reads."""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from service.access import Access
from service.adapters.redis_store.rights import RIGHTS
from service.cli.application import app
from service.settings import load

DOCUMENT: dict[str, Any] = {
    "directory": "state",
    "server": {"ingest_token_file": "keys/api/token", "metrics_token_file": "keys/metrics/token"},
    "redis": {"url": "redis://redis:6379/0", "user": "driftgate", "password_file": "keys/redis/password"},
}


def secrets(folder: Path, *options: str, document: dict[str, Any] = DOCUMENT) -> Any:
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return CliRunner().invoke(app, ["demo", "secrets", "--config", str(folder / "driftgate.yaml"), *options])


def test_each_file_that_is_named_is_made_once(tmp_path: Path) -> None:
    options = ["--redis-acl", str(tmp_path / "keys/acl/users.acl"), "--also", str(tmp_path / "keys/grafana/password")]
    assert secrets(tmp_path, *options).exit_code == 0
    made = {path: path.read_text(encoding="ascii") for path in tmp_path.glob("keys/*/*")}
    assert {path.relative_to(tmp_path / "keys").as_posix() for path in made} == {
        "api/token", "metrics/token", "redis/password", "grafana/password", "acl/users.acl",
    }  # fmt: skip
    assert len(set(made.values())) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o444}
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", text) for path, text in made.items() if path.name != "users.acl")
    assert Access.of(load(tmp_path / "driftgate.yaml")).matches(made[tmp_path / "keys/api/token"].strip())

    again = secrets(tmp_path, *options)
    assert "all secrets are there" in again.stdout
    assert {path: path.read_text(encoding="ascii") for path in made} == made


def test_the_acl_file_lets_in_one_user_by_the_hash_of_the_password(tmp_path: Path) -> None:
    secrets(tmp_path, "--redis-acl", str(tmp_path / "users.acl"))
    password = (tmp_path / "keys/redis/password").read_text(encoding="ascii").strip()
    nobody, somebody = (tmp_path / "users.acl").read_text(encoding="ascii").splitlines()
    assert nobody == "user default off"
    assert somebody.startswith(f"user driftgate on #{hashlib.sha256(password.encode()).hexdigest()} ~driftgate:* +")
    assert password not in somebody


def test_a_new_password_makes_the_acl_file_anew(tmp_path: Path) -> None:
    acl = tmp_path / "users.acl"
    secrets(tmp_path, "--redis-acl", str(acl))
    before = acl.read_text(encoding="ascii")
    (tmp_path / "keys/redis/password").unlink()
    secrets(tmp_path, "--redis-acl", str(acl))
    assert acl.read_text(encoding="ascii") != before


def test_the_rights_are_those_that_the_page_lists() -> None:
    page = (Path(__file__).parents[3] / "docs/redis.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ACL SETUSER driftgate on >PASSWORD ~driftgate:\* (.*)$", page, re.MULTILINE)
    assert tuple(line.split()) == RIGHTS


@pytest.mark.parametrize(
    ("redis", "says"),
    [({"url": "redis://r:1"}, "redis.password_file"), ({"url": "redis://r:1", "password_file": "keys/redis/password"}, "redis.user")],
)
def test_an_acl_file_wants_a_user_and_a_password(redis: dict[str, str], says: str, tmp_path: Path) -> None:
    refused = secrets(tmp_path, "--redis-acl", str(tmp_path / "users.acl"), document={**DOCUMENT, "redis": redis})
    assert refused.exit_code == 2
    assert says in refused.stderr


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way", encoding="ascii")
    refused = secrets(tmp_path)
    assert refused.exit_code == 2
    assert "keys/api/token: can't be" in refused.stderr
