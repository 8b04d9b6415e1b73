"""Asks the API through its Service, as a client in the cluster would; `helm test` runs it. Needs the standard library alone."""  # noqa: INP001 - no package: it is handed to an interpreter as text

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

TRIES, PAUSE = 24, 5.0
"""Pods that have just been installed may take a moment."""


def ask(path: str, body: object = None, *, token: str = "") -> tuple[int, str]:
    """Status and answer."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["URL"] + path, content, headers)  # noqa: S310 - the chart's own Service
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, f"no answer: {error}"


def expect(asked: str, status: int, asking: Callable[[], tuple[int, str]]) -> None:
    """Ends with what came instead."""
    found, answer = 0, ""
    for attempt in range(TRIES):
        found, answer = asking()
        if found == status:
            sys.stdout.write(f"{asked}: {found}\n")
            return
        if found not in {0, 502, 503, 504}:
            break
        time.sleep(PAUSE if attempt < TRIES - 1 else 0)
    sys.exit(f"{asked}: expected {status}, found {found}: {answer[:1000]}")


def main() -> None:
    """Ready, closed without the token, open with it, and taking samples where it is to be sent one."""
    token, monitor = Path(os.environ["TOKEN_FILE"]).read_text(encoding="utf-8").strip(), os.environ.get("MONITOR")
    expect("GET /readyz", 200, lambda: ask("/readyz"))
    expect("GET /v1/monitors without a token", 401, lambda: ask("/v1/monitors"))
    if monitor:
        path, sample = f"/v1/monitors/{monitor}/samples", json.loads(os.environ["SAMPLE"])
        expect(f"POST {path}", 202, lambda: ask(path, {"id": f"helm-test-{time.time_ns()}", **sample}, token=token))
    else:
        expect("GET /v1/monitors", 200, lambda: ask("/v1/monitors", token=token))


main()
