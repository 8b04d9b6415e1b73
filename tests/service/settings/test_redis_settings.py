"""Where Redis is: an address without what is secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.settings import Settings, parse


def configured(url: str) -> Settings:
    return parse({"redis": {"url": url}}, base=Path("/nowhere"))


@pytest.mark.parametrize("host", ["redis", "redis:6379", "redis.state.svc:6379/3", "[::1]:6379/0"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_an_address_is_taken(scheme: str, host: str) -> None:
    assert configured(f"{scheme}://{host}").redis is not None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://user:hushed@redis:6379/0", "a file or an environment variable"),
        ("redis://:hushed@redis:6379/0", "a file or an environment variable"),
        ("rediss://user@redis/0", "a file or an environment variable"),
        ("redis://redis/0?password=hushed", "pattern"),
        ("http://redis", "pattern"),
        ("redis://", "names no host"),
    ],
)
def test_an_address_holds_nothing_secret(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"redis\.url: .*{says}") as refused:
        configured(url)
    assert "hushed" not in str(refused.value)
