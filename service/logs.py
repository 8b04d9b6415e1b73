"""Structured logs: one JSON object per line, event first; readable lines where stderr is a terminal.

Everything passes the redaction: values under secret-looking keys, bearer tokens, webhook secrets and the token in
`/v1/cloudevents/{token}`, whichever library wrote the line.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

REDACTED = "[redacted]"

SUFFIX = ".log"
_RECENT_BYTES, _FORGET_SECONDS = 1_000_000, 7 * 86_400.0
_JSON = structlog.processors.JSONRenderer(default=str, ensure_ascii=False)

_TALKATIVE = {
    **dict.fromkeys(("httpx2", "httpcore2", "asyncio", "kafka"), "WARNING"),
    "kafka.net.selector": "ERROR",
    **dict.fromkeys(("kafka.cluster", "kafka.net.transport", "kafka.net.connection"), "CRITICAL"),
}
"""Libraries that would log every request, with addresses that may hold secrets of others, or every turn of their loops, or at each attempt
what driftgate says once; and from what on they are heard."""

_CLIENTS = ("kafka",)
"""Libraries that tell each attempt of theirs, while driftgate says once what is wrong and what to do."""

_SECRET_KEY = re.compile(r"(^|[_-])(token|secret|authorization|password|signature|cookie)s?$", re.IGNORECASE)
_SECRET_TEXT = (
    (re.compile(r"(/v1/cloudevents/)\S+"), rf"\1{REDACTED}"),
    (re.compile(r"\b(bearer\s+)[^\s\"',]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{REDACTED}"),
)


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that keeps secrets out of whatever is rendered."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and not isinstance(value, int | float | None):  # counts, such as max_tokens, are no secret
        return REDACTED
    if isinstance(value, str):
        for pattern, replacement in _SECRET_TEXT:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, Mapping):
        return {str(k): _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", v) for v in value]
    return value


def _event_first(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The order in which people read a line."""
    head = {key: event.pop(key) for key in ("event", "level", "time") if key in event}
    return {**head, **event}


class Sparing(logging.Filter):
    """Lets through the worst of what clients say by themselves, and that once a minute from each line of their code."""

    def __init__(self, least: int, *, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._least = least
        self._seconds = seconds
        self._clock = clock
        self._said: dict[tuple[str, int], float] = {}
        self.dropped = 0
        """Records that would have been shown, had they not been said just before."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if not record.name.startswith(_CLIENTS):
            return True
        place, now = (record.pathname, record.lineno), self._clock()
        if record.levelno < self._least:
            return False
        if now - self._said.get(place, float("-inf")) < self._seconds:
            self.dropped += 1
            return False
        self._said[place] = now
        return True


def dropped() -> int:
    """Records of clients that this process has left out because they said the same."""
    filters = [each for handler in logging.getLogger().handlers for each in handler.filters]
    return sum(each.dropped for each in filters if isinstance(each, Sparing))


def configure(*, level: str = "INFO", clients: str = "ERROR", stream: TextIO | None = None) -> None:
    """Sends structlog's and the standard library's records the same way; once, at start. `clients`: their least level."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(_renderer(out)))
    handler.addFilter(Sparing(logging.getLevelNamesMapping()[clients]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library, heard in _TALKATIVE.items():
        logging.getLogger(library).setLevel(heard)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # tests and the CLI configure twice
    )


def keep_recent(folder: Path, name: str, *, now: float) -> None:
    """The last lines of this process also stand in a file of the folder, for those who help: two of a megabyte at most, from INFO on.
    Those that nobody has written to for a week go."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"*{SUFFIX}*"):
        if path.stat().st_mtime < now - _FORGET_SECONDS:
            path.unlink(missing_ok=True)
    handler = RotatingFileHandler(folder / f"{name}{SUFFIX}", maxBytes=_RECENT_BYTES, backupCount=1, encoding="utf-8", delay=True)
    handler.setFormatter(_formatter(_JSON))
    handler.setLevel(logging.INFO)
    for known in logging.getLogger().handlers[0].filters:
        handler.addFilter(known)
    logging.getLogger().addHandler(handler)


def _shared() -> list[Processor]:
    """What every record passes, whoever made it."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _formatter(render: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, _event_first, render],
    )


def _renderer(out: TextIO) -> Processor:
    if out.isatty():
        return structlog.dev.ConsoleRenderer(timestamp_key="time")
    return _JSON
