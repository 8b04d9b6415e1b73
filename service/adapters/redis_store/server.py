"""The one place that talks to Redis: scripts and reads, and every answer that is none as an error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeAlias

import msgspec
import redis
from redis.exceptions import MasterDownError, NoPermissionError, NoScriptError, OutOfMemoryError, RedisError

from service.adapters.redis_store import levels
from service.adapters.redis_store.levels import Step
from service.errors import ArtefactError, ConflictError, DriftgateError, NotFoundError, RefusedError, UnavailableError

Given: TypeAlias = Mapping[str, Any]

_OURS: Mapping[str, type[DriftgateError]] = {"CONFLICT": ConflictError, "NOTFOUND": NotFoundError}
"""Codes of the scripts' own refusals."""

_GIVE_RIGHTS = "give the ACL user the rights that docs/redis.md lists"

_REMEDIES: Mapping[type[RedisError], str] = {
    redis.AuthenticationError: "check redis.user and the password (DRIFTGATE__REDIS_PASSWORD or redis.password_file)",
    NoPermissionError: _GIVE_RIGHTS,
    OutOfMemoryError: "raise maxmemory, or keep less; nothing is lost, samples wait in their log",
    redis.ReadOnlyError: "this is a replica: connect to the primary, or through Sentinel",
    MasterDownError: "this is a replica that has lost its primary: connect to the primary, or through Sentinel",
    redis.BusyLoadingError: "it is reading its file after a start: wait",
    redis.TimeoutError: "it does not answer in time: see what keeps it",
    redis.ConnectionError: "see whether it runs and can be reached",
}
"""The most special first."""

_UNNAMED: Mapping[str, str] = {
    "MISCONF": "it can't write to its disk: free space there, or see its log; nothing is lost, samples wait in their log",
    "NOREPLICAS": "fewer replicas follow it than min-replicas-to-write asks for: see what keeps them",
    "BUSY": "another script keeps it busy: wait, or see whose it is",
    "The user executing the script": _GIVE_RIGHTS,  # Redis 7
    "ACL failure in script": _GIVE_RIGHTS,  # Redis 8
}
"""How the messages begin that have no class of their own."""

_ARGUMENTS = 3
"""Of every script, before the bytes: prefix, the program's newest level, document."""

_encode = msgspec.msgpack.Encoder().encode
_WHERE = re.compile(r" script: [0-9a-f]{40}, on @user_script:\d+\.$")


class Server:
    """A Redis client under a key prefix."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client: Any = client  # its answers are typed as those of the asynchronous one, too
        self._prefix = prefix

    def key(self, *parts: str) -> str:
        """As `key` in the scripts makes it."""
        return ":".join((self._prefix, *parts))

    def run(self, name: str, given: Given | None = None) -> Any:
        """Runs a script of this package. It is never repeated here: a commit whose answer was lost may be in."""
        text, digest = script(name)
        raw = list[bytes]()
        document = _encode(_apart(given or {}, raw))
        arguments = (0, self._prefix, levels.NEWEST, document, *raw)
        with answered():
            try:
                return self._client.execute_command("EVALSHA", digest, *arguments)
            except NoScriptError:  # a server that has been restarted knows none
                return self._client.execute_command("EVAL", text, *arguments)

    def climb(self, level: int, step: Step, kinds: Sequence[str]) -> None:
        """Leads keys of a level up to the next; ConflictError where another process was quicker."""
        begins = "if level ~= given.level then return refuse('CONFLICT', 'the keys are of level %d by now', level) end"
        ends = "redis.call('SET', key('schema'), level + 1)\nredis.call('SET', key('oldest'), given.oldest)"
        text = "\n".join(("#!lua flags=allow-oom", _read("parts/common"), begins, step.lua, ends))
        given = _encode({"level": level, "oldest": step.oldest, "kinds": kinds})
        with answered():
            self._client.execute_command("EVAL", text, 0, self._prefix, level + 1, given)

    def ask(self, *command: str | int) -> Any:
        """One command that reads."""
        with answered():
            return self._client.execute_command(*command)

    def together(self, *commands: tuple[str | int, ...]) -> list[Any]:
        """Several commands that read, at one moment."""
        with answered():
            pipeline = self._client.pipeline(transaction=True)
            for command in commands:
                pipeline.execute_command(*command)
            return list(pipeline.execute())

    def close(self) -> None:
        """Lets go of the connections."""
        self._client.close()


def _apart(value: Any, raw: list[bytes]) -> Any:
    """The value with its bytes moved to `raw`, for Redis's msgpack knows none: each is replaced by its place among the arguments."""
    if isinstance(value, bytes):
        raw.append(value)
        return _ARGUMENTS + len(raw)
    if isinstance(value, Mapping):
        return {name: _apart(each, raw) for name, each in value.items()}
    if isinstance(value, list):
        return [_apart(each, raw) for each in value]
    return value


@cache
def script(name: str) -> tuple[str, str]:
    """A script's text with what it uses, and the digest by which the server knows it."""
    shebang, *body = _read(name).splitlines()
    used = [part for line in body if line.startswith("-- use: ") for part in line.removeprefix("-- use: ").split()]
    before = [] if "-- alone" in body else [_read(f"parts/{part}") for part in ("common", *used)]
    text = "\n".join((shebang, *before, *body))
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


def _read(name: str) -> str:
    return files(__package__).joinpath(f"scripts/{name}.lua").read_text(encoding="utf-8")


@contextmanager
def answered() -> Iterator[None]:
    """Redis's errors as ours."""
    try:
        yield
    except RedisError as error:
        raise explained(error) from error


def explained(error: RedisError) -> DriftgateError:
    """What it means, and what to do."""
    said = _WHERE.sub("", str(error))
    if isinstance(error, OutOfMemoryError):
        said = f"OOM {said.removeprefix('OOM ')}"  # what people search for; the client cuts it
    code, _, text = said.partition(" ")
    if code in _OURS:
        return _OURS[code](text)
    if code == "SCHEMA":
        return unreadable(int(text))
    remedies = [remedy for kind, remedy in _REMEDIES.items() if isinstance(error, kind)]
    remedies += [remedy for beginning, remedy in _UNNAMED.items() if said.startswith(beginning)]
    if remedies:
        refused = isinstance(error, redis.AuthenticationError) or remedies[0] == _GIVE_RIGHTS
        return (RefusedError if refused else UnavailableError)(f"Redis: {said.rstrip('.')}; {remedies[0]}")
    return ArtefactError(
        f"Redis: {said}; its keys are not what this driftgate wrote, or the server is of an unknown kind: see docs/redis.md"
    )


def unreadable(level: int) -> ArtefactError:
    """Keys that this program may not work on: nothing is touched."""
    if not level:
        return ArtefactError("Redis no longer holds this installation's keys: it was emptied, or restored from nothing; restart driftgate")
    known = f"this one works with {levels.NEWEST - 1} and {levels.NEWEST}" if levels.NEWEST > 1 else "this one works with 1"
    if level > levels.NEWEST:
        remedy = "run the version that wrote them; to go back to this one, restore what was backed up before"
        return ArtefactError(f"Redis: its keys are of level {level}, written by a newer driftgate, {known}; {remedy}")
    remedy = "end every older process, then run `driftgate migrate`"
    return ArtefactError(f"Redis: its keys are of level {level}, written by an older driftgate, {known}; {remedy}")
