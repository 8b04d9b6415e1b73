"""Where people and machines can be reached: e-mail addresses, telephone numbers, IP addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

Span = tuple[int, int]

_LOCAL = r"\w.!#$%&'*+/=?^`{|}~-"
_DOMAIN = r"(?:\[[^\]\s]{1,64}\]|\w[\w-]*+(?:\.\w[\w-]*+)++)"
_EMAIL = re.compile(rf'(?:"(?:[^"\\\r\n]|\\.){{1,64}}"|(?<![{_LOCAL}])[{_LOCAL}]++) {{0,1}}@ {{0,1}}{_DOMAIN}')
_ENCODED = re.compile(rf"(?<![\w.!#$&'*+/=?^`{{|}}~-])[\w.!#$&'*+/=?^`{{|}}~-]++%40{_DOMAIN}")

_PHONE = re.compile(r"(?<![\w.,:/-])(?:\(?\+|\(?00)?[( ]{0,2}[0-9](?:[\s().\u2044/-]{0,3}[0-9]){5,16}(?![\w])")
_DIGITS = re.compile(r"[0-9]+")
_DATE = re.compile(r"(?:[12][0-9]{3}[-./ ][01]?[0-9][-./ ][0-3]?[0-9]|[0-3]?[0-9][-./ ][0-3]?[0-9][-./ ](?:[12][0-9])?[0-9]{2})(?![0-9])")
_NUMBER = re.compile(r"[0-9]+[.][0-9]+\Z")
_GROUPS = ((3, 3, 4), (1, 3, 3, 4), (3, 4), (2, 4, 4), (3, 3, 3), (2, 2, 2, 2, 2), (4, 3, 3), (3, 7), (3, 4, 4), (2, 3, 2, 2))
"""Lengths of the groups in which numbers without a prefix are written."""

_V4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9])")
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:(?<=:)[0-9.]{7,15})?(?![\w:])")


def emails(text: str) -> Iterator[Span]:
    """Addresses, those with letters of any script, quoted names, addresses of hosts and `%40` among them."""
    if "@" in text:
        yield from (found.span() for found in _EMAIL.finditer(text))
    if "%40" in text:
        yield from (found.span() for found in _ENCODED.finditer(text))


def phones(text: str) -> Iterator[Span]:
    """Numbers of 7 to 15 digits that begin with +, 00 or 0, or are written in groups as telephone numbers are."""
    for found in _PHONE.finditer(text):
        if _is_phone(found[0]):
            yield found.span()


def _is_phone(text: str) -> bool:
    groups = [len(group) for group in _DIGITS.findall(text)]
    bare = text.lstrip("( ")
    if not 7 <= sum(groups) <= 15 + 2 * bare.startswith("00") or _DATE.match(bare) or _NUMBER.match(bare):
        return False
    return bare.startswith(("+", "0")) or tuple(groups) in _GROUPS


def addresses(text: str) -> Iterator[Span]:
    """IPv4 and IPv6."""
    for pattern in (_V4, _V6) if text.count(":") > 1 else (_V4,):
        yield from (found.span() for found in pattern.finditer(text) if _is_address(found[0]))


def _is_address(text: str) -> bool:
    if text == "::":
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
