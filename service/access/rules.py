"""What each route asks for. Whoever reads needs `reader`, whoever changes something `operator`; every exception stands here.

The rules are held against a request before anything else looks at it, so that what has no route asks for a role as well, and nobody
learns without one which routes there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from service.links import PATH as LINKS
from service.records import Role

PROBES = frozenset({"/healthz", "/readyz"})
SIGNED = "/v1/annotations"
HOOKS = "/v1/annotations/label-studio/"
EVENTS = "/v1/cloudevents/"
LOGIN, LOGOUT = "/console/login", "/console/logout"
STATIC = "/console/static/"
CONSOLE = "/console"

READS = frozenset({"GET", "HEAD", "OPTIONS"})

OPEN = frozenset({("GET", "/"), ("GET", LOGIN), ("POST", LOGIN), ("POST", LOGOUT), *(("GET", path) for path in PROBES)})
"""Of these nobody is asked who they are. They tell nothing, or only to whoever says so by themselves."""

NEEDS: Mapping[tuple[str, str], Role] = MappingProxyType(
    {
        # what senders do
        ("POST", "/v1/monitors/{monitor}/samples"): Role.INGEST,
        ("POST", "/v1/monitors/{monitor}/labels"): Role.INGEST,
        ("POST", "/v1/cloudevents"): Role.INGEST,
        ("POST", "/v1/cloudevents/{token}"): Role.INGEST,
        ("GET", "/v1/whoami"): Role.INGEST,
        # what asks by POST, and changes nothing
        ("POST", "/v1/monitors/{monitor}/explanation"): Role.READER,
        # what decides over others
        ("PUT", "/v1/monitors/{monitor}"): Role.ADMIN,
        ("DELETE", "/v1/monitors/{monitor}"): Role.ADMIN,
        ("GET", "/v1/tokens"): Role.ADMIN,
        ("POST", "/v1/tokens"): Role.ADMIN,
        ("POST", "/v1/tokens/{token}/rotate"): Role.ADMIN,
        ("DELETE", "/v1/tokens/{token}"): Role.ADMIN,
        ("GET", "/v1/audit"): Role.ADMIN,
        ("POST", "/v1/forget"): Role.ADMIN,
        ("GET", "/v1/forgotten"): Role.ADMIN,
        ("GET", "/console/audit"): Role.ADMIN,
    }
)

EVERYWHERE = frozenset(
    {
        ("GET", "/metrics"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("POST", "/v1/tokens/{token}/rotate"),
        ("DELETE", "/v1/tokens/{token}"),
    }
)
"""These concern the installation as a whole: a role over some monitors is not enough."""


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/")))


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATTERNS = tuple((method, _pattern(path), (method, path)) for method, path in NEEDS)


def _rule(method: str, path: str) -> tuple[str, str]:
    """The exception that the request falls under, else the request itself."""
    method = "GET" if method == "HEAD" else method
    return next((rule for verb, pattern, rule in _PATTERNS if verb == method and pattern.fullmatch(path)), (method, path))


def names_nothing(path: str) -> bool:
    """Whether no path looks like that. The router takes a line's end after a path for the path itself; the rules would not."""
    return _CONTROL.search(path) is not None


def need(method: str, path: str) -> Role | None:
    """What a request asks for; None where it is open, by a signature of its own if need be."""
    if _is_open(method, path):
        return None
    return NEEDS.get(_rule(method, path), Role.READER if method in READS else Role.OPERATOR)


def over_all(method: str, path: str) -> bool:
    """Whether the request concerns the installation as a whole."""
    return _rule(method, path) in EVERYWHERE


def _is_open(method: str, path: str) -> bool:
    method = "GET" if method == "HEAD" else method
    if (method, path) in OPEN or path.startswith(LINKS):
        return True
    return (method == "GET" and path.startswith(STATIC)) or (method == "POST" and path.startswith(HOOKS))
