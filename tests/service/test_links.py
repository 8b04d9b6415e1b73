"""A signed link opens what it names, until it ends, to nobody who changes it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigurationError, InputError
from service.links import PATH, Kind, Links
from service.settings import Settings, parse

SECRET, OTHER = "a" * 32, "b" * 32
NOW = 1_772_366_400.0
HERE = "https://drift.example/gate"


def token(links: Links, *subject: str, kind: Kind = Kind.SAMPLE, expires: float = NOW + 60) -> str:
    url = links.url(kind, *subject, expires=int(expires))
    assert url
    assert url.startswith(HERE + PATH)
    return url.removeprefix(HERE + PATH)


def refused(links: Links, given: str, now: float = NOW) -> str:
    with pytest.raises(InputError) as error:
        links.opened(given, now=now)
    return error.value.reason


@given(subject=st.lists(st.text(max_size=40), max_size=3), kind=st.sampled_from(Kind), expires=st.integers(0, 2**40))
def test_it_names_what_it_was_made_for(subject: list[str], kind: Kind, expires: int) -> None:
    links = Links([SECRET], HERE)
    given = token(links, *subject, kind=kind, expires=expires)
    found = links.opened(given, now=float(expires))

    assert (found.kind, found.subject, found.expires) == (kind, tuple(subject), expires)
    assert given == token(links, *subject, kind=kind, expires=expires)
    assert set(given) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_it_ends() -> None:
    links = Links([SECRET], HERE)
    assert links.opened(token(links, "b", "s", expires=NOW), now=NOW).subject == ("b", "s")
    assert refused(links, token(links, "b", "s", expires=NOW), now=NOW + 1) == "link_ended"


@given(at=st.integers(0), bit=st.integers(0, 5))
def test_one_changed_character_opens_nothing(at: int, bit: int) -> None:
    links = Links([SECRET], HERE)
    given = token(links, "b1", "s1")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = at % len(given)
    changed = given[:place] + letters[letters.index(given[place]) ^ (1 << bit)] + given[place + 1 :]

    assert refused(links, changed) == "link"


@pytest.mark.parametrize("given", ["", "x", "a.b", "ü", "A" * 43, "A" * 9_000, "=" * 44, "../../etc", "AAAA AAAA", "\0"])
def test_what_is_no_token_opens_nothing(given: str) -> None:
    assert refused(Links([SECRET], HERE), given) == "link"


def test_parts_do_not_slide_into_each_other() -> None:
    links = Links([SECRET], HERE)
    assert len({token(links, *parts) for parts in (("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ('a","bc',))}) == 5


def test_another_installation_s_link_opens_nothing() -> None:
    assert refused(Links([OTHER], HERE), token(Links([SECRET], HERE), "b", "s")) == "link"


def test_while_the_secret_is_changed_both_open_and_the_first_signs() -> None:
    before, during, after = Links([SECRET], HERE), Links([OTHER, SECRET], HERE), Links([OTHER], HERE)
    old, new = token(before, "b", "s"), token(during, "b", "s")

    assert during.opened(old, now=NOW) == during.opened(new, now=NOW)
    assert new == token(after, "b", "s")
    assert refused(after, old) == "link"


def test_it_outlives_the_moment_that_it_is_needed_at() -> None:
    assert Links([SECRET], HERE, days=2.0).expiry(NOW) == NOW + 2 * 86_400


def test_data_sets_are_named_with_their_versions_and_golden_never() -> None:
    links = Links([SECRET], HERE)
    cited = [{"role": role, "version": version} for role, version in (("train", 3), ("golden", 2), ("challenge", 1))]
    url = links.data_sets("c1", cited, expires=int(NOW))
    assert url
    assert links.opened(url.removeprefix(HERE + PATH), now=NOW).subject == ("c1", "challenge=1", "train=3")


# --- where the secret comes from --------------------------------------------------------------------------------------


def settings(tmp_path: Path, **server: Any) -> Settings:
    return parse({"directory": str(tmp_path / "kept"), "server": {"public_url": HERE + "/", **server}}, base=tmp_path)


def test_without_an_address_there_are_none(tmp_path: Path) -> None:
    links = Links.of(settings(tmp_path, public_url=None))

    assert not links
    assert links.url(Kind.BATCH, "b", expires=1) is None
    assert refused(links, token(Links([SECRET], HERE), "b", "s")) == "link"
    assert not (tmp_path / "kept").exists()


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = Links.of(settings(tmp_path)), Links.of(settings(tmp_path))

    assert second.opened(token(first, "b", "s"), now=NOW).subject == ("b", "s")
    (kept,) = (tmp_path / "kept").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_replicas_that_begin_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: Links.of(settings(tmp_path)), range(8)))
    assert len({token(links, "b", "s") for links in made}) == 1
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_the_environment_s_goes_before_the_file_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    given = settings(tmp_path, link_secret_file=str(tmp_path / "secret"))
    assert token(Links.of(given), "b") == token(Links([SECRET], HERE), "b")

    monkeypatch.setenv("DRIFTGATE__LINK_SECRET", f"{OTHER} {SECRET}")
    given = settings(tmp_path, link_secret_file=str(tmp_path / "secret"))
    assert token(Links.of(given), "b") == token(Links([OTHER], HERE), "b")
    assert OTHER not in repr(given)


@pytest.mark.parametrize("text", ["", "short", f"{SECRET} short"])
def test_a_short_secret_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(ConfigurationError, match="at least 32 characters") as error:
        Links.of(settings(tmp_path, link_secret_file=str(tmp_path / "secret")))
    assert SECRET not in str(error.value)


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere can't be read"):
        Links.of(settings(tmp_path, link_secret_file=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("url", ["drift.example", "ftp://drift.example", "https://", "https://x/?a=1", "https://x/#a", "https://x y/"])
def test_an_address_that_links_could_not_begin_with_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="public_url"):
        settings(tmp_path, public_url=url)
