"""Numbers that carry their own check: payment cards (Luhn) and bank accounts (IBAN, modulo 97)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

Span = tuple[int, int]

_RUN = re.compile(r"[0-9](?:[\s./_-]{0,3}[0-9]){11,}")
_GROUP = re.compile(r"[0-9]+")
_LEAST, _MOST = 12, 19
"""Digits of a card."""

_LIKELY = re.compile(r"[A-Za-z]{2}[\s.-]{0,2}[0-9][\s.-]{0,2}[0-9]")
_NEXT = re.compile(r"[\s.-]{0,2}([0-9A-Za-z])")

_COUNTRIES = (
    "NO15 BE16 DK18 FI18 FK18 FO18 GL18 NL18 SD18 MK19 SI19 AT20 BA20 EE20 KZ20 LT20 LU20 MN20 XK20 CH21 HR21 LI21 LV21 BG22 BH22 CR22 "
    "DE22 GB22 GE22 IE22 ME22 RS22 VA22 AE23 GI23 IL23 IQ23 OM23 SO23 TL23 AD24 CZ24 ES24 MD24 PK24 RO24 SA24 SE24 SK24 TN24 VG24 DJ27 "
    "AO25 CV25 GW25 LY25 MZ25 PT25 ST25 IR26 IS26 TR26 BI27 CF27 CG27 CM27 FR27 GA27 GQ27 GR27 IT27 KM27 MC27 MG27 MR27 SM27 TD27 "
    "AL28 AZ28 BF28 BJ28 BY28 CI28 CY28 DO28 DZ28 GT28 HN28 HU28 LB28 MA28 ML28 NE28 NI28 PL28 SN28 SV28 TG28 BR29 EG29 PS29 QA29 "
    "UA29 JO30 KW30 MU30 YE30 MT31 SC31 LC32 RU33"
)
IBAN_LENGTHS: Mapping[str, int] = {each[:2]: int(each[2:]) for each in _COUNTRIES.split()}
"""Country → characters, of the IBAN registry and of the countries that use the form without it."""


def cards(text: str) -> Iterator[Span]:
    """Runs of 12 to 19 digits that pass Luhn's check and begin as cards do, with single separators or none."""
    for run in _RUN.finditer(text):
        yield from _cards_in(text, [found.span() for found in _GROUP.finditer(text, *run.span())])


def _cards_in(text: str, groups: list[Span]) -> Iterator[Span]:
    """A card begins and ends where a group does; where two could be meant, both are."""
    for first in range(len(groups)):
        last = _card_from(text, groups, first)
        if last is not None:
            yield groups[first][0], groups[last][1]


def _card_from(text: str, groups: list[Span], first: int) -> int | None:
    """The last group of the longest card that begins with this one."""
    digits, found = "", None
    for at in range(first, min(len(groups), first + _MOST)):
        digits += text[slice(*groups[at])]
        if len(digits) > _MOST:
            break
        if len(digits) >= _LEAST and is_card(digits):
            found = at
    return found


def is_card(digits: str) -> bool:
    """Whether the digits pass Luhn's check and begin as an issuer's do."""
    if not digits.startswith(("2", "3", "4", "5", "6", "81", "9792")):
        return False
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in even)
    return (sum(map(int, odd)) + doubled) % 10 == 0


def ibans(text: str) -> Iterator[Span]:
    """Accounts of a known country, of its length, whose check digits are right; spaces, dots and hyphens may stand between."""
    at = 0
    while (likely := _LIKELY.search(text, at)) is not None:
        end = _iban_end(text, likely.start())
        if end is not None:
            yield likely.start(), end
        at = likely.start() + 1 if end is None else end


def _iban_end(text: str, start: int) -> int | None:
    length, at, found = IBAN_LENGTHS.get(text[start : start + 2].upper(), 0), start, ""
    while len(found) < length:
        step = _NEXT.match(text, at)
        if step is None:
            return None
        found, at = found + step[1], step.end()
    return at if found and is_iban(found) else None


def is_iban(compact: str) -> bool:
    """Whether the check digits are right; letters count from 10 (A) to 35 (Z)."""
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1
