"""Nothing that is to be found gets through, whoever writes it how; nothing is found twice; and most of what people write is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.redaction import Redaction
from service.redaction.accounts import IBAN_LENGTHS, is_card, is_iban
from service.settings import PatternSettings, PrivacySettings

ALL = Redaction.of(PrivacySettings(redact=("email", "phone", "card", "iban", "ip")))
AROUND = st.text(max_size=20).filter(lambda text: not any(character.isalnum() or character in "@%.-_+" for character in text))


@st.composite
def cards(draw: st.DrawFn) -> str:
    """13 to 19 digits with Luhn's check digit, in groups of four, three or all in one."""
    body = draw(st.sampled_from(["4", "51", "2221", "34", "6011", "3530", "62"]))
    body += draw(st.text("0123456789", min_size=12 - len(body), max_size=18 - len(body)))
    whole = next(f"{body}{last}" for last in range(10) if is_card(f"{body}{last}"))
    step, between = draw(st.sampled_from([3, 4, 19])), draw(st.sampled_from([" ", "-", ".", "\u00a0", ""]))
    return between.join(whole[first : first + step] for first in range(0, len(whole), step))


@st.composite
def ibans(draw: st.DrawFn) -> str:
    """Of any country, of its length, with the right check digits; in groups of four or in one."""
    country = draw(st.sampled_from(sorted(IBAN_LENGTHS)))
    body = draw(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=IBAN_LENGTHS[country] - 4, max_size=IBAN_LENGTHS[country] - 4))
    compact = next(f"{country}{check:02d}{body}" for check in range(2, 99) if is_iban(f"{country}{check:02d}{body}"))
    compact = draw(st.sampled_from([compact, compact.lower()]))
    between = draw(st.sampled_from(["", " ", "-", "\u202f"]))
    return between.join(compact[first : first + 4] for first in range(0, len(compact), 4))


@given(AROUND, st.emails(), AROUND)
def test_no_address_gets_through(before: str, address: str, after: str) -> None:
    shown = ALL.text(f"{before} {address} {after}")
    assert address not in shown
    assert address.rpartition("@")[2] not in shown
    assert "<email>" in shown


@given(AROUND, cards(), AROUND)
def test_no_card_gets_through(before: str, card: str, after: str) -> None:
    shown = ALL.text(f"{before} {card} {after}")
    assert card not in shown
    assert not any(character in "0123456789" for character in shown.replace(before, "").replace(after, "")), shown


@given(AROUND, ibans(), AROUND)
def test_no_account_gets_through(before: str, iban: str, after: str) -> None:
    shown = ALL.text(f"{before} {iban} {after}")
    assert iban not in shown
    assert iban[4:] not in shown


@given(st.one_of(st.text(), st.text("0123456789 -.+()@aDE<>email:/%40"), st.lists(st.one_of(cards(), ibans(), st.emails())).map(" ".join)))
def test_what_was_replaced_is_left_as_it_is(text: str) -> None:
    once = ALL.text(text)
    assert ALL.text(once) == once


@given(st.text("0123456789 KD-<>d", max_size=60))
def test_own_patterns_leave_placeholders_alone(text: str) -> None:
    own = Redaction.of(PrivacySettings(redact=("card",), patterns=(PatternSettings(name="kd", pattern="[A-Z]{0,2}[kd<]{1,3}"),)))
    once = own.text(text)
    assert own.text(once) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to jane.doe+x@mail.example.co.uk.", "write to <email>."),
        ('"jane doe"@example.com or jane%40example.com', "<email> or <email>"),
        ("jürgen@münchen.de", "<email>"),
        ("j\u200bane@exam\u00adple.com", "<email>"),
        ("jane\uff20example\uff0ecom", "<email>"),
        ("call +49 (0)171 123 45 67 now", "call <phone> now"),
        ("0171/1234567, 555-123-4567, (555) 123-4567", "<phone>, <phone>, <phone>"),
        ("call \uff0b\uff14\uff19 171 1234567", "call <phone>"),
        ("4111\u20111111\u20111111\u20111111", "<card>"),
        ("\u0664\u0661\u0661\u0661 1111 1111 1111", "<card>"),
        ("ref 12 4111 1111 1111 1111 exp 12/28", "ref 12 <card> exp 12/28"),
        ("IBAN: DE89 3704 0044 0532 0130 00 please", "IBAN: <iban> please"),
        ("from 192.168.1.17 and 2001:db8::8a2e:370:7334", "from <ip> and <ip>"),
    ],
)
def test_however_it_is_written(text: str, shown: str) -> None:
    assert ALL.text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-03-01 at 12:30:45, or 01.03.2026",
        "it is 3.14159265, or 1,234,567.89",
        "order 12345678 of the 4th, version 1.2.3",
        "std::vector<int> a[10]; // @todo",
        "see https://example.com/a?b=1 about 5 @ 3 EUR",
        "4111 1111 1111 1112 fails the check",
        "DE88 3704 0044 0532 0130 00 fails it too",
        "ein ganz gewöhnlicher Satz – ohne irgendwas",
    ],
)
def test_what_people_write_is_left_alone(text: str) -> None:
    assert ALL.text(text) == text


def test_what_is_not_asked_for_stays() -> None:
    only = Redaction.of(PrivacySettings(redact=("email",)))
    assert only.text("a@b.de 4111 1111 1111 1111") == "<email> 4111 1111 1111 1111"
    assert Redaction.of(PrivacySettings()).text("a@b.de") == "a@b.de"


@pytest.mark.parametrize("pattern", ["a+", "(a{1,9}){1,9}", "(a|a){1,30}", r"(a)\1", "[0-9]{1,}", "x?", "(", "a{1,2000}"])
def test_expressions_that_could_run_away_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        PatternSettings(name="own", pattern=pattern)
