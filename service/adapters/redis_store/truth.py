"""Answers until their truth comes, and judgements since it came."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from service.adapters.redis_store import decisions
from service.adapters.redis_store.server import Server
from service.records import Answer, AnswerBlock, Event, Judgement, Truths, Untold
from service.truth import answers, packing

_ROWS, _NUMBER = struct.Struct("<I"), struct.Struct("<dI")
"""What a block and a judgement begin with: rows; the number and the reference version."""

_AT_ONCE = 10_000
"""Judgements that one answer of the server holds."""

_BLOCKS = 64
"""Blocks of answers whose keys one does."""


def packed_answers(block: AnswerBlock) -> Mapping[str, Any]:
    """A block as the scripts take it."""
    return {"monitor": block.monitor, "rows": block.rows, "keep": block.keep, "body": block.body}


def packed(truths: Truths) -> Mapping[str, Any]:
    """What became known as the scripts take it."""
    before = truths.before or {}
    judgements = [
        {"sample": each.sample, "version": each.reference_version, "body": packing.pack(each)}
        | ({"before": packing.pack(before[each.sample])} if each.sample in before else {})
        for each in truths.judgements
    ]
    bounds = {"keep": truths.keep, "remember": max(truths.keep, truths.remember)}
    return {"monitor": truths.monitor, "judgements": judgements, "compared": truths.before is not None, **bounds}


def judge(server: Server, truths: Truths) -> Collection[str]:
    """Keeps what became known; returns the samples of which something else is known by now."""
    return {sample.decode() for sample in server.run("judge", packed(truths))}


def find_answers(server: Server, monitor: str, samples: Collection[str]) -> Mapping[str, Answer]:
    """What the model answered to these samples."""
    while True:
        merges = set[int]()
        found = answers.find(_keys(server, monitor, merges), samples, partial(_block, server, monitor))
        if len(found) == len(set(samples)) or len(merges) < 2:
            return found  # else rows may have moved from blocks that were not read yet to one that had been


def _keys(server: Server, monitor: str, merges: set[int]) -> Iterator[tuple[int, bytes]]:
    """Of each block, the newest first, and how often blocks had been merged; some at a time, so that the server is held up briefly."""
    before: int | str = "+inf"
    while True:
        merged, blocks = server.run("answer_keys", {"monitor": monitor, "before": before, "limit": _BLOCKS})
        merges.add(merged)
        if not blocks:
            return
        yield from ((number, keys) for number, keys in blocks)
        before = f"({blocks[-1][0]}"


def _block(server: Server, monitor: str, number: int) -> bytes | None:
    stored: bytes | None = server.ask("HGET", server.key("answers", monitor), number)
    return None if stored is None else stored[_ROWS.size :]


def merge(server: Server) -> None:
    """The newest blocks, which are small, become larger ones."""
    for name in server.ask("SMEMBERS", server.key("answering")):
        monitor = name.decode()
        found = server.run("small_answers", {"monitor": monitor, "below": answers.SMALL})
        blocks = [(number, _ROWS.unpack_from(body)[0], body[_ROWS.size :]) for number, body in reversed(found)]
        for run in answers.runs(blocks):
            numbers, rows = [number for number, _, _ in run], sum(rows for _, rows, _ in run)
            body = answers.joined([body for _, _, body in run])
            server.run("merge_answers", {"monitor": monitor, "numbers": numbers, "rows": rows, "body": body})


def erase(server: Server, monitor: str, samples: Collection[str]) -> Mapping[str, int]:
    """What is known of some samples: labels, judgements, and their rows in the blocks of answers."""
    labels, judgements, judged = server.run("erase_facts", {"monitor": monitor, "samples": list(samples)})
    gone = 0
    for number, body in server.ask("HGETALL", server.key("answers", monitor)).items():
        without, count = answers.without(body[_ROWS.size :], samples)
        given = {"monitor": monitor, "number": int(number), "before": body, "body": body[: _ROWS.size] + without}
        if count and server.run("replace_answers", given):
            gone += count
    return {"labels": labels, "judgements": judgements, "judged": judged, "answers": gone}


def known(server: Server, monitor: str, samples: Collection[str]) -> Mapping[str, Judgement | None]:
    """What is known of these samples; None where only that they were judged is remembered."""
    found, past = server.run("known_truth", {"monitor": monitor, "samples": list(samples)})
    judgements = [_numbered(monitor, body)[1] for body in found]
    return {sample.decode(): None for sample in past} | {judgement.sample: judgement for judgement in judgements}


def read(server: Server, monitor: str, since: float, limit: int) -> Sequence[Judgement]:
    """The newest, in order of arrival."""
    found: list[Judgement] = []
    order, end = server.key("judged", monitor, "order"), "+inf"
    while len(found) < limit:
        rows = server.ask("ZRANGE", order, end, "-inf", "BYSCORE", "REV", "LIMIT", 0, min(limit, _AT_ONCE), "WITHSCORES")
        if not rows:
            break
        bodies = server.ask("HMGET", server.key("judged", monitor), *rows[::2])
        judgements = (_numbered(monitor, body)[1] for body in bodies if body is not None)
        found += [judgement for judgement in judgements if judgement.told >= since]
        end = f"({rows[-1].decode()}"
    return found[:limit][::-1]


def untold(server: Server, monitor: str, limit: int) -> Untold:
    """The next that the log does not tell of."""
    after, found = server.run("untold", {"monitor": monitor, "limit": limit})
    numbered = [_numbered(monitor, body) for body in found]
    return Untold(after, numbered[-1][0] if numbered else after, tuple(judgement for _, judgement in numbered))


def tell(server: Server, event: Event, after: int, until: int) -> Event:
    """Records the event, unless the log has been told meanwhile."""
    given = {"event": decisions.packed_event(event), "after": after, "until": until}
    return replace(event, sequence=server.run("tell", given)[1])


def _numbered(monitor: str, body: bytes) -> tuple[int, Judgement]:
    return int(_NUMBER.unpack_from(body)[0]), packing.unpack(monitor, body[_NUMBER.size :])
