"""Label Studio over HTTP: who we are to it, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import msgspec

from service.errors import ConfigurationError, DeliveryError

MOST_BYTES = 64_000_000
"""Of an answer."""

_SHOWN = 300
_RETRYABLE = frozenset({408, 409, 423, 425, 429})


class MissingError(DeliveryError):
    """Label Studio has no such thing (404)."""


class Client:
    """Both kinds of token: a legacy one goes as it is, a personal one is exchanged for what lives five minutes.

    token : asked for whenever there is need, so that a changed one counts without a restart.
    transport : what connects; the one that is given refuses what may not be reached.
    alive : called before every request, of which one delivery can take hundreds.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        timeout: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._http = httpx2.Client(base_url=url, timeout=timeout, transport=transport, trust_env=False, follow_redirects=False)
        self._host = self._http.base_url.host
        self._token = token
        self._alive = alive
        self._exchanged: tuple[str, str] | None = None
        """(personal token, what it was exchanged for)."""

    def ask(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """The answer's JSON; DeliveryError says what was wrong, and what to do."""
        status, answer = self._send(method, path, params, body, self._authorization())
        if status == 401 and self._exchanged is not None:
            self._exchanged = None
            status, answer = self._send(method, path, params, body, self._authorization())
        self._require(status, answer, path)
        return answer

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._http.close()

    # --- who we are ---------------------------------------------------------------------------------------------------

    def _authorization(self) -> str:
        try:
            token = self._token()
        except ConfigurationError as error:
            raise DeliveryError(f"{error}; then replay the item", retryable=False) from error
        if token.count(".") != 2:
            return f"Token {token}"
        if self._exchanged is None or self._exchanged[0] != token:
            self._exchanged = token, self._exchange(token)
        return f"Bearer {self._exchanged[1]}"

    def _exchange(self, token: str) -> str:
        status, answer = self._send("POST", "api/token/refresh/", None, {"refresh": token}, None)
        self._require(status, answer, "api/token/refresh/")
        access = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(access, str):
            raise self._unreadable("api/token/refresh/")
        return access

    # --- there and back -----------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, authorization: str | None) -> tuple[int, Any]:
        self._alive()
        headers = {"accept": "application/json", "user-agent": "driftgate"}
        if authorization is not None:
            headers["authorization"] = authorization
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["content-type"] = "application/json"
        try:
            with self._http.stream(method, path, params=params, content=content, headers=headers) as response:
                return response.status_code, self._read(response, path)
        except httpx2.TimeoutException as error:
            raise DeliveryError(f"{self._host}: Label Studio gave no answer in time", retryable=True) from error
        except httpx2.TransportError as error:
            raise DeliveryError(f"{self._host}: {str(error) or type(error).__name__}", retryable=True) from error

    def _read(self, response: httpx2.Response, path: str) -> Any:
        """JSON; None for an empty body. What is no JSON is an error of its own, unless the status says enough."""
        if response.status_code in _RETRYABLE or response.status_code >= 500:
            after = response.headers.get("retry-after", "")
            raise DeliveryError(
                f"{self._host}: Label Studio answers {response.status_code} to {path}; it is tried again",
                retryable=True,
                retry_after=float(after) if after.isascii() and after.isdigit() else None,
            )
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise DeliveryError(f"{self._host}: Label Studio's answer to {path} is larger than {MOST_BYTES:,} bytes", retryable=False)
        if not content.strip():
            return None
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError:
            if response.is_success or response.is_redirect:
                raise self._unreadable(path) from None
            return None

    def _require(self, status: int, answer: Any, path: str) -> None:
        """An error may come as a status, or in the body of a 200."""
        if isinstance(answer, dict) and isinstance(answer.get("status_code"), int):
            status = max(status, answer["status_code"])
        if status < 300:
            return
        said = _said(answer)
        if status in (401, 403):
            message = (
                f"refuses our token ({status}){said}: make one under Account & Settings (a legacy token needs that kind to be enabled by "
                "its administrator), put it where the destination reads it, then replay the item"
            )
        elif status == 404:
            message = f"has nothing under {path} (404){said}: is the destination's url Label Studio's address, and does the project exist?"
        else:
            message = f"refuses {path} ({status}){said}"
        kind = MissingError if status == 404 else DeliveryError
        raise kind(f"{self._host}: Label Studio {message}", retryable=False)

    def _unreadable(self, path: str) -> DeliveryError:
        return DeliveryError(
            f"{self._host}: the answer to {path} is no JSON, so this may not be Label Studio, or a login page stands before it; "
            "check the destination's url, then replay the item",
            retryable=False,
        )


def _said(answer: Any) -> str:
    """What Label Studio says itself, cut."""
    if not isinstance(answer, dict):
        return ""
    found = answer.get("validation_errors") or answer.get("detail") or answer.get("error")
    return "" if not found else f": {found}"[:_SHOWN]
