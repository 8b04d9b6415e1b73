"""Where a request comes from: this machine, a page of our own, or a page elsewhere that makes a browser send it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via", "x-real-ip")
"""What proxies add. Whoever has come through one does not sit at this machine."""


def is_loopback(host: str) -> bool:
    """Whether a server on `host` is reachable from this machine only; names other than localhost count as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def local_name(host: str) -> bool:
    """Whether a `Host` header names this machine; HTTP/1.0 clients send none, browsers always do."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is None or name.endswith(".localhost") or is_loopback(name)


def same_origin(headers: Mapping[str, str], public_url: str | None = None, *, strict: bool) -> bool:
    """Whether no foreign page has made a browser send this. Programs send neither `Sec-Fetch-Site` nor `Origin`; with `strict` that is
    not enough, as what came with a cookie came from a browser."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    if origin is not None:
        return _authority(origin) in {headers.get("host", "").lower(), _authority(public_url or "")} - {""}
    return site is not None or not strict


def _authority(url: str) -> str:
    """Host and port as a browser writes them in `Host`: without the scheme's own port."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.netloc.lower().removesuffix(usual) if usual else parts.netloc.lower()


def network_of(address: str) -> str:
    """What limits are counted by: the address, of IPv6 the network that one customer has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
