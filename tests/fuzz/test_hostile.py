"""What is sent to harm: every route that takes a name or a body is tried with all of it, and refuses it as a request, not as a bug."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import service
from service.api.openapi import operations
from tests.service.api.conftest import Site

NAMES = {
    "up": "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "up, encoded twice": "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "absolute": "%2fetc%2fpasswd",
    "a zero byte": "a%00b",
    "a line more": "a%0d%0aSet-Cookie:%20a=1",
    "no UTF-8": "%ff%fe",
    "half a pair": "%ed%a0%80",
    "markup": "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "long": "x" * 5_000,
}
DEEP = 50_000
BODIES = {
    "no UTF-8": b'{"actor": "\xff\xfe"}',
    "NaN": b'{"actor": NaN, "labels": NaN, "priority": NaN, "samples": [{"id": "a", "vector": [NaN, 1, 2]}]}',
    "infinite": b'{"actor": "ana", "priority": Infinity, "vector": [1e999, -1e999, 0]}',
    "beyond 64 bits": b'{"actor": "ana", "limit": 99999999999999999999, "priority": 1e400, "days": 9223372036854775808, "time": 1e300}',
    "a name twice": b'{"actor": "ana", "actor": {"a": 1}, "labels": [], "labels": 3}',
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"actor":' * DEEP + b"1" + b"}" * DEEP,
    "deep, within a field": b'{"actor": "ana", "sample": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "a long number": b'{"actor": "ana", "priority": ' + b"9" * 10_000 + b"}",
    "a long text": b'{"actor": "' + b"x" * 500_000 + b'"}',
    "half a pair": b'{"actor": "\\ud800", "sample": "\\ud800", "note": "\\udfff", "text": "\\ud800", "id": "\\ud800"}',
    "a zero byte": b'{"actor": "a\\u0000b", "sample": "\\u0000", "path": "\\u0000", "id": "\\u0000", "version": "\\u0000"}',
    "nothing": b"",
    "null": b"null",
    "a text": b'"x"',
    "not JSON": b"{",
    "a byte order mark": b'\xef\xbb\xbf{"actor": "ana"}',
}


@pytest.fixture(scope="module")
def routes(filled: Site) -> list[tuple[str, str, Mapping[str, Any]]]:
    return list(operations(filled.client.get("/openapi.json").json()))


def test_no_name_leads_anywhere_else(filled: Site, routes: Any) -> None:
    for method, path, _ in routes:
        for kind, name in NAMES.items() if "{" in path else ():
            for place in re.findall(r"{\w+}", path):
                filled_in = re.sub(r"{monitor}", "support", path.replace(place, name))
                answer = filled.client.request(method, re.sub(r"{\w+}", "a1", filled_in), json={"actor": "ana"})
                said = f"{method} {path} with {kind}: {answer.status_code}"
                assert 400 <= answer.status_code < 500 or is_empty(answer), said
                assert "root:" not in answer.text, said
                assert "set-cookie" not in answer.headers, said


def is_empty(answer: Any) -> bool:
    """A name that is a name like any other: nothing of it is there."""
    return bool(answer.status_code < 300)


@pytest.mark.parametrize("kind", BODIES)
def test_no_body_breaks_a_route(kind: str, filled: Site, routes: Any) -> None:
    broken = list[str]()
    for method, path, operation in routes:
        if "requestBody" in operation:
            media = next(iter(operation["requestBody"]["content"]))
            url = re.sub(r"{\w+}", "a1", path.replace("{monitor}", "support"))
            answer = filled.client.request(method, url, content=BODIES[kind], headers={"Content-Type": media})
            json.loads(answer.content or b"{}", parse_constant=refused)
            broken += [f"{method} {path}: {answer.text[:500]}"] * (answer.status_code >= 500)
    assert broken == []


def refused(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (each["name"] for each in operation.get("parameters", ()) if each["in"] == "query")


QUERIES = [
    "\0",
    "\r\nSet-Cookie: a=1",
    "9" * 5_000,
    "NaN",
    "99999999999999999999",
    "\U0010ffff",
    "' OR 1=1 --",
]


def test_no_query_breaks_a_route(filled: Site, routes: Any) -> None:
    for method, path, operation in routes:
        for name in parameters(operation) if method == "GET" else ():
            for value in QUERIES:
                answer = filled.client.get(re.sub(r"{\w+}", "support", path), params={name: value})
                assert answer.status_code < 500, f"{path}?{name}={value!r}: {answer.text[:500]}"
                assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "name", ["x-actor", "if-match", "if-none-match", "idempotency-key", "authorization", "cookie", "accept", "traceparent"]
)
@pytest.mark.parametrize("value", [b"\xff\xfe", b"a" * 20_000, b'"' * 1_000, b"\t", b"*, *, *"])
def test_no_header_breaks_a_route(filled: Site, name: str, value: bytes) -> None:
    for method, path in (("GET", "/v1/alarms/a1"), ("POST", "/v1/alarms/a1/acknowledge"), ("GET", "/metrics"), ("GET", "/readyz")):
        assert filled.client.request(method, path, json={"actor": "ana"}, headers={name.encode(): value}).status_code < 500


def test_nothing_is_written_whose_cells_a_spreadsheet_would_evaluate() -> None:
    """Samples leave as JSON lines and Parquet alone, where a text that begins with `=` is a text."""
    sources = Path(service.__file__).parent.rglob("*.py")
    assert [
        path.name for path in sources if re.search(r"csv\.(writer|DictWriter)|to_csv|write_csv", path.read_text(encoding="utf-8"))
    ] == []
