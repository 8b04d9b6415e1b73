"""Whatever secret is configured shows nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import structlog
from pydantic import SecretStr

from service.access import Access
from service.errors import ConfigurationError
from service.settings import Settings, parse

WEBHOOK = "whsec_" + "QUJDRA" * 8
SECRETS = sorted(name for name, field in Settings.model_fields.items() if SecretStr in (field.annotation, *get_args(field.annotation)))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One of each, all different; a new secret among the settings is among them by itself."""
    found = {name: WEBHOOK if name == "webhook_secret" else f"PLANTED-{name}-0123456789abcdef0123456789" for name in SECRETS}
    for name, secret in found.items():
        monkeypatch.setenv(f"DRIFTGATE__{name.upper()}", secret)
    return found


def document() -> dict[str, Any]:
    grants = [{"group": "everybody", "role": "reader"}]
    return {"access": {"trusted_header": {"proxies": ["10.0.0.1"], "grants": grants}}, "server": {"public_url": "https://drift.example"}}


def test_there_are_secrets_to_plant() -> None:
    assert {"ingest_token", "webhook_secret", "link_secret", "kafka_password", "redis_password", "proxy_secret"} <= set(SECRETS)


def test_they_show_in_no_text_of_the_settings(planted: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = parse(document(), base=tmp_path)
    access = Access.of(settings)
    structlog.get_logger().warning("what there is", settings=settings, access=access)
    with pytest.raises(ConfigurationError) as caught:
        parse({**document(), "server": {"port": "none"}, "budget": 1}, base=tmp_path)
    logged = capsys.readouterr()
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump()), repr(access), str(caught.value)]
    assert hidden(planted, *shown, logged.out, logged.err)


def test_nor_in_any_answer(planted: dict[str, str], make_site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    access = Access.of(parse(document(), base=tmp_path))
    site = make_site(access=access)
    token = {"authorization": f"Bearer {planted['ingest_token']}"}
    paths = [
        "/openapi.json",
        "/docs",
        "/readyz",
        "/metrics",
        "/v1/whoami",
        "/v1/tokens",
        "/v1/audit",
        "/v1/teams",
        "/v1/nowhere",
        "/console/health",
    ]
    for path in [*paths, "/console/configuration", f"/v1/cloudevents/{planted['ingest_token']}/x"]:
        for headers in (token, {"authorization": "Bearer wrong-token-of-nobody"}, {"host": "evil.example"}):
            answer = site.client.get(path, headers=headers)
            assert hidden(planted, answer.text, str(answer.headers)), path
    logged = capsys.readouterr()
    assert hidden(planted, logged.out, logged.err)


def hidden(planted: dict[str, str], *shown: str) -> bool:
    return not any(secret in text or secret.removeprefix("whsec_") in text for secret in planted.values() for text in shown)
